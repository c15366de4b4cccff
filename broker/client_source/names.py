"""Python names for what others named: any text becomes an identifier that nothing else bears. Pure."""

import keyword
import re
import unicodedata
from collections.abc import Iterable

LONGEST_NAME = 60

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*|[0-9]+")


def snake_case(text: str, fallback: str) -> str:
    """A name of a variable, field or method.

    >>> snake_case("cacheTTL", "field"), snake_case("2nd part", "field"), snake_case("?!", "field")
    ('cache_ttl', 'field_2_nd_part', 'field')
    """
    return _identifier("_".join(word.lower() for word in _words(text)), fallback, "_")


def pascal_case(text: str, fallback: str) -> str:
    """A name of a class.

    >>> pascal_case("new-contact", "Model"), pascal_case("HTTPReply", "Model"), pascal_case("1", "Model")
    ('NewContact', 'HTTPReply', 'Model1')
    """
    return _identifier("".join(word[0].upper() + word[1:] for word in _words(text)), fallback, "")


class Names:
    """Names that are given out once: a reserved word gets an underscore, the second of a name a number.

    Args:
        reserved: What means something else where the names will stand.
        joint: What stands before the number.
    """

    def __init__(self, reserved: Iterable[str] = (), joint: str = "_") -> None:
        self._reserved = frozenset(reserved)
        self._taken: set[str] = set()
        self._joint = joint

    def take(self, wanted: str) -> str:
        """The name, or the nearest that is free."""
        free = f"{wanted}_" if wanted in self._reserved or keyword.iskeyword(wanted) else wanted
        name, number = free, 1
        while name in self._taken or name in self._reserved:
            number += 1
            name = f"{free}{self._joint}{number}"
        self._taken.add(name)
        return name


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _WORD.findall(plain)


def _identifier(made: str, fallback: str, joint: str) -> str:
    found = made[:LONGEST_NAME].rstrip("_")
    if not found:
        return fallback
    return f"{fallback}{joint}{found}" if found[0].isdigit() else found

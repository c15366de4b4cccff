"""Text of others in our sentences: whatever it holds, a log line stays a line and a terminal does as it is told."""


def printable(text: str, longest: int | None = None) -> str:
    r"""The text with every unprintable character escaped, and at most ``longest`` characters, if that is said.

    >>> printable("a\nb", 10), printable("\x1b[31mred", 7)
    ('a\\nb', '\\x1b...')
    """
    # Cut first: an escape is never shorter than what it stands for, and the text may have millions of characters.
    found = text if longest is None else text[: longest + 1]
    if not found.isprintable():
        found = "".join(_escaped(character) for character in found)
    return found if longest is None or len(found) <= longest else f"{found[: longest - 3]}..."


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()

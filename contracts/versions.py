"""Semver versions and npm ranges: what is a version, what satisfies a range, which is highest.

Versions are strict semver 2.0.0; ranges are npm's (``^`` ``~`` comparators, ``||``, hyphen and x-ranges).
``node-semver``, a port of npm's own, reads ranges; this module narrows what it is given to what npm reads, and compares
by semver, clause 11. What is read is kept: a resolution asks the same few questions thousands of times.
"""

import functools
import operator
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import nodesemver

from contracts.text import printable

LONGEST_VERSION = 40
LONGEST_RANGE = 200
LARGEST_NUMBER = 2**53 - 1
"""npm's limit for major, minor and patch. Semver has none, but JSON and SQLite do not carry larger ones intact."""

# The expression that semver.org recommends for 2.0.0 (semver.org, FAQ).
SEMVER = re.compile(
    r"(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)"
    r"(?:-(?P<prerelease>(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?P<build>\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?\Z",
    re.ASCII,
)
_BUILD = re.compile(r"\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*", re.ASCII)
# After ^ and ~ node-semver loses the first hyphen of a prerelease that begins with one, so it is given one more.
_LEADING_HYPHEN = re.compile(r"([~^]>?[v=\s]*[0-9]+\.[0-9]+\.[0-9]+-)(?=-)", re.ASCII)


class _Precedence(NamedTuple):
    """A version as clause 11 compares it."""

    release: tuple[int, int, int]
    # A version with a prerelease is lower than without (11.3), and more identifiers are higher than fewer (11.4.4).
    is_release: bool
    # Numbers are lower than words and compare as numbers, words in ASCII order (11.4.1 to 11.4.3).
    prerelease: tuple[tuple[bool, int, str], ...]


_Bound = tuple[Callable[[_Precedence, _Precedence], bool], _Precedence]
_Range = tuple[tuple[_Bound, ...], ...]
"""Alternatives, each of bounds that must all hold."""

_OPERATORS: dict[str, Callable[[_Precedence, _Precedence], bool]] = {
    "": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

_UNBOUNDED = frozenset({"", ">=0.0.0"})


def check_version(value: str) -> str:
    """A strict semver 2.0.0 version of at most 40 characters; `ValueError` says what is wrong."""
    if len(value) > LONGEST_VERSION:
        shown = printable(value, LONGEST_VERSION)
        raise ValueError(f"version '{shown}' is too long: at most {LONGEST_VERSION} characters")
    match = SEMVER.match(value)
    if not match:
        shown = printable(value, LONGEST_VERSION)
        raise ValueError(f"version '{shown}' is not semver 2.0.0: expected e.g. '1.4.0' or '2.0.0-beta.1'")
    if any(int(match[part]) > LARGEST_NUMBER for part in ("major", "minor", "patch")):
        raise ValueError(f"version '{value}' has a number above {LARGEST_NUMBER}, which npm does not read")
    return value


def check_service_version(value: str) -> str:
    """A version without build metadata: two versions that semver calls equal would get two queues."""
    match = SEMVER.match(check_version(value))
    if match and match["build"]:
        raise ValueError(f"version '{value}' carries build metadata, which a service version may not")
    return value


def check_range(value: str) -> str:
    """An npm range, e.g. ``^1.0.0``, ``>=1.2 <2 || 3.x``; `ValueError` when npm could not read it."""
    if len(value) > LONGEST_RANGE:
        raise ValueError(f"range has {len(value)} characters, at most {LONGEST_RANGE} are allowed")
    if _range(value) is None:
        shown = printable(value, LONGEST_RANGE)
        raise ValueError(f"range '{shown}' is not an npm version range: expected e.g. '^1.0.0', '~1.2.3', '>=1.0.0'")
    return value


@functools.lru_cache(maxsize=65536)
def satisfies(version: str, range_: str) -> bool:
    """Whether a version is in an npm range; prereleases only where the range names one of the same triple.

    Args:
        version: Strict semver.
        range_: An npm range.

    Returns:
        False too for a version or a range that cannot be read: check those where they enter.

    >>> satisfies("1.5.0", "^1.2.0"), satisfies("2.0.0-beta.1", ">=1.0.0")
    (True, False)
    """
    found = _precedence(version)
    alternatives = _range(range_)
    if found is None or alternatives is None:
        return False
    return any(_admits(bounds, found) for bounds in alternatives)


def ordered(versions: Iterable[str]) -> list[str]:
    """Versions from lowest to highest by semver precedence (clause 11); those it calls equal, by their text.

    Raises:
        ValueError: One of them is no version, or has a number that `check_version` refuses.
    """
    return sorted(versions, key=_rank)


def fitting(versions: Iterable[str], range_: str = "*") -> list[str]:
    """The versions in the range, lowest first. ``*`` admits prereleases too when nothing else is there."""
    ranked = ordered(versions)
    found = [version for version in ranked if satisfies(version, range_)]
    return ranked if not found and range_.strip() in {"", "*"} else found


def highest(versions: Iterable[str], range_: str = "*") -> str | None:
    """The highest version in the range, or None; see `fitting`."""
    found = fitting(versions, range_)
    return found[-1] if found else None


def _rank(version: str) -> tuple[_Precedence, str]:
    found = _precedence(version)
    if found is None:
        raise ValueError(f"version '{version}' is not semver that npm reads, so it has no place in the order")
    return found, version


def _admits(bounds: tuple[_Bound, ...], version: _Precedence) -> bool:
    if not all(holds(version, bound) for holds, bound in bounds):
        return False
    return version.is_release or any(not bound.is_release and bound.release == version.release for _, bound in bounds)


@functools.lru_cache(maxsize=16384)
def _precedence(version: str) -> _Precedence | None:
    match = SEMVER.match(version) if len(version) <= LONGEST_RANGE else None
    if match is None:
        return None
    words = match["prerelease"].split(".") if match["prerelease"] else []
    release = (int(match["major"]), int(match["minor"]), int(match["patch"]))
    return _as_precedence(release, words) if max(release) <= LARGEST_NUMBER else None


def _as_precedence(release: tuple[int, int, int], prerelease: list[str]) -> _Precedence:
    identifiers = tuple((False, int(word), "") if word.isdigit() else (True, 0, word) for word in prerelease)
    return _Precedence(release=release, is_release=not identifiers, prerelease=identifiers)


@functools.lru_cache(maxsize=4096)
def _range(value: str) -> _Range | None:
    """Read a range, or None. Within the limit of length no text takes longer than some milliseconds."""
    if len(value) > LONGEST_RANGE or not value.isascii():
        return None
    # As npm does. Runs of blanks cost node-semver's expressions seconds, and build metadata means nothing in a range.
    plain = _BUILD.sub("", " ".join(value.split()))
    try:
        read = nodesemver.Range(_LEADING_HYPHEN.sub(r"\1-", plain), loose=False).set
    except Exception:  # noqa: BLE001 - node-semver raises bare ValueError, TypeError and IndexError alike
        return None
    alternatives = tuple(tuple(_bound(item) for item in bounds if item.value not in _UNBOUNDED) for bounds in read)
    if () in alternatives:
        # npm: with ``*`` among them the others mean nothing, the prereleases that they name included.
        return ((),)
    numbers = (number for bounds in alternatives for _, bound in bounds for number in bound.release)
    return alternatives if all(number <= LARGEST_NUMBER for number in numbers) else None


def _bound(comparator: "nodesemver.Comparator") -> _Bound:
    parsed = comparator.semver
    words = [str(identifier) for identifier in parsed.prerelease]
    return _OPERATORS[comparator.operator], _as_precedence((parsed.major, parsed.minor, parsed.patch), words)

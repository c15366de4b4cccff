"""Semver versions and npm ranges: what is a version, what satisfies a range, which is highest.

Versions are strict semver 2.0.0; ranges are npm's (``^`` ``~`` comparators, ``||``, hyphen and x-ranges). Both are
judged by ``node-semver``, the port that passes npm's own fixtures; this module narrows it to what a manifest may say.
"""

import functools
import re
from collections.abc import Iterable

import nodesemver

LONGEST_VERSION = 40
LONGEST_RANGE = 200

# The expression that semver.org recommends for 2.0.0 (semver.org, FAQ).
SEMVER = re.compile(
    r"(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)"
    r"(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(?P<build>\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?\Z",
    re.ASCII,
)


def check_version(value: str) -> str:
    """A strict semver 2.0.0 version of at most 40 characters; `ValueError` says what is wrong."""
    if len(value) > LONGEST_VERSION:
        raise ValueError(f"version '{value[:LONGEST_VERSION]}...' is too long: at most {LONGEST_VERSION} characters")
    if not SEMVER.match(value):
        raise ValueError(f"version '{value}' is not semver 2.0.0: expected e.g. '1.4.0' or '2.0.0-beta.1'")
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
        raise ValueError(f"range '{value}' is not an npm version range: expected e.g. '^1.0.0', '~1.2.3', '>=1.0.0'")
    return value


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
    if not SEMVER.match(version):
        return False
    parsed = _range(range_)
    return parsed is not None and bool(parsed.test(version))


def ordered(versions: Iterable[str]) -> list[str]:
    """Versions from lowest to highest by semver precedence (clause 11)."""
    key = functools.cmp_to_key(lambda a, b: int(nodesemver.compare(a, b, loose=False)))
    return sorted(versions, key=key)


def highest(versions: Iterable[str], range_: str = "*") -> str | None:
    """The highest version in the range, or None. ``*`` admits prereleases too when nothing else is there."""
    ranked = ordered(versions)
    fitting = [version for version in ranked if satisfies(version, range_)]
    if fitting:
        return fitting[-1]
    return ranked[-1] if ranked and range_.strip() in {"", "*"} else None


@functools.lru_cache(maxsize=4096)
def _range(value: str) -> "nodesemver.Range | None":
    try:
        return nodesemver.Range(value, loose=False)
    except Exception:  # noqa: BLE001 - node-semver raises bare ValueError, TypeError and IndexError alike
        return None

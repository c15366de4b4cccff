"""Versions are semver 2.0.0, ranges are npm's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import versions

# Each line is a statement of npm's documentation of ranges: range, what is inside, what is outside.
RANGES: list[tuple[str, str, str]] = [
    ("1.2.3", "1.2.3 1.2.3+build", "1.2.4 1.2.2 1.2.3-beta"),
    ("=1.2.3", "1.2.3", "1.2.4"),
    ("v1.2.3", "1.2.3", "1.2.4"),
    (">1.2.3", "1.2.4 2.0.0", "1.2.3 1.2.2"),
    (">=1.2.3", "1.2.3 99.0.0", "1.2.2 1.2.3-beta"),
    ("<1.2.3", "1.2.2 0.0.0", "1.2.3 1.2.3-beta"),
    ("<=1.2.3", "1.2.3 1.2.2", "1.2.4"),
    (">= 1.2.3", "1.2.3", "1.2.2"),
    (">1.2", "1.3.0", "1.2.9 1.3.0-beta"),
    ("<=1", "1.9.9 0.1.0", "2.0.0"),
    ("<1", "0.9.9", "1.0.0"),
    # Intersection by space, union by ||
    (">=1.2.7 <1.3.0", "1.2.7 1.2.8 1.2.99", "1.2.6 1.3.0 1.1.0"),
    ("1.2.7 || >=1.2.9 <2.0.0", "1.2.7 1.2.9 1.4.6", "1.2.8 2.0.0"),
    ("^1.2.3 <1.2.3", "", "1.2.2 1.2.3 1.3.0"),
    ("1.2.3 ||", "1.2.3 9.9.9", "9.9.9-beta"),
    # Hyphen ranges: a partial lower end is filled with zeros, a partial upper end with anything
    ("1.2.3 - 2.3.4", "1.2.3 2.3.4 2.0.0", "1.2.2 2.3.5"),
    ("1.2 - 2.3.4", "1.2.0 2.3.4", "1.1.9 2.3.5"),
    ("1.2.3 - 2.3", "2.3.0 2.3.99", "2.4.0"),
    ("1.2.3 - 2", "2.99.99", "3.0.0"),
    # X-ranges; a partial version is one
    ("*", "0.0.0 1.2.3 99.0.0", "1.0.0-beta"),
    ("", "0.0.0 1.2.3", "1.0.0-beta"),
    ("x", "1.2.3", "1.2.3-beta"),
    ("1.x", "1.0.0 1.99.99", "2.0.0 0.9.9"),
    ("1.2.x", "1.2.0 1.2.99", "1.3.0 1.1.9"),
    ("1.2.*", "1.2.0 1.2.99", "1.3.0"),
    ("1", "1.0.0 1.99.99", "2.0.0 0.9.9"),
    ("1.2", "1.2.0 1.2.99", "1.3.0"),
    # Tilde: patches if a minor is given, minors if not
    ("~1.2.3", "1.2.3 1.2.99", "1.3.0 1.2.2"),
    ("~1.2", "1.2.0 1.2.99", "1.3.0 1.1.9"),
    ("~1", "1.0.0 1.99.99", "2.0.0"),
    ("~0.2.3", "0.2.3 0.2.99", "0.3.0"),
    ("~0", "0.0.0 0.99.99", "1.0.0"),
    ("~1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.2.9", "1.2.3-beta.1 1.2.4-beta.2 1.3.0"),
    # Caret: nothing left of the first digit that is not zero may change
    ("^1.2.3", "1.2.3 1.2.4 1.99.0", "2.0.0 1.2.2 2.0.0-alpha"),
    ("^0.2.3", "0.2.3 0.2.99", "0.3.0 0.2.2 1.0.0"),
    ("^0.0.3", "0.0.3", "0.0.4 0.0.2 0.1.0"),
    ("^1.2.x", "1.2.0 1.99.0", "1.1.9 2.0.0"),
    ("^0.0.x", "0.0.0 0.0.99", "0.1.0"),
    ("^0.0", "0.0.0 0.0.99", "0.1.0"),
    ("^1.x", "1.0.0 1.99.99", "2.0.0"),
    ("^0.x", "0.0.0 0.99.99", "1.0.0"),
    ("^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.9.0", "1.2.3-beta.1 1.2.4-beta.2 2.0.0"),
    ("^0.0.3-beta", "0.0.3-beta 0.0.3-pr.2 0.0.3", "0.0.4 0.0.3-alpha"),
    # Prereleases: only where a comparator names one of the same major, minor and patch
    (">1.2.3-alpha.3", "1.2.3-alpha.7 1.2.3 3.4.5", "1.2.3-alpha.3 3.4.5-alpha.9"),
    (">=1.0.0", "1.0.0", "2.0.0-beta.1 1.0.0-rc.1"),
    ("<2.0.0", "1.9.9", "2.0.0-beta 1.0.0-beta"),
    # Build metadata is ignored
    ("1.2.3+linux", "1.2.3 1.2.3+mac", "1.2.4"),
]

INSIDE = [(range_, version) for range_, inside, _ in RANGES for version in inside.split()]
OUTSIDE = [(range_, version) for range_, _, outside in RANGES for version in outside.split()]


@pytest.mark.parametrize(("range_", "version"), INSIDE)
def test_a_version_inside_a_range_satisfies_it(range_: str, version: str) -> None:
    assert versions.satisfies(version, range_)


@pytest.mark.parametrize(("range_", "version"), OUTSIDE)
def test_a_version_outside_a_range_does_not_satisfy_it(range_: str, version: str) -> None:
    assert not versions.satisfies(version, range_)


@pytest.mark.parametrize("range_", sorted({range_ for range_, _, _ in RANGES}))
def test_every_npm_range_is_accepted(range_: str) -> None:
    assert versions.check_range(range_) == range_


@pytest.mark.parametrize(
    "range_", ["latest", "1.2.3.4", "01.2.3", "1.2.3-", "><1.2.3", ">=1.0.0,<2.0.0", "1.2.3 - ", "^1.0.0 || stable"]
)
def test_what_npm_cannot_read_is_no_range_and_satisfied_by_nothing(range_: str) -> None:
    with pytest.raises(ValueError, match="is not an npm version range") as caught:
        versions.check_range(range_)

    assert f"'{range_}'" in str(caught.value)
    assert not versions.satisfies("1.2.3", range_)


def test_a_range_is_at_most_200_characters_long() -> None:
    longest = "1.0.0" + " " * 195

    assert versions.check_range(longest) == longest
    with pytest.raises(ValueError, match="has 201 characters, at most 200"):
        versions.check_range(longest + " ")


@pytest.mark.parametrize(
    "version", ["0.0.0", "1.2.3", "1.0.0-alpha.1", "1.0.0-0a", "1.0.0--", "1.0.0+001", "2.0.0-rc.1+build.5"]
)
def test_a_strict_version_is_accepted(version: str) -> None:
    assert versions.check_version(version) == version


@pytest.mark.parametrize(
    "version",
    [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "v1.2.3",
        "=1.2.3",
        "01.2.3",
        "1.2.3-01",
        "1.2.3-",
        "1.2.3+",
        "1.2.3 ",
        "1.2.3\n",
        "\N{ARABIC-INDIC DIGIT ONE}.2.3",
    ],
)
def test_what_is_not_semver_is_no_version_and_satisfies_nothing(version: str) -> None:
    with pytest.raises(ValueError, match=r"is not semver 2\.0\.0"):
        versions.check_version(version)

    assert not versions.satisfies(version, "*")


def test_a_version_is_at_most_40_characters_long() -> None:
    longest = "1.0.0-" + "a" * 34

    assert versions.check_version(longest) == longest
    with pytest.raises(ValueError, match="too long: at most 40"):
        versions.check_version(longest + "a")


def test_a_service_version_carries_no_build_metadata() -> None:
    assert versions.check_service_version("1.0.0-rc.1") == "1.0.0-rc.1"
    with pytest.raises(ValueError, match="carries build metadata"):
        versions.check_service_version("1.0.0+5")
    with pytest.raises(ValueError, match="is not semver"):
        versions.check_service_version("1.0")


SPECIFIED_ORDER = [
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "2.0.0",
    "2.1.0",
    "2.1.1",
    "10.0.0",
]


@given(st.permutations(SPECIFIED_ORDER))
def test_versions_are_ordered_as_semver_specifies(shuffled: list[str]) -> None:
    assert versions.ordered(shuffled) == SPECIFIED_ORDER


def test_the_highest_version_is_the_highest_in_the_range() -> None:
    known = ["1.9.0", "1.10.0", "2.0.0", "3.0.0-beta"]

    assert versions.highest(known, "^1.0.0") == "1.10.0"
    assert versions.highest(known) == "2.0.0"
    assert versions.highest(known, "^4.0.0") is None
    assert versions.highest([]) is None


def test_a_lone_prerelease_is_the_highest_of_any() -> None:
    assert versions.highest(["1.0.0-alpha", "1.0.0-beta"]) == "1.0.0-beta"
    assert versions.highest(["1.0.0-alpha"], "^1.0.0") is None


@given(st.tuples(*[st.integers(0, 99)] * 3), st.tuples(*[st.integers(0, 99)] * 3))
def test_comparators_agree_with_the_order_of_releases(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    version, bound = (".".join(map(str, parts)) for parts in (one, other))

    assert versions.satisfies(version, f">={bound}") == (one >= other)
    assert versions.satisfies(version, f"<{bound}") == (one < other)

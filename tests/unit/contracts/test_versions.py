"""Versions are semver 2.0.0, ranges are npm's."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts import versions
from contracts.text import printable

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
    ("^1.2.3+linux.5", "1.2.3 1.9.0+mac", "1.2.2 2.0.0"),
    ("~1.2.3+linux", "1.2.3+mac 1.2.9", "1.3.0+linux"),
    (">=1.2.3+b <1.3.0+a", "1.2.3+a 1.2.9+z", "1.3.0 1.2.2+z"),
    ("1.2.3+a - 2.0.0+b", "1.2.3 2.0.0+c", "2.0.1+b"),
    ("1.2+linux", "1.2.0 1.2.9", "1.3.0"),
    # A leading v and a leading =
    ("=v1.2.3", "1.2.3", "1.2.4"),
    (">v1.2", "1.3.0", "1.2.9"),
    ("^v1", "1.0.0 1.9.9", "2.0.0"),
    ("~=1.2.3", "1.2.3 1.2.9", "1.3.0"),
    ("v1.2.3 - v2.0.0", "1.2.3 2.0.0", "2.0.1"),
    ("=1.x", "1.0.0 1.9.9", "2.0.0"),
    # Blanks of any number, and tabs and newlines
    ("  ^1.2.3  ", "1.2.3 1.9.0", "2.0.0"),
    ("\t>=\n1.2.3   <  2", "1.2.3 1.9.9", "2.0.0"),
    ("^ 1.2", "1.2.0 1.9.0", "2.0.0"),
    ("~ 1.2.3", "1.2.9", "1.3.0"),
    ("1.2.3   -   2.0.0", "1.2.3 2.0.0", "2.0.1"),
    ("1||2", "1.5.0 2.5.0", "3.0.0 0.9.0"),
    ("1  ||  2", "1.5.0 2.5.0", "3.0.0"),
    ("   ", "1.2.3", "1.2.3-beta"),
    # Unions
    ("|| 1.2.3", "9.9.9 0.0.0", "9.9.9-beta"),
    ("^1.0.0 || ^3.0.0", "1.9.0 3.0.0", "2.0.0 4.0.0"),
    ("^1 || ^2 || ^3", "1.0.0 2.0.0 3.9.9", "0.9.9 4.0.0"),
    ("<1.0.0 || >=2.0.0", "0.9.9 2.0.0", "1.0.0 1.9.9"),
    ("1.2.3-beta || 2", "1.2.3-beta 2.1.0", "1.2.3 1.2.3-rc"),
    ("* || 1.2.3-beta", "1.2.3 0.0.0", "1.2.3-beta 1.2.3-rc"),
    # Comparators of parts
    (">1", "2.0.0", "1.0.0 1.9.9 2.0.0-beta"),
    (">=1", "1.0.0 2.0.0", "0.9.9 1.0.0-beta"),
    (">=1.2", "1.2.0", "1.1.9"),
    ("<1.2", "1.1.9", "1.2.0 1.2.0-beta"),
    ("<=1.2", "1.2.9", "1.3.0"),
    ("=1.2", "1.2.0 1.2.9", "1.3.0"),
    (">1.x", "2.0.0", "1.9.9"),
    ("<=1.x", "1.9.9", "2.0.0"),
    (">=1.x", "1.0.0", "0.9.9"),
    ("<1.X", "0.9.9", "1.0.0"),
    (">*", "", "0.0.0 1.0.0 99.0.0"),
    ("<*", "", "0.0.0 1.0.0"),
    (">=*", "0.0.0 9.9.9", "1.0.0-beta"),
    (">=0.0.0", "0.0.0 9.9.9", "0.0.0-beta"),
    ("<0.0.0", "", "0.0.0"),
    ("<0.0.1", "0.0.0", "0.0.1"),
    # Tilde and caret of parts, wildcards and zeros
    ("~>1.2.3", "1.2.3 1.2.9", "1.3.0"),
    ("~> 1", "1.0.0 1.9.9", "2.0.0"),
    ("~1.x", "1.0.0 1.9.9", "2.0.0"),
    ("~1.2.x", "1.2.0 1.2.9", "1.3.0"),
    ("~*", "0.0.0 9.9.9", "1.0.0-beta"),
    ("^*", "0.0.0 9.9.9", "1.0.0-beta"),
    ("^x.x", "0.0.0 9.9.9", "1.0.0-beta"),
    ("~0.0.1", "0.0.1 0.0.9", "0.1.0 0.0.0"),
    ("^0.0.0", "0.0.0", "0.0.1"),
    ("^0", "0.0.0 0.9.9", "1.0.0"),
    ("^0.1", "0.1.0 0.1.9", "0.2.0 0.0.9"),
    ("^1.0", "1.0.0 1.9.9", "2.0.0"),
    ("^0.2.3-beta", "0.2.3-beta 0.2.3 0.2.9", "0.2.4-beta 0.3.0"),
    ("~0.0.1-rc", "0.0.1-rc 0.0.1 0.0.9", "0.0.2-rc 0.1.0"),
    # Hyphen ranges with wildcards and prereleases
    ("1 - 2", "1.0.0 2.9.9", "0.9.9 3.0.0"),
    ("1.x - 2.x", "1.0.0 2.9.9", "3.0.0"),
    ("* - 2", "0.0.0 2.9.9", "3.0.0"),
    ("1 - *", "1.0.0 99.0.0", "0.9.9"),
    ("1.2.3-beta - 2.0.0", "1.2.3-beta 1.2.3-rc 2.0.0", "1.2.3-alpha 1.9.0-beta"),
    ("1.0.0 - 2.0.0-beta", "1.0.0 2.0.0-alpha 2.0.0-beta", "2.0.0 2.0.0-rc 1.5.0-beta"),
    # Prereleases compare by clause 11.4
    (">=1.0.0-alpha.9", "1.0.0-alpha.10 1.0.0-alpha.beta 1.0.0-b", "1.0.0-alpha.8 1.0.0-alpha 1.0.0-1"),
    ("<1.0.0-beta", "1.0.0-alpha 1.0.0-99 0.9.9", "1.0.0-beta 1.0.0-beta.1 0.9.9-alpha"),
    (">1.0.0-alpha", "1.0.0-alpha.0 1.0.0-alpha-", "1.0.0-alpha 1.0.0-ALPHA"),
    ("<=1.0.0-rc.1", "1.0.0-rc.1 1.0.0-rc.1+b", "1.0.0-rc.1.0 1.0.0"),
    (">=1.0.0-0", "1.0.0-0 1.0.0-alpha 1.0.0", "1.0.1-0"),
    ("=1.0.0-rc.1", "1.0.0-rc.1", "1.0.0-rc.2 1.0.0"),
    ("^1.2.3--x", "1.2.3--x 1.2.3 1.9.9", "1.2.3-- 1.2.3-0 2.0.0"),
    ("~1.2.3--1", "1.2.3--1 1.2.9", "1.2.3-1 1.2.3-9 1.3.0"),
    ("1.2.3--1", "1.2.3--1", "1.2.3-1 1.2.3"),
    (">=1.0.0-x.7.z.92", "1.0.0-x.7.z.92 1.0.0-x.7.z.92.0 1.0.0-x.7.z.100", "1.0.0-x.7.z.91 1.0.0-x.7.z"),
    # Large numbers compare as numbers, of any length in a prerelease (clause 11.4.1; npm rounds them to 2**53)
    (">=1.9.0", "1.10.0 1.100.0", "1.2.0 1.1.99"),
    ("^20241231.0.0", "20241231.5.0", "20241230.9.9 20250101.0.0"),
    ("<=9007199254740991.0.0", "9007199254740991.0.0 9007199254740990.9.9", "9007199254740991.0.1"),
    (">=1.0.0-99999999999999999999", "1.0.0-99999999999999999999 1.0.0-a", "1.0.0-99999999999999999998"),
    # Contradictions are ranges, satisfied by nothing
    (">2 <1", "", "0.5.0 1.5.0 3.0.0"),
    ("1.2.3 1.2.4", "", "1.2.3 1.2.4"),
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


NO_RANGES = (
    """
latest|next|stable|1.2.3.4|01.2.3|^01|1.2.3-|1.2.3+|1.2.3-01|1.2.3-a..b|1.2-beta|1..2|.1|1.|-1.2.3|1.2.3 -2.0.0
><1.2.3|=>1.2.3|=<1|==1.2.3|>=|>|<|^|~|v|-|V1.2.3|vv1.2.3|^^1.2|~^1|^>=1|>=^1.2|!1.2.3|(1.2.3)|>=1.0.0,<2.0.0|1,2
1.2.3 - |- 1.2.3|1.2.3 - 2.3.4 - 3.0.0|^1.2.3 - 2|>=1 - 2|1.2.3 <|\\*|*2|1.2.3 latest|file:../x|npm:foo@1|git+https://a/b
9007199254740992.0.0|^9007199254740991.0.0|<=9007199254740991|1.2.99999999999999999999|1.2.3\0
\N{ARABIC-INDIC DIGIT ONE}.2.3
1.0.0\N{NO-BREAK SPACE}- 2|\N{FULLWIDTH DIGIT ONE}|\N{GREATER-THAN OR EQUAL TO}1.0.0
None|null|undefined|1.2.3;|"1.2.3"|{}|%
""".strip()
    .replace("\n", "|")
    .split("|")
)


@pytest.mark.parametrize("range_", [*NO_RANGES, "|", "1|2", "1 ||| 2", "^1.0.0 || stable"])
def test_what_npm_cannot_read_is_no_range_and_satisfied_by_nothing(range_: str) -> None:
    with pytest.raises(ValueError, match="is not an npm version range") as caught:
        versions.check_range(range_)

    assert f"'{printable(range_, 200)}'" in str(caught.value)
    assert not versions.satisfies("1.2.3", range_)


# npm's <2.0.0-0 for the end of ^1 is <2.0.0 in node-semver. Seen only where the same alternative names 2.0.0-*.
def test_the_end_of_a_caret_range_admits_prereleases_that_the_range_itself_names() -> None:
    assert versions.satisfies("2.0.0-alpha", "^1.0.0 <2.0.0-beta")
    assert not versions.satisfies("2.0.0-alpha", "^1.0.0")


HOSTILE = {
    "blanks before a hyphen": "1" + " " * 197 + "-!",
    "blanks round a hyphen": "1" + " " * 97 + "-" + " " * 97 + "v!",
    "blanks everywhere": "v" + " " * 60 + "1" + " " * 60 + "-" + " " * 70 + "!",
    "many equals": ">=" + " =" * 99,
    "many v": "v " * 100,
    "many alternatives": "||" * 100,
    "many comparators": ">1.1.1 " * 28,
    "many identifiers": "1.1.1-" + "1." * 97,
    "many digits": "9" * 200,
    "many hyphens": "1.1.1-" + "-" * 193 + "!",
}


@pytest.mark.parametrize("range_", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.timeout(10)
def test_no_range_of_200_characters_stalls_whoever_reads_it(range_: str) -> None:
    """Without the guard the first three take seconds each (node-semver's expressions backtrack over blanks)."""
    for blank in (" ", "\t", "\n", " \n"):
        text = range_.replace(" ", blank)[:200]
        for shorter in range(150, 200):
            versions.satisfies("1.0.0", text[:shorter])


def test_what_is_longer_than_a_range_may_be_is_satisfied_by_nothing() -> None:
    assert not versions.satisfies("1.0.0", "*" + " " * 1_000_000)
    assert not versions.satisfies("1.0.0-" + "a" * 1_000_000, "1.0.0-a")


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


def test_the_numbers_of_a_version_are_those_that_json_and_sqlite_carry() -> None:
    assert versions.check_version("1.0.9007199254740991") == "1.0.9007199254740991"
    with pytest.raises(ValueError, match="a number above 9007199254740991"):
        versions.check_version("9007199254740992.0.0")


@pytest.mark.parametrize("version", ["9007199254740992.0.0", "1.9007199254740992.0", "1.0.9007199254740993-rc.1"])
@pytest.mark.parametrize("range_", ["*", ">=1.0.0", ">=1.0.0-0 || *"])
def test_a_version_with_a_number_that_is_refused_satisfies_nothing(version: str, range_: str) -> None:
    assert not versions.satisfies(version, range_)


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


numbers = st.integers(0, 3) | st.sampled_from([10, 2**53 - 1])
identifiers = st.integers(0, 20).map(str) | st.text("ab-0A", min_size=1, max_size=3).filter(
    lambda word: not word.isdigit()
)
releases = st.tuples(numbers, numbers, numbers)
prereleases = st.lists(identifiers, max_size=3)
builds = st.sampled_from(["", "", "+b", "+001.a"])


def spelled(release: tuple[int, int, int], prerelease: list[str], build: str = "") -> str:
    return ".".join(map(str, release)) + ("-" + ".".join(prerelease) if prerelease else "") + build


semvers = st.builds(spelled, releases, prereleases, builds)


def precedes(one: str, other: str) -> int:
    """Semver 2.0.0, clause 11, word for word: -1, 0 or 1."""
    (left, _, left_words), (right, _, right_words) = (text.partition("+")[0].partition("-") for text in (one, other))
    for a, b in zip(map(int, left.split(".")), map(int, right.split(".")), strict=True):
        if a != b:
            return -1 if a < b else 1
    if not left_words or not right_words:
        return bool(right_words) - bool(left_words)
    for a, b in zip(left_words.split("."), right_words.split("."), strict=False):
        if a == b:
            continue
        if a.isdigit() and b.isdigit():
            return -1 if int(a) < int(b) else 1
        if a.isdigit() or b.isdigit():
            return -1 if a.isdigit() else 1
        return -1 if a.encode() < b.encode() else 1
    return (left_words.count(".") > right_words.count(".")) - (left_words.count(".") < right_words.count("."))


@given(semvers, semvers)
def test_two_versions_are_ordered_as_clause_11_says(one: str, other: str) -> None:
    found = versions.ordered([one, other])

    assert precedes(found[0], found[1]) <= 0
    assert found == versions.ordered([other, one])


@given(st.lists(semvers, max_size=6), st.randoms(use_true_random=False))
def test_the_order_is_total_and_does_not_depend_on_the_input(known: list[str], dice: random.Random) -> None:
    found = versions.ordered(known)

    assert versions.ordered(dice.sample(known, len(known))) == found
    assert all(precedes(low, high) <= 0 for index, low in enumerate(found) for high in found[index:])


def test_what_is_no_version_has_no_place_in_the_order() -> None:
    with pytest.raises(ValueError, match="version 'latest' is not semver"):
        versions.ordered(["1.0.0", "latest"])


HOLDS = {"": (0,), "=": (0,), "<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}
comparators = st.tuples(st.sampled_from(sorted(HOLDS)), st.builds(spelled, releases, prereleases))
comparator_sets = st.lists(st.lists(comparators, min_size=1, max_size=3), min_size=1, max_size=3)


def expected(version: str, alternatives: list[list[tuple[str, str]]]) -> bool:
    """npm's documentation of comparator sets, word for word."""
    plain = version.partition("+")[0]
    for bounds in alternatives:
        named = "-" not in plain or any(
            "-" in bound and bound.partition("-")[0] == plain.partition("-")[0] for _, bound in bounds
        )
        if named and all(precedes(version, bound) in HOLDS[symbol] for symbol, bound in bounds):
            return True
    return False


@given(semvers, comparator_sets, st.sampled_from(["", " ", "  "]))
def test_comparator_sets_admit_what_npm_says(
    version: str, alternatives: list[list[tuple[str, str]]], blank: str
) -> None:
    # >=0.0.0 is npm's other spelling of *, which makes the other alternatives mean nothing: see the table.
    alternatives = [
        [bound for bound in bounds if bound != (">=", "0.0.0")] or [(">", "0.0.0")] for bounds in alternatives
    ]
    text = " || ".join(" ".join(symbol + blank + bound for symbol, bound in bounds) for bounds in alternatives)
    assume(len(text) <= versions.LONGEST_RANGE)

    assert versions.satisfies(version, text) == expected(version, alternatives)


@given(st.text("v=<>^~|-+.x*01 a", max_size=40))
def test_any_text_is_either_a_range_or_an_error_that_quotes_it(text: str) -> None:
    try:
        versions.check_range(text)
    except ValueError as error:
        said = str(error)
    else:
        return

    assert f"'{text}'" in said
    assert not versions.satisfies("1.0.0", text)


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

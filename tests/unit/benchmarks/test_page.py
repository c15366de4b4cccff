"""The page on performance shows the figures that are kept beside it."""

import json
from pathlib import Path

import pytest

from benchmarks.page import FIGURES, PAGE, TABLES, filled, tables
from benchmarks.profile import Profile, Share
from tests.unit.benchmarks.runs import figures, result, run

PROFILE = Profile(
    peer="ours",
    in_flight=64,
    rate=1234.5,
    parts=[Share("calls", [12.5, 7.0])],
    functions={"serve": [Share("a.py:f", [1.0, 2.0])], "call": []},
)


def test_the_page_shows_the_figures_that_were_taken_last() -> None:
    assert filled(PAGE.read_text(), tables(FIGURES)) == PAGE.read_text(), "run python -m benchmarks.page"


def test_the_page_has_a_place_for_every_table() -> None:
    assert filled(PAGE.read_text(), dict.fromkeys(TABLES, "x"))


def test_a_table_replaces_what_stood_in_its_place() -> None:
    assert filled("a\n<!-- calls -->\nold\n<!-- /calls -->\nb", {"calls": r"new \1"}) == (
        "a\n<!-- calls -->\nnew \\1\n<!-- /calls -->\nb"
    )


def test_a_page_without_the_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no '<!-- calls -->'"):
        filled("", {"calls": "x"})


def test_tables_are_of_the_figures_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "calls.json").write_text(json.dumps(run(result("ours", figures())).to_json()))
    (tmp_path / "profile.json").write_text(json.dumps(PROFILE.to_json()))

    made = tables(tmp_path)

    assert list(made) == ["calls", "profile"]
    assert "| calls | 12.5 | 7.0 |" in made["profile"]


def test_a_profile_comes_back_from_its_json() -> None:
    assert Profile.parse(json.loads(json.dumps(PROFILE.to_json()))) == PROFILE

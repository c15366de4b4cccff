"""The aims, and what figures say of them."""

import pytest

from benchmarks.aims import AIMS, Aim, Verdict, judge, judged, ratio
from benchmarks.peers.catalogue import PEERS

LEAST = Aim("calls", "rate_64", "c", 0.5)
MOST = Aim("time", "p50_us", "c", 2, is_least=False)


@pytest.mark.parametrize(
    ("aim", "ours", "verdict"),
    [
        (LEAST, 50.0, Verdict.REACHED),
        (LEAST, 51.0, Verdict.REACHED),
        (LEAST, 49.0, Verdict.MISSED),
        (MOST, 200.0, Verdict.REACHED),
        (MOST, 199.0, Verdict.REACHED),
        (MOST, 201.0, Verdict.MISSED),
    ],
)
def test_an_aim_is_judged_by_its_bound_and_direction(aim: Aim, ours: float, verdict: Verdict) -> None:
    found = judge(aim, {"ours": {aim.figure: ours}, "c": {aim.figure: 100.0}})

    assert (found.verdict, found.found) == (verdict, ours / 100)


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"ours": {"rate_64": 1.0}},
        {"c": {"rate_64": 1.0}},
        {"ours": {"rate_64": 1.0}, "c": {"p50_us": 1.0}},
        {"ours": {"rate_64": 1.0}, "c": {"rate_64": 0.0}},
    ],
)
def test_an_aim_with_a_side_missing_is_not_measured(figures: dict[str, dict[str, float]]) -> None:
    found = judge(LEAST, figures)

    assert (found.verdict, found.found) == (Verdict.UNKNOWN, None)


def test_an_aim_can_be_that_of_another_row_of_ours() -> None:
    aim = Aim("calls", "rate_64", "c", 0.5, ours="ours-speed")
    figures = {"ours": {"rate_64": 1.0}, "ours-speed": {"rate_64": 60.0}, "c": {"rate_64": 100.0}}

    assert judge(aim, figures).found == pytest.approx(0.6)


def test_a_figure_of_nought_has_a_ratio() -> None:
    assert ratio({"a": {"x": 0.0}, "b": {"x": 2.0}}, "x", "a", "b") == 0.0


def test_all_aims_are_judged_in_their_order() -> None:
    assert [row.aim for row in judged({})] == list(AIMS)


def test_every_aim_speaks_of_peers_that_there_are() -> None:
    keys = {peer.key for peer in PEERS}

    assert {aim.other for aim in AIMS} | {aim.ours for aim in AIMS} <= keys


def test_an_aim_says_what_it_asks() -> None:
    assert LEAST.text({"c": "C"}) == ">= 0.5 x C"
    assert MOST.text({}) == "<= 2 x c"
    assert Aim("calls", "rate_64", "c", 0.5, is_stretch=True).text({}).endswith("(stretch)")

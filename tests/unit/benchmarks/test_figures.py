"""Medians of rounds, and runs as JSON."""

import json

import pytest

from benchmarks.figures import Result, Run, medians
from tests.unit.benchmarks.runs import figures, result, run


def test_each_figure_has_its_own_median() -> None:
    rounds = [figures(p50_us=1.0, cpu_ms=30.0), figures(p50_us=9.0, cpu_ms=10.0), figures(p50_us=2.0, cpu_ms=20.0)]

    found = medians(rounds)

    assert (found["p50_us"], found["cpu_ms"]) == (2.0, 20.0)


def test_of_two_rounds_the_median_is_between() -> None:
    assert medians([{"p50_us": 1.0}, {"p50_us": 2.0}]) == {"p50_us": 1.5}


def test_a_figure_that_a_round_lacks_is_of_the_others() -> None:
    assert medians([{"p50_us": 1.0}, {"p50_us": 1.0, "rabbitmq_cpu_ms": 7.0}]) == {
        "p50_us": 1.0,
        "rabbitmq_cpu_ms": 7.0,
    }


def test_no_rounds_have_no_medians() -> None:
    assert medians([]) == {}


def test_a_run_comes_back_from_its_json() -> None:
    taken = run(result("ours", figures(), figures()), result("nameko", problem="not installed"))

    assert Run.parse(json.loads(json.dumps(taken.to_json()))) == taken


def test_json_carries_the_medians_too() -> None:
    document = run(result("ours", figures(p50_us=1.0), figures(p50_us=3.0))).to_json()

    assert document["results"][0]["medians"]["p50_us"] == 2.0


def test_only_what_was_measured_has_figures() -> None:
    taken = run(result("ours", figures()), result("nameko", problem="not installed"))

    assert list(taken.figures()) == ["ours"]


@pytest.mark.parametrize("document", [{}, {"results": [{"name": "x"}]}, {"results": [], "other": 1}])
def test_what_is_no_run_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="this is no run of 'make bench'"):
        Run.parse(document)


def test_a_peer_has_the_figures_of_all_its_subjects() -> None:
    calls = result("ours", {"rate_64": 1.0})
    events = Result(key="ours", title="Ours", rounds=({"events_rate": 2.0},), subject="events")

    assert run(calls, events).figures() == {"ours": {"rate_64": 1.0, "events_rate": 2.0}}

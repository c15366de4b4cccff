"""Who is alive, given heartbeats and now."""

import pytest

from broker.registry.leases import FORGET_AFTER_SECONDS, aged, is_forgotten, silence, state_of
from broker.registry.rules import service_status


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, "HEALTHY"), (9.9, "HEALTHY"), (10, "DEGRADED"), (14.9, "DEGRADED"), (15, "UNAVAILABLE"), (99, "UNAVAILABLE")],
)
def test_silence_degrades_after_two_thirds_of_a_lease_and_ends_with_it(seconds: float, state: str) -> None:
    assert state_of("HEALTHY", seconds, 15) == state


def test_a_plugin_may_say_that_it_is_degraded() -> None:
    assert state_of("DEGRADED", 0, 15) == "DEGRADED"


@pytest.mark.parametrize("state", ["DEGRADED", "UNAVAILABLE"])
def test_silence_never_improves_a_state(state: str) -> None:
    assert aged(state, "HEALTHY", 0, 15) == state


def test_silence_counts_from_the_brokers_return_at_the_earliest() -> None:
    assert silence(last_heard=100, grace_from=500, now=505) == 5
    assert silence(last_heard=503, grace_from=500, now=505) == 2


def test_a_clock_that_goes_back_is_no_silence() -> None:
    assert silence(last_heard=100, grace_from=0, now=90) == 0


def test_only_who_is_unavailable_is_forgotten() -> None:
    assert is_forgotten("UNAVAILABLE", FORGET_AFTER_SECONDS)
    assert not is_forgotten("UNAVAILABLE", FORGET_AFTER_SECONDS - 1)
    assert not is_forgotten("DEGRADED", FORGET_AFTER_SECONDS)


def test_a_service_is_as_well_as_its_best_instance() -> None:
    assert service_status(["UNAVAILABLE", "DEGRADED", "HEALTHY"]) == "HEALTHY"
    assert service_status(["UNAVAILABLE", "DEGRADED"]) == "DEGRADED"
    assert service_status([]) == "UNAVAILABLE"

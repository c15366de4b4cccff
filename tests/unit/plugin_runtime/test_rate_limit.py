"""Calls per minute: as many at once as the limit, then one each time that its part of the minute has passed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_runtime.calls.rate_limit import RateLimit


def passes(limit: RateLimit, now: float, *, tenant: str = "acme", caller: str = "plugin-a", instances: int = 1) -> bool:
    return limit.wait_seconds(tenant, caller, now=now, instances=instances) == 0.0


def test_as_many_calls_as_the_limit_pass_at_once_and_no_more() -> None:
    limit = RateLimit(3)

    assert [passes(limit, 100.0) for _ in range(5)] == [True, True, True, False, False]


def test_wait_is_the_time_until_a_call_passes() -> None:
    limit = RateLimit(3)
    for _ in range(3):
        assert passes(limit, 100.0)

    wait = limit.wait_seconds("acme", "plugin-a", now=105.0)

    assert wait == pytest.approx(15.0)
    assert not passes(limit, 119.9)
    assert passes(limit, 120.0)
    assert not passes(limit, 120.0)


def test_refused_calls_do_not_count() -> None:
    limit = RateLimit(1)
    assert passes(limit, 0.0)
    for second in range(1, 60):
        assert not passes(limit, float(second))

    assert passes(limit, 60.0)


def test_each_pair_of_tenant_and_caller_has_its_own() -> None:
    limit = RateLimit(1)

    assert passes(limit, 0.0)
    assert passes(limit, 0.0, tenant="globex")
    assert passes(limit, 0.0, caller="plugin-b")
    assert not passes(limit, 0.0)


def test_instances_share_the_limit() -> None:
    """Each lets its part pass; a part that is less than a call passes as one call in as many minutes."""
    limit, scarce = RateLimit(6), RateLimit(1)

    assert [passes(limit, 0.0, instances=3) for _ in range(3)] == [True, True, False]
    assert passes(limit, 30.0, instances=3)
    assert passes(scarce, 0.0, instances=2)
    assert not passes(scarce, 119.0, instances=2)
    assert passes(scarce, 120.0, instances=2)


def test_pairs_that_are_silent_for_a_minute_are_forgotten() -> None:
    limit = RateLimit(100)
    for number in range(1000):
        assert passes(limit, 0.0, caller=f"plugin-{number}")
    assert len(limit) == 1000
    for number in range(1000):
        assert passes(limit, 60.0 + number, caller="plugin-busy")

    assert len(limit) == 1


@given(per_minute=st.integers(1, 500), gaps=st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_any_minute_has_at_most_the_burst_and_what_flows_in(per_minute: int, gaps: list[float]) -> None:
    """And who keeps to the limit is never refused for long: a wait is at most one call's part."""
    limit, now, passed = RateLimit(per_minute), 0.0, list[float]()
    for gap in gaps:
        now += gap
        wait = limit.wait_seconds("acme", "plugin-a", now=now)
        assert wait <= 60.0 / per_minute * (1 + 1e-6)
        if wait == 0.0:
            passed.append(now)

    for start in passed:
        assert sum(start <= moment < start + 60.0 for moment in passed) <= 2 * per_minute


@given(per_minute=st.integers(1, 10_000), start=st.floats(0, 1e6))
def test_caller_that_keeps_to_the_limit_is_never_refused(per_minute: int, start: float) -> None:
    limit = RateLimit(per_minute)

    assert all(passes(limit, start + number * 60.0 / per_minute) for number in range(200))

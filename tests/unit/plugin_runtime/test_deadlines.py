"""What is in flight is given up at its deadline, and what ended takes no room."""

import time

from hypothesis import given
from hypothesis import strategies as st

from plugin_runtime.deadlines import FEW, AlarmClock, Deadlines
from tests.waiting import eventually

MOMENTS = st.floats(0, 100, allow_nan=False)


@given(st.lists(MOMENTS, max_size=40), st.sets(st.integers(0, 39)), MOMENTS)
def test_exactly_what_is_in_flight_and_late_is_given_up_in_order(
    moments: list[float], ended: set[int], now: float
) -> None:
    in_flight = dict(enumerate(moments))
    deadlines = Deadlines(in_flight)
    for key, moment in enumerate(moments):
        deadlines.add(moment, key, in_flight=len(in_flight))
    for key in ended:
        in_flight.pop(key, None)

    late = {key for key, moment in in_flight.items() if moment <= now}
    following = min((moment for key, moment in in_flight.items() if key not in late), default=None)
    found = deadlines.expired(now)

    assert set(found) == late
    assert [moments[key] for key in found] == sorted(moments[key] for key in late)
    assert deadlines.next() == following


def test_entries_of_what_ended_do_not_pile_up() -> None:
    in_flight: dict[int, None] = {}
    deadlines = Deadlines(in_flight)
    for key in range(10 * FEW):
        in_flight[key] = None
        deadlines.add(30.0, key, in_flight=len(in_flight))
        del in_flight[key]

    assert len(deadlines) <= FEW + 2


async def test_clock_rings_for_each_in_the_order_of_the_deadlines() -> None:
    """One timer serves all: it is set anew after each ring, and earlier for what ends earlier."""
    in_flight: dict[str, None] = dict.fromkeys(("last", "first", "ended", "second"))
    rung: list[str] = []
    clock = AlarmClock(in_flight, rung.append)
    now = time.monotonic()
    for key, seconds in (("last", 0.04), ("first", 0.0), ("ended", 0.01), ("second", 0.02)):
        clock.add(now + seconds, key)
    del in_flight["ended"]

    assert await eventually(lambda: len(rung) == 3)
    assert rung == ["first", "second", "last"]

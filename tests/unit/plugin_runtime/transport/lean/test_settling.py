"""Which acknowledgements are written, and when."""

from hypothesis import given
from hypothesis import strategies as st

from plugin_runtime.transport.lean.settling import LONGEST_WAIT_SECONDS, Acknowledgement, Settling

LATER = LONGEST_WAIT_SECONDS


def settling_of(count: int, *, prefetch: int = 64, may_linger: bool = False) -> Settling:
    settling = Settling(prefetch, may_linger=may_linger)
    for tag in range(1, count + 1):
        settling.delivered(tag)
    return settling


def finish(settling: Settling, *tags: int, now: float = 0.0) -> None:
    for tag in tags:
        settling.finished(tag, now)


def multiple(tag: int) -> Acknowledgement:
    return Acknowledgement(tag, multiple=True)


def single(tag: int) -> Acknowledgement:
    return Acknowledgement(tag, multiple=False)


def test_a_run_of_finished_deliveries_is_one_frame() -> None:
    settling = settling_of(10)
    finish(settling, 2, 3, 1)

    assert settling.due(0.0) == [multiple(3)]
    assert settling.due(0.0) == []


def test_one_finished_delivery_is_acknowledged_alone() -> None:
    settling = settling_of(2)
    finish(settling, 1)

    assert settling.due(0.0) == [single(1)]


def test_runs_that_may_linger_wait_for_others_to_travel_with() -> None:
    settling = settling_of(10, prefetch=16, may_linger=True)
    finish(settling, 1, 2)
    finish(settling, 3, 4, now=LATER / 2)

    before = settling.due(LATER / 2)
    finish(settling, 5, now=LATER / 2)

    assert before == []
    assert settling.due(LATER / 2) == [multiple(5)]


def test_a_delivery_behind_a_slow_one_waits_for_five_milliseconds() -> None:
    settling = settling_of(10)
    finish(settling, 2, now=1.0)

    assert settling.due(1.0 + LATER / 2) == []
    assert settling.next_due() == 1.0 + LATER
    assert settling.due(1.0 + LATER) == [single(2)]
    assert settling.next_due() is None


def test_more_than_a_quarter_of_the_prefetch_does_not_wait() -> None:
    settling = settling_of(20, prefetch=16)
    finish(settling, 2, 3, 4, 5)

    before = settling.due(0.0)
    finish(settling, 6)

    assert before == []
    assert settling.due(0.0) == [single(tag) for tag in (2, 3, 4, 5, 6)]


def test_nothing_waits_where_the_prefetch_is_small() -> None:
    settling = settling_of(2, prefetch=2)
    finish(settling, 2)

    assert settling.due(0.0) == [single(2)]


def test_the_slow_one_is_acknowledged_together_with_those_behind_it() -> None:
    settling = settling_of(4)
    finish(settling, 2, 3)
    waiting = settling.due(0.0)
    finish(settling, 1)

    assert waiting == []
    assert settling.due(0.0) == [multiple(3)]


def test_a_rejected_delivery_holds_nobody_up() -> None:
    settling = settling_of(3)
    rejected = settling.rejected(2)
    finish(settling, 1, 3)

    assert rejected
    assert settling.due(0.0) == [multiple(3)]


def test_a_delivery_is_settled_once() -> None:
    settling = settling_of(2)

    assert settling.finished(1, 0.0)
    assert not settling.finished(1, 0.0)
    assert not settling.rejected(1)
    assert settling.rejected(2)
    assert not settling.finished(2, 0.0)
    assert not settling.finished(99, 0.0)
    assert settling.due(0.0) == [single(1)]


def test_none_waits_when_the_channel_is_about_to_close() -> None:
    settling = settling_of(5)
    finish(settling, 1, 3, 5)

    assert settling.due(0.0, all_of_them=True) == [single(1), single(3), single(5)]
    assert settling.unsettled == 2


@given(st.integers(1, 20), st.booleans(), st.lists(st.tuples(st.sampled_from("dfrt"), st.integers(0, 30)), max_size=80))
def test_every_delivery_is_settled_exactly_once_on_the_wire(
    prefetch: int, may_linger: bool, steps: list[tuple[str, int]]
) -> None:
    """What RabbitMQ would make of it: ``multiple`` settles all up to its tag, and may only name an unsettled tag."""
    settling, unsettled, finished, now, last = Settling(prefetch, may_linger=may_linger), set[int](), set[int](), 0.0, 0
    for what, number in [*steps, ("t", 9)]:
        if what == "d" and len(unsettled) < prefetch:
            last += 1
            settling.delivered(last)
            unsettled.add(last)
        elif what == "f" and settling.finished(number, now):
            finished.add(number)
        elif what == "r" and settling.rejected(number):
            unsettled.remove(number)
        elif what == "t":
            now += number / 1000
        for tag, up_to in settling.due(now):
            settled = {one for one in unsettled if one <= tag} if up_to else {tag}
            assert tag in unsettled
            assert settled <= finished
            unsettled -= settled

    assert not unsettled & finished
    assert settling.unsettled == len(unsettled)

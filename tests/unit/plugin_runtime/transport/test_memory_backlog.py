"""The order of a queue, and when it is full."""

import pytest

from contracts.topology import Queue
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.memory_backlog import Backlog, Capacity, backlog_of
from plugin_runtime.transport.memory_message import Publication, StoredMessage

CLASSIC = Queue(name="q")
LIMITED = Queue(name="q", kind="quorum", delivery_limit=5)
UNLIMITED = Queue(name="q", kind="quorum")


def filled(queue: Queue, count: int = 4) -> Backlog:
    backlog = backlog_of(queue)
    for position in range(count):
        message = Message(body=str(position).encode(), type="event", message_id=str(position))
        backlog.append(StoredMessage(Publication("x", "k", message), position, None))
    return backlog


def order(backlog: Backlog) -> str:
    bodies = "".join(stored.publication.message.body.decode() for stored in backlog.messages())
    popped = [backlog.head is backlog.pop() for _ in range(len(backlog))]
    assert all(popped)
    assert backlog.head is None
    return bodies


@pytest.mark.parametrize(("queue", "expected"), [(CLASSIC, "0123"), (LIMITED, "1023"), (UNLIMITED, "2310")])
def test_requeued_messages_return(queue: Queue, expected: str) -> None:
    """To their places; or before what is new, in the order of their return; or to the end."""
    backlog = filled(queue)
    first, second = backlog.pop(), backlog.pop()

    backlog.requeue(second)
    backlog.requeue(first)

    assert order(backlog) == expected


@pytest.mark.parametrize("queue", [CLASSIC, LIMITED, UNLIMITED])
def test_what_a_lost_consumer_had_comes_first(queue: Queue) -> None:
    backlog = filled(queue)
    lost = [backlog.pop(), backlog.pop()]

    for stored in lost:
        backlog.restore(stored)

    assert order(backlog) == "0123"


@pytest.mark.parametrize("queue", [CLASSIC, LIMITED])
def test_cleared_backlog_is_empty(queue: Queue) -> None:
    backlog = filled(queue)
    backlog.requeue(backlog.pop())

    backlog.clear()

    assert (len(backlog), backlog.head, backlog.messages()) == (0, None, ())


def test_classic_queue_rejects_at_its_length() -> None:
    capacity = Capacity(Queue(name="q", max_length=2, overflow="reject-publish"))

    assert [capacity.admits_one_more(ready) for ready in (0, 1, 2, 3)] == [True, True, False, False]
    assert not capacity.is_exceeded(3)


def test_quorum_queue_rejects_beyond_its_length_until_a_fifth_is_free() -> None:
    capacity, admitted = Capacity(Queue(name="q", kind="quorum", max_length=5, overflow="reject-publish")), list[bool]()

    for load in (5, 6, 5, 4, 5):
        capacity.note(load)
        admitted.append(capacity.admits_one_more(load))

    assert admitted == [True, False, False, True, True]


@pytest.mark.parametrize("overflow", [None, "drop-head"])
def test_queue_that_drops_takes_everything(overflow: None) -> None:
    capacity = Capacity(Queue(name="q", max_length=2, overflow=overflow))
    capacity.note(3)

    assert capacity.admits_one_more(3)
    assert [capacity.is_exceeded(ready) for ready in (2, 3)] == [False, True]


def test_queue_without_a_length_is_never_full() -> None:
    capacity = Capacity(Queue(name="q", overflow="reject-publish"))
    capacity.note(10**6)

    assert capacity.admits_one_more(10**6)
    assert not capacity.is_exceeded(10**6)

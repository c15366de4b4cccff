"""Where messages go that expire, are rejected, or were handed out too often."""

import pytest

from contracts.topology import Binding, Exchange, Queue
from plugin_runtime.transport.base import Delivery, Transport
from tests.conformance.collector import Collector, Kind, lay, make_message, publish_all

EXPIRY_SECONDS = 20.0


async def dead_letters(transport: Transport) -> Collector:
    """Everything dead lettered to exchange ``dead``."""
    collector = Collector()
    await transport.declare_exchange(Exchange("dead"))
    await transport.declare_queue(Queue(name="graveyard"))
    await transport.bind(Binding("graveyard", "dead", "#"))
    await transport.consume("graveyard", collector, prefetch=10, role="dead", no_ack=True)
    return collector


async def test_rejected_message_is_dead_lettered_with_its_own_key(transport: Transport) -> None:
    dead, collector = await dead_letters(transport), Collector()
    await lay(transport, Queue(name="q", dead_letter_exchange="dead"), "#")
    await publish_all(transport, ["a"], key="own.key")

    await transport.consume("q", collector, prefetch=1, role="r")
    (delivery,) = await collector.received()
    await delivery.reject(requeue=False)
    (letter,) = await dead.received()

    assert (letter.exchange, letter.routing_key, letter.message.body) == ("dead", "own.key", b"a")
    assert letter.message.message_id == delivery.message.message_id


async def test_dead_letter_takes_the_key_the_queue_gives(transport: Transport) -> None:
    dead, collector = await dead_letters(transport), Collector()
    await lay(transport, Queue(name="q", dead_letter_exchange="dead", dead_letter_routing_key="given.key"), "#")
    await publish_all(transport, ["a"], key="own.key")

    await transport.consume("q", collector, prefetch=1, role="r")
    (delivery,) = await collector.received()
    await delivery.reject(requeue=False)
    (letter,) = await dead.received()

    assert letter.routing_key == "given.key"


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_message_that_outlives_its_expiration_is_dead_lettered(transport: Transport, kind: Kind) -> None:
    dead = await dead_letters(transport)
    await lay(transport, Queue(name="q", kind=kind, dead_letter_exchange="dead"), "#")

    await transport.publish(make_message("a", expiration_seconds=0.05), exchange="x", routing_key="own.key")
    (letter,) = await dead.received(timeout=EXPIRY_SECONDS)

    assert (letter.routing_key, letter.message.body) == ("own.key", b"a")
    assert letter.message.expiration_seconds is None


async def test_message_that_outlives_the_queues_ttl_is_dead_lettered(transport: Transport) -> None:
    dead = await dead_letters(transport)
    queue = Queue(name="q", message_ttl_seconds=0.05, dead_letter_exchange="dead", dead_letter_routing_key="given.key")
    await lay(transport, queue, "#")

    await publish_all(transport, ["a"])
    (letter,) = await dead.received(timeout=EXPIRY_SECONDS)

    assert letter.routing_key == "given.key"


async def test_expired_message_is_never_delivered(transport: Transport) -> None:
    """A consumer that comes late gets only what is still valid."""
    dead, collector = await dead_letters(transport), Collector()
    await lay(transport, Queue(name="q", dead_letter_exchange="dead"), "#")
    await transport.publish(make_message("late", expiration_seconds=0.05), exchange="x", routing_key="k")
    await dead.received(timeout=EXPIRY_SECONDS)

    await publish_all(transport, ["valid"])
    await transport.consume("q", collector, prefetch=10, role="r")
    await collector.acknowledged()

    assert collector.bodies == ["valid"]


async def test_dropped_head_is_dead_lettered(transport: Transport) -> None:
    dead = await dead_letters(transport)
    await lay(transport, Queue(name="q", max_length=1, overflow="drop-head", dead_letter_exchange="dead"), "#")

    await publish_all(transport, "ab")
    await dead.received()

    assert dead.bodies == ["a"]


@pytest.mark.parametrize("at_least_once", [False, True])
async def test_message_handed_out_too_often_is_dead_lettered(transport: Transport, at_least_once: bool) -> None:
    """With a limit of two it is delivered three times: once, and twice again."""
    dead, collector = await dead_letters(transport), Collector()
    queue = Queue(
        name="q",
        kind="quorum",
        delivery_limit=2,
        dead_letter_exchange="dead",
        dead_letter_at_least_once=at_least_once,
    )
    await lay(transport, queue, "#")
    await publish_all(transport, ["poison"])

    await transport.consume("q", collector, prefetch=1, role="r")
    counts = [await _requeued(collector, nth) for nth in (1, 2, 3)]
    await dead.received(timeout=EXPIRY_SECONDS)

    assert counts == [0, 1, 2]
    assert dead.bodies == ["poison"]
    assert len(collector.deliveries) == 3


async def _requeued(collector: Collector, nth: int) -> int:
    delivery: Delivery = (await collector.received(nth))[nth - 1]
    await delivery.reject(requeue=True)
    return delivery.delivery_count


async def test_delay_queue_returns_messages_to_their_queue(transport: Transport) -> None:
    """The shape of a retry: a queue without consumers whose messages expire into another exchange."""
    collector = Collector()
    await lay(transport, Queue(name="work"), "work", exchange="back")
    delay = Queue(
        name="delay",
        kind="quorum",
        message_ttl_seconds=30.0,
        dead_letter_exchange="back",
        dead_letter_routing_key="work",
        dead_letter_at_least_once=True,
    )
    await lay(transport, delay, "#")
    await transport.consume("work", collector, prefetch=1, role="r")

    message = make_message("again", expiration_seconds=0.05, headers={"x-attempt": 2})
    await transport.publish(message, exchange="x", routing_key="k")
    (delivery,) = await collector.received(timeout=EXPIRY_SECONDS)
    await delivery.acknowledge()

    assert (delivery.exchange, delivery.routing_key) == ("back", "work")
    assert delivery.message.headers["x-attempt"] == 2

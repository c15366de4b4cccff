"""Where messages go that a consumer gave back, and what their time does meanwhile."""

import asyncio

import pytest

from contracts.topology import Queue
from plugin_runtime.transport.base import Transport
from tests.conformance.collector import Collector, Kind, lay, make_message, publish_all
from tests.conformance.conftest import OpenTransport
from tests.conformance.test_dead_lettering import EXPIRY_SECONDS, dead_letters
from tests.waiting import eventually

SHORT_SECONDS = 0.3


def limited(kind: Kind, **fields: object) -> Queue:
    """A queue that is bounded in its redeliveries where it can be, as all of the bus's quorum queues are."""
    return Queue(**{"name": "q", "kind": kind, "delivery_limit": 5 if kind == "quorum" else None} | fields)  # type: ignore[arg-type]


async def ready(transport: Transport, count: int) -> None:
    """Wait until so many messages are back in the queue."""

    async def are_back() -> bool:
        return (await transport.depth("q")).messages == count

    await eventually(are_back)


@pytest.mark.parametrize(("kind", "order"), [("classic", "abcdef"), ("quorum", "bacdef")])
async def test_requeued_messages_come_before_new_ones(transport: Transport, kind: Kind, order: str) -> None:
    """A classic queue puts them to their old places, a quorum queue in the order in which they came back."""
    await lay(transport, limited(kind), "k")
    await publish_all(transport, "abcdef")
    first, second = Collector(), Collector()
    consumer = await transport.consume("q", first, prefetch=3, role="r")
    deliveries = await first.received(3)
    await consumer.cancel()

    for nth in (1, 0, 2):
        await deliveries[nth].reject(requeue=True)
    await ready(transport, 6)
    await transport.consume("q", second, prefetch=6, role="r")
    received = await second.received(6)

    assert second.bodies == list(order)
    assert [one.redelivered for one in received] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_message_given_back_after_its_time_is_over_expires(transport: Transport, kind: Kind) -> None:
    """Time goes on in a consumer's hands, but what it has it may finish."""
    dead, collector = await dead_letters(transport), Collector()
    await lay(transport, limited(kind, dead_letter_exchange="dead"), "k")
    for body in "ab":
        await transport.publish(make_message(body, expiration_seconds=SHORT_SECONDS), exchange="x", routing_key="k")
    consumer = await transport.consume("q", collector, prefetch=2, role="r")
    first, second = await collector.received(2)
    await consumer.cancel()

    await asyncio.sleep(SHORT_SECONDS * 1.1)
    before = list(dead.bodies)
    await first.acknowledge()
    await second.reject(requeue=True)
    (letter,) = await dead.received(timeout=EXPIRY_SECONDS)

    assert before == []
    assert letter.message.body == b"b"
    assert letter.message.headers["x-first-death-reason"] == "expired"


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_message_given_back_in_time_keeps_its_expiration(transport: Transport, kind: Kind) -> None:
    dead, collector = await dead_letters(transport), Collector()
    await lay(transport, limited(kind, dead_letter_exchange="dead"), "k")
    await transport.publish(make_message("a", expiration_seconds=SHORT_SECONDS), exchange="x", routing_key="k")
    consumer = await transport.consume("q", collector, prefetch=1, role="r")
    (delivery,) = await collector.received()
    await consumer.cancel()

    await delivery.reject(requeue=True)
    (letter,) = await dead.received(timeout=EXPIRY_SECONDS)

    assert letter.message.headers["x-first-death-reason"] == "expired"


async def test_lost_consumer_counts_towards_the_delivery_limit(open_transport: OpenTransport) -> None:
    """A message that brings its consumers down is a poison message too."""
    watcher = await open_transport("plugin-w")
    dead = await dead_letters(watcher)
    await lay(watcher, Queue(name="q", kind="quorum", delivery_limit=1, dead_letter_exchange="dead"), "k")
    await publish_all(watcher, ["poison"])

    for name in ("plugin-a", "plugin-b"):
        collector, crashing = Collector(), await open_transport(name)
        await crashing.consume("q", collector, prefetch=1, role="r")
        await collector.received()
        await crashing.close()
    (letter,) = await dead.received()

    assert letter.message.headers["x-first-death-reason"] == "delivery_limit"


@pytest.mark.parametrize("sent", [0.0001, 0.0, 1.0004])
async def test_expirations_are_rounded_up_to_milliseconds(transport: Transport, sent: float) -> None:
    """Zero reaches only a consumer that is ready."""
    await lay(transport, Queue(name="q"), "k")
    collector = Collector()
    await transport.consume("q", collector, prefetch=1, role="r")

    await transport.publish(make_message("a", expiration_seconds=sent), exchange="x", routing_key="k")
    (delivery,) = await collector.acknowledged()

    assert delivery.message.expiration_seconds == {0.0001: 0.001, 0.0: 0.0, 1.0004: 1.001}[sent]

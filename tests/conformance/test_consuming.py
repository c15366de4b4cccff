"""Who gets which message, and what settling does."""

import asyncio

import pytest

from contracts.errors import MissingQueueError, TransportError
from contracts.topology import Queue
from plugin_runtime.transport.base import Delivery, Transport
from tests.conformance.collector import Collector, Kind, lay, make_message, publish_all
from tests.conformance.conftest import OpenTransport
from tests.waiting import eventually


async def test_missing_queue_cannot_be_consumed(transport: Transport) -> None:
    with pytest.raises(MissingQueueError):
        await transport.consume("nowhere", Collector(), prefetch=1, role="r")


async def test_consumers_compete(open_transport: OpenTransport) -> None:
    """Each message reaches one of them; both get some."""
    first, second = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(first, Queue(name="q"), "k")
    collectors = Collector(), Collector()
    await first.consume("q", collectors[0], prefetch=1, role="r")
    await second.consume("q", collectors[1], prefetch=1, role="r")

    await publish_all(first, "ab")
    for collector in collectors:
        await collector.acknowledged()

    assert sorted(collectors[0].bodies + collectors[1].bodies) == ["a", "b"]


async def test_prefetch_bounds_what_is_unsettled(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "abc")
    collector = Collector()

    await transport.consume("q", collector, prefetch=2, role="r")
    first, _ = await collector.received(2)
    held_back = (await transport.depth("q")).messages
    await first.acknowledge()
    await collector.received(3)

    assert held_back == 1
    assert collector.bodies == ["a", "b", "c"]


async def test_no_ack_settles_when_sent(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "abc")
    collector = Collector()

    consumer = await transport.consume("q", collector, prefetch=1, role="r", no_ack=True)
    for delivery in await collector.received(3):
        await delivery.acknowledge()
    await consumer.cancel()

    assert (await transport.depth("q")).messages == 0


async def test_rejected_message_is_dropped_without_dead_letter_exchange(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "ab")
    collector = Collector()

    consumer = await transport.consume("q", collector, prefetch=1, role="r")
    (first,) = await collector.received()
    await first.reject(requeue=False)
    await collector.received(2)
    await consumer.cancel()

    assert collector.bodies == ["a", "b"]
    assert (await transport.depth("q")).messages == 0


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_requeued_message_comes_back_redelivered(transport: Transport, kind: Kind) -> None:
    await lay(transport, Queue(name="q", kind=kind, delivery_limit=5 if kind == "quorum" else None), "k")
    await publish_all(transport, "a")
    collector = Collector()

    await transport.consume("q", collector, prefetch=1, role="r")
    (first,) = await collector.received()
    await first.reject(requeue=True)
    again = (await collector.received(2))[1]

    assert (first.redelivered, again.redelivered) == (False, True)
    assert (first.delivery_count, again.delivery_count) == (0, int(kind == "quorum"))
    assert again.message.body == b"a"
    await again.acknowledge()


async def test_delivery_can_be_acknowledged_from_a_plain_function(open_transport: OpenTransport) -> None:
    """It makes room for the next, once or twice is the same, and after a cancel it counts as well."""
    transport, other = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "abc")
    collector, rest = Collector(), Collector()

    consumer = await transport.consume("q", collector, prefetch=1, role="r")
    for count in (1, 2):
        (*_, last) = await collector.received(count)
        last.acknowledge_soon()
        last.acknowledge_soon()
    (*_, last) = await collector.received(3)
    await consumer.cancel()
    last.acknowledge_soon()
    await other.consume("q", rest, prefetch=10, role="r")
    await other.publish(make_message("d"), exchange="x", routing_key="k")
    await rest.acknowledged()
    await transport.close()
    await other.publish(make_message("e"), exchange="x", routing_key="k")
    await rest.received(2)

    assert (collector.bodies, rest.bodies) == (["a", "b", "c"], ["d", "e"])


async def test_settling_twice_does_nothing(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "ab")
    collector = Collector()

    await transport.consume("q", collector, prefetch=1, role="r")
    (first,) = await collector.received()
    await first.acknowledge()
    await first.acknowledge()
    await first.reject(requeue=True)
    await collector.acknowledged(2)

    assert collector.bodies == ["a", "b"]


async def test_cancelled_consumer_gets_nothing_more(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    collector = Collector()
    consumer = await transport.consume("q", collector, prefetch=10, role="r")

    await consumer.cancel()
    await consumer.cancel()
    await publish_all(transport, "a")

    assert (await transport.depth("q")).messages == 1
    assert collector.bodies == []
    assert consumer.queue == "q"


async def test_slow_delivery_does_not_hold_up_those_behind_it(transport: Transport) -> None:
    """However acknowledgements are put together: 500 come and go while the first is still worked on."""
    await lay(transport, Queue(name="q"), "k")
    bodies = [str(number) for number in range(501)]
    await asyncio.gather(
        *(transport.publish(make_message(body), exchange="x", routing_key="k", timeout=60) for body in bodies)
    )
    collector, acknowledging = Collector(), set[asyncio.Task[None]]()

    def on_delivery(delivery: Delivery) -> None:
        collector(delivery)
        if delivery.message.body != b"0":
            acknowledging.add(asyncio.create_task(delivery.acknowledge()))

    await transport.consume("q", on_delivery, prefetch=64, role="r")
    slow, *_ = await collector.received(501)
    await asyncio.gather(*acknowledging, slow.acknowledge())

    assert collector.bodies == bodies


@pytest.mark.parametrize(("kind", "counted"), [("classic", 0), ("quorum", 1)])
async def test_cancelled_consumer_counts_in_a_quorum_queue_until_it_has_settled_all(
    transport: Transport, kind: Kind, counted: int
) -> None:
    await lay(transport, Queue(name="q", kind=kind), "k")
    await publish_all(transport, "a")
    collector = Collector()
    consumer = await transport.consume("q", collector, prefetch=1, role="r")
    (delivery,) = await collector.received()

    await consumer.cancel()
    while_unsettled = (await transport.depth("q")).consumers
    await delivery.acknowledge()

    async def is_gone() -> bool:
        return (await transport.depth("q")).consumers == 0

    await eventually(is_gone)
    assert while_unsettled == counted


async def test_deliveries_can_be_settled_after_cancel(open_transport: OpenTransport) -> None:
    """One is acknowledged, one is requeued; nothing comes back by itself."""
    transport, other = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "ab")
    collector, rest = Collector(), Collector()
    consumer = await transport.consume("q", collector, prefetch=10, role="r")
    first, second = await collector.received(2)

    await consumer.cancel()
    await first.acknowledge()
    await second.reject(requeue=True)
    await other.consume("q", rest, prefetch=10, role="r")
    (again,) = await rest.acknowledged()
    await other.close()

    assert (again.message.body, again.redelivered) == (b"b", True)
    assert (await transport.depth("q")).messages == 0


async def test_unsettled_deliveries_come_back_when_the_transport_closes(open_transport: OpenTransport) -> None:
    """In their old order, redelivered; settling afterwards is silent."""
    first, second = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(first, Queue(name="q"), "k")
    await publish_all(first, "abc")
    collector, rest = Collector(), Collector()
    await first.consume("q", collector, prefetch=2, role="r")
    deliveries = await collector.received(2)

    await first.close()
    await deliveries[0].acknowledge()
    await second.consume("q", rest, prefetch=10, role="r")
    received = await rest.acknowledged(3)

    assert [(one.message.body, one.redelivered) for one in received] == [(b"a", True), (b"b", True), (b"c", False)]


async def test_higher_priority_is_served_first(open_transport: OpenTransport) -> None:
    first, second = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(first, Queue(name="q"), "k")
    low, high = Collector(), Collector()
    await first.consume("q", low, prefetch=10, role="r")
    await second.consume("q", high, prefetch=2, role="r", priority=1)

    await publish_all(first, "abc")
    await high.received(2)
    await low.received(1)

    assert (high.bodies, low.bodies) == (["a", "b"], ["c"])


async def test_exclusive_consumer_keeps_others_out(open_transport: OpenTransport) -> None:
    first, second = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(first, Queue(name="q"), "k")
    consumer = await first.consume("q", Collector(), prefetch=1, role="r", exclusive=True)

    with pytest.raises(TransportError):
        await second.consume("q", Collector(), prefetch=1, role="r")
    await consumer.cancel()
    await second.consume("q", Collector(), prefetch=1, role="r")


async def test_exclusive_consumer_needs_a_queue_without_consumers(open_transport: OpenTransport) -> None:
    first, second = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(first, Queue(name="q"), "k")
    await first.consume("q", Collector(), prefetch=1, role="r")

    with pytest.raises(TransportError):
        await second.consume("q", Collector(), prefetch=1, role="r", exclusive=True)


async def test_single_active_consumer_is_not_exclusive(transport: Transport) -> None:
    await lay(transport, Queue(name="q", single_active_consumer=True), "k")

    with pytest.raises(TransportError):
        await transport.consume("q", Collector(), prefetch=1, role="r", exclusive=True)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_single_active_consumer_is_followed_by_the_next(open_transport: OpenTransport, kind: Kind) -> None:
    first, second = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(first, Queue(name="q", kind=kind, single_active_consumer=True), "k")
    active, waiting = Collector(), Collector()
    consumer = await first.consume("q", active, prefetch=10, role="r")
    await second.consume("q", waiting, prefetch=10, role="r")

    await publish_all(first, "ab")
    await active.acknowledged(2)
    await consumer.cancel()
    await publish_all(first, "c")
    await waiting.acknowledged(1)

    assert (active.bodies, waiting.bodies) == (["a", "b"], ["c"])


async def test_closed_transport_consumes_no_more(open_transport: OpenTransport) -> None:
    first, second = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(first, Queue(name="q"), "k")
    await first.consume("q", Collector(), prefetch=1, role="r")

    await first.close()
    await first.close()

    async def has_no_consumers() -> bool:
        return (await second.depth("q")).consumers == 0

    await eventually(has_no_consumers)
    assert not first.is_connected

"""Declaring, binding, deleting."""

import asyncio
from dataclasses import replace

import pytest

from contracts.errors import MissingQueueError, PublisherRefusedError, ReturnedMessageError, TransportError
from contracts.topology import DEFAULT_EXCHANGE, Binding, Exchange, Queue
from plugin_runtime.transport.base import QueueDepth, Transport
from tests.conformance.collector import Collector, lay, make_message, publish_all
from tests.conformance.conftest import OpenTransport
from tests.waiting import eventually


async def test_declaring_and_binding_twice_changes_nothing(transport: Transport) -> None:
    queue = Queue(name="q", max_length=5, overflow="reject-publish", expires_seconds=60.0)
    await lay(transport, queue, "k")
    await publish_all(transport, "a")

    await lay(transport, queue, "k")

    assert (await transport.depth("q")).messages == 1


async def test_queue_with_other_arguments_is_refused(transport: Transport) -> None:
    await transport.declare_queue(Queue(name="q", max_length=5))

    with pytest.raises(TransportError):
        await transport.declare_queue(Queue(name="q", max_length=6))


async def test_queue_is_the_same_when_its_milliseconds_are(transport: Transport) -> None:
    """So it is when at-least-once dead lettering brings the overflow that it needs."""
    at_least_once = Queue(name="l", kind="quorum", dead_letter_exchange="d", dead_letter_at_least_once=True)
    await transport.declare_queue(Queue(name="q", message_ttl_seconds=0.0011))
    await transport.declare_queue(at_least_once)

    await transport.declare_queue(Queue(name="q", message_ttl_seconds=0.0019))
    await transport.declare_queue(replace(at_least_once, overflow="reject-publish"))


@pytest.mark.parametrize(
    "queue",
    [
        Queue(name="q", delivery_limit=3),
        Queue(name="q", kind="quorum", exclusive=True),
        Queue(name="q", dead_letter_exchange="d", dead_letter_at_least_once=True),
        Queue(name="q", dead_letter_routing_key="k"),
        Queue(name="q", expires_seconds=0.0),
        Queue(name="q", message_ttl_seconds=-1.0),
        Queue(name="q", max_length=-1),
    ],
    ids=str,
)
async def test_impossible_queue_is_refused(transport: Transport, queue: Queue) -> None:
    with pytest.raises(TransportError):
        await transport.declare_queue(queue)
    with pytest.raises(MissingQueueError):
        await transport.depth("q")


async def test_rabbitmqs_own_names_are_refused(transport: Transport) -> None:
    await transport.declare_queue(Queue(name="q"))

    with pytest.raises(PublisherRefusedError):
        await transport.declare_queue(Queue(name="amq.mine"))
    with pytest.raises(PublisherRefusedError):
        await transport.declare_exchange(Exchange("amq.mine"))
    with pytest.raises(PublisherRefusedError):
        await transport.bind(Binding("q", DEFAULT_EXCHANGE, "k"))
    with pytest.raises(PublisherRefusedError):
        await transport.delete_exchange("amq.topic")


async def test_depth_tells_messages_and_consumers(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "ab")

    before = await transport.depth("q")
    await transport.consume("q", Collector(), prefetch=1, role="r")

    assert before == QueueDepth(messages=2, consumers=0)
    assert (await transport.depth("q")).consumers == 1


@pytest.mark.parametrize("operation", ["depth", "purge_queue"])
async def test_missing_queue_is_an_error(transport: Transport, operation: str) -> None:
    with pytest.raises(MissingQueueError):
        await getattr(transport, operation)("nowhere")


@pytest.mark.parametrize("binding", [Binding("nowhere", "x", "k"), Binding("q", "nowhere", "k")])
async def test_binding_needs_queue_and_exchange(transport: Transport, binding: Binding) -> None:
    await transport.declare_exchange(Exchange("x"))
    await transport.declare_queue(Queue(name="q"))

    with pytest.raises(MissingQueueError):
        await transport.bind(binding)


async def test_taking_away_what_is_not_there_is_no_error(transport: Transport) -> None:
    await transport.delete_queue("nowhere")
    await transport.delete_exchange("nowhere")
    await transport.unbind(Binding("nowhere", "nowhere", "k"))


async def test_purge_drops_the_ready_messages_and_counts_them(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "abc")

    assert await transport.purge_queue("q") == 3
    assert (await transport.depth("q")).messages == 0


async def test_deleted_queue_loses_its_bindings(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await transport.delete_queue("q")
    await transport.declare_queue(Queue(name="q"))

    with pytest.raises(ReturnedMessageError):
        await transport.publish(make_message(), exchange="x", routing_key="k")


async def test_deleted_exchange_loses_its_bindings(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await transport.delete_exchange("x")
    await transport.declare_exchange(Exchange("x"))

    with pytest.raises(ReturnedMessageError):
        await transport.publish(make_message(), exchange="x", routing_key="k")


async def test_unused_queue_expires(transport: Transport) -> None:
    """Asking for its depth would count as use, so a publish has to tell."""
    await transport.declare_queue(Queue(name="q", expires_seconds=0.2))

    async def is_gone() -> bool:
        try:
            await transport.publish(make_message(), exchange=DEFAULT_EXCHANGE, routing_key="q")
        except ReturnedMessageError:
            return True
        return False

    assert await eventually(is_gone, timeout=20.0)


async def test_consumed_queue_does_not_expire(transport: Transport) -> None:
    """Its time begins when the last consumer goes."""
    await lay(transport, Queue(name="q", expires_seconds=0.2), "k")
    collector = Collector()
    consumer = await transport.consume("q", collector, prefetch=1, role="r")

    await asyncio.sleep(0.4)
    await publish_all(transport, "a")
    await collector.acknowledged()
    await consumer.cancel()

    async def is_gone() -> bool:
        try:
            await transport.publish(make_message(), exchange="x", routing_key="k")
        except ReturnedMessageError:
            return True
        return False

    assert await eventually(is_gone, timeout=20.0)


async def test_asking_for_the_depth_is_use(transport: Transport) -> None:
    await transport.declare_queue(Queue(name="q", expires_seconds=0.6))

    for _ in range(4):
        await asyncio.sleep(0.2)
        await transport.depth("q")

    assert (await transport.depth("q")).messages == 0


async def test_nobody_consumes_an_exclusive_queue(open_transport: OpenTransport) -> None:
    """Not even its holder: it declares on one connection and consumes on another."""
    holder, other = await open_transport("plugin-a"), await open_transport("plugin-b")
    await holder.declare_queue(Queue(name="lock", exclusive=True))

    for transport in (holder, other):
        with pytest.raises(TransportError):
            await transport.consume("lock", Collector(), prefetch=1, role="r")


@pytest.mark.parametrize("operation", ["depth", "purge_queue", "delete_queue"])
async def test_others_cannot_touch_an_exclusive_queue(open_transport: OpenTransport, operation: str) -> None:
    holder, other = await open_transport("plugin-a"), await open_transport("plugin-b")
    await holder.declare_queue(Queue(name="lock", exclusive=True))
    await other.publish(make_message(), exchange=DEFAULT_EXCHANGE, routing_key="lock")

    with pytest.raises(TransportError):
        await getattr(other, operation)("lock")
    assert (await holder.depth("lock")).messages == 1


async def test_exclusive_queue_is_refused_to_others(open_transport: OpenTransport) -> None:
    holder, other = await open_transport("plugin-a"), await open_transport("plugin-b")
    await holder.declare_queue(Queue(name="lock", exclusive=True))

    with pytest.raises(TransportError):
        await other.declare_queue(Queue(name="lock", exclusive=True))
    await holder.declare_queue(Queue(name="lock", exclusive=True))


async def test_opening_twice_keeps_the_connection(open_transport: OpenTransport) -> None:
    """An exclusive queue belongs to a connection: it is still ours, so no second one was made."""
    holder = await open_transport()
    await holder.declare_queue(Queue(name="lock", exclusive=True))

    await holder.open()

    await holder.declare_queue(Queue(name="lock", exclusive=True))
    assert (await holder.depth("lock")).messages == 0


async def test_exclusive_queue_goes_with_its_holder(open_transport: OpenTransport) -> None:
    holder, other = await open_transport("plugin-a"), await open_transport("plugin-b")
    await holder.declare_queue(Queue(name="lock", exclusive=True))

    await holder.close()

    async def is_taken_over() -> bool:
        try:
            await other.declare_queue(Queue(name="lock", exclusive=True))
        except TransportError:
            return False
        return True

    assert await eventually(is_taken_over)

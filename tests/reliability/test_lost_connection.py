"""RabbitMQ away, connections cut, the node restarted, queues deleted: the transport comes back by itself."""

import asyncio
import gc
from collections import Counter

import pytest
from structlog.testing import capture_logs

from contracts.errors import NotConnectedError, UnconfirmedPublishError
from contracts.topology import Queue
from plugin_runtime.transport.amqp import AmqpTransport
from tests.conformance.collector import Collector, Kind, lay, make_message, publish_all
from tests.ports import free_port
from tests.rabbitmq import RabbitMQNode
from tests.reliability.conftest import MakeTransport
from tests.reliability.relay import Relay
from tests.waiting import eventually

CUT_SECONDS = 30.0
PUBLISHERS = 50


async def cut(node: RabbitMQNode, prefix: str, count: int) -> None:
    """Close connections through the management API, which learns of them with a delay."""
    closed = 0

    async def all_closed() -> bool:
        nonlocal closed
        closed += await asyncio.to_thread(node.close_connections, prefix)
        return closed >= count

    await eventually(all_closed, timeout=CUT_SECONDS)


async def publish_patiently(transport: AmqpTransport, body: str) -> None:
    """Publish until it is confirmed, as a caller that may repeat does."""

    async def is_published() -> bool:
        try:
            await transport.publish(make_message(body), exchange="x", routing_key="k")
        except NotConnectedError:
            return False
        return True

    await eventually(is_published, timeout=CUT_SECONDS)


async def test_open_waits_for_rabbitmq_and_logs_each_try(relay: Relay, make_transport: MakeTransport) -> None:
    """The tries are logged without the password; the wait ends when RabbitMQ is there."""
    transport = make_transport(relay.url)

    with capture_logs() as logs:
        opening = asyncio.create_task(transport.open())
        await eventually(lambda: [one["event"] for one in logs].count("transport.waiting") >= 3)
        await relay.open()
        await asyncio.wait_for(opening, CUT_SECONDS)

    waits = [one for one in logs if one["event"] == "transport.waiting"]
    assert transport.is_connected
    assert [one["attempt"] for one in waits[:3]] == [1, 2, 3]
    assert waits[0]["url"] == relay.url.replace("guest:guest@", "guest@")
    assert all(0 < one["retry_in_seconds"] <= 5 for one in waits)


async def test_open_can_be_given_up(make_transport: MakeTransport) -> None:
    transport = make_transport(f"amqp://guest:guest@127.0.0.1:{free_port()}/")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(transport.open(), 0.5)

    assert not transport.is_connected


async def test_cut_connections_are_restored(
    rabbitmq_node: RabbitMQNode, vhost_url: str, make_transport: MakeTransport
) -> None:
    """Consumers consume again, unsettled messages come back, publishes succeed, callbacks run."""
    transport, collector, reconnects = make_transport(vhost_url, "plugin-cut"), Collector(), []

    async def on_reconnected() -> None:
        reconnects.append(await transport.depth("q"))

    await transport.open()
    transport.on_reconnected(on_reconnected)
    await lay(transport, Queue(name="q"), "k")
    await transport.consume("q", collector, prefetch=10, role="r", outrank_zombies=True)
    await publish_all(transport, "a")
    (before,) = await collector.received()

    await cut(rabbitmq_node, "plugin-cut/", 2)
    await publish_patiently(transport, "b")
    received = await collector.received(3)
    await before.acknowledge()
    await eventually(lambda: reconnects)

    fresh = [one for one in received[1:] if one.message.body == b"b"]
    assert fresh
    assert any(one.message.body == b"a" and one.redelivered for one in received[1:])
    assert transport.is_connected


async def test_many_publishes_survive_cuts(
    rabbitmq_node: RabbitMQNode, vhost_url: str, make_transport: MakeTransport
) -> None:
    """What was confirmed is there; what was not is reported as unknown, never as confirmed."""
    transport = make_transport(vhost_url, "plugin-many")
    await transport.open()
    await lay(transport, Queue(name="q"), "k")
    await eventually(lambda: asyncio.to_thread(_is_listed, rabbitmq_node, "plugin-many/"), timeout=CUT_SECONDS)

    fates: Counter[str] = Counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(PUBLISHERS):
            tasks.create_task(flood(transport, fates))
        await eventually(lambda: fates["confirmed"] > PUBLISHERS)
        await cut(rabbitmq_node, "plugin-many/1/publish", 1)
    depth = await transport.depth("q")

    assert fates["confirmed"] > PUBLISHERS
    assert 1 <= fates["unknown"] <= PUBLISHERS
    assert depth.messages >= fates["confirmed"]


async def flood(transport: AmqpTransport, fates: Counter[str]) -> None:
    """Publish one message after the other until one is cut off, so that some are in flight at every moment."""
    while not fates["unknown"]:
        try:
            await transport.publish(make_message(b"x" * 1000), exchange="x", routing_key="k", timeout=60)
        except NotConnectedError:
            fates["unknown"] += 1
        else:
            fates["confirmed"] += 1


def _is_listed(node: RabbitMQNode, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in node.connection_names())


async def test_publish_without_connection_fails_in_its_time(
    rabbitmq_node: RabbitMQNode, vhost_url: str, make_transport: MakeTransport
) -> None:
    transport = make_transport(vhost_url)
    await transport.open()
    await lay(transport, Queue(name="q"), "k")

    await asyncio.to_thread(rabbitmq_node.stop)
    try:
        await eventually(lambda: not transport.is_connected)
        with pytest.raises(NotConnectedError):
            await transport.publish(make_message(), exchange="x", routing_key="k", timeout=0.2)
    finally:
        await asyncio.to_thread(rabbitmq_node.start)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_restarted_node_is_found_again(
    rabbitmq_node: RabbitMQNode, vhost_url: str, make_transport: MakeTransport, kind: Kind
) -> None:
    """Confirmed messages survive the restart; the consumer goes on where it was."""
    transport, collector = make_transport(vhost_url), Collector()
    await transport.open()
    await lay(transport, Queue(name="q", kind=kind, delivery_limit=20 if kind == "quorum" else None), "k")
    await transport.consume("q", collector, prefetch=10, role="r")
    await publish_all(transport, "ab")
    first, _ = await collector.received(2)
    await first.acknowledge()
    await eventually(lambda: asyncio.to_thread(_unsettled_is, rabbitmq_node, vhost_url, 1), timeout=CUT_SECONDS)

    await asyncio.to_thread(rabbitmq_node.restart)
    await eventually(lambda: transport.is_connected, timeout=CUT_SECONDS)
    await publish_patiently(transport, "c")
    received = await collector.received(4, timeout=CUT_SECONDS)

    bodies = [one.message.body for one in received[2:]]
    assert b"b" in bodies
    assert b"c" in bodies
    assert b"a" not in bodies


def _unsettled_is(node: RabbitMQNode, vhost_url: str, count: int) -> bool:
    (queue,) = node.queues(vhost_url.rpartition("/")[2])
    return bool(queue.get("messages_unacknowledged") == count)


async def test_consumer_waits_for_its_deleted_queue(vhost_url: str, make_transport: MakeTransport) -> None:
    """It logs the wait and consumes as soon as the queue is declared again."""
    transport, collector = make_transport(vhost_url), Collector()
    await transport.open()
    await lay(transport, Queue(name="q"), "k")
    await transport.consume("q", collector, prefetch=10, role="r")

    with capture_logs() as logs:
        await transport.delete_queue("q")
        await eventually(lambda: any(one["event"] == "consumer.waiting" for one in logs))
    await lay(transport, Queue(name="q"), "k")
    await publish_all(transport, "a")
    await collector.acknowledged()

    assert collector.bodies == ["a"]


async def test_consumer_whose_queue_is_gone_can_be_cancelled(vhost_url: str, make_transport: MakeTransport) -> None:
    transport = make_transport(vhost_url)
    await transport.open()
    await transport.declare_queue(Queue(name="q"))
    consumer = await transport.consume("q", Collector(), prefetch=10, role="r")

    with capture_logs() as logs:
        await transport.delete_queue("q")
        await eventually(lambda: any(one["event"] == "consumer.waiting" for one in logs))
        await consumer.cancel()
    await transport.declare_queue(Queue(name="q"))

    assert (await transport.depth("q")).consumers == 0


async def test_zombie_consumer_is_outranked(
    rabbitmq_node: RabbitMQNode, vhost_url: str, make_transport: MakeTransport
) -> None:
    """After a reconnect the priority is one higher than that of the consumer left behind."""
    zombie, transport = make_transport(vhost_url, "plugin-zombie"), make_transport(vhost_url, "plugin-alive")
    await zombie.open()
    await transport.open()
    await lay(transport, Queue(name="q"), "k")
    stolen, collector = Collector(), Collector()
    await zombie.consume("q", stolen, prefetch=10, role="r")
    await transport.consume("q", collector, prefetch=10, role="r", outrank_zombies=True)

    with capture_logs() as logs:
        await cut(rabbitmq_node, "plugin-alive/1/consume", 1)
        await eventually(lambda: any(one["event"] == "consumer.restored" for one in logs), timeout=CUT_SECONDS)
    await publish_all(transport, "abc")
    await collector.acknowledged(3)

    assert (collector.bodies, stolen.bodies) == (["a", "b", "c"], [])


async def test_closing_leaves_no_task_and_no_connection(
    rabbitmq_node: RabbitMQNode, vhost_url: str, make_transport: MakeTransport
) -> None:
    before = asyncio.all_tasks()
    transport = make_transport(vhost_url, "plugin-tidy")
    await transport.open()
    await lay(transport, Queue(name="q"), "k")
    await transport.consume("q", Collector(), prefetch=1, role="r")
    await publish_all(transport, "abc")

    await transport.close()
    gc.collect()

    await eventually(lambda: asyncio.all_tasks() <= before)
    assert await eventually(
        lambda: asyncio.to_thread(lambda: not _is_listed(rabbitmq_node, "plugin-tidy/")), timeout=CUT_SECONDS
    )


async def test_stuck_connection_is_given_up_and_replaced(relay: Relay, make_transport: MakeTransport) -> None:
    """A network that swallows everything: the publish fails in its time, heartbeats end the rest, and it comes back."""
    collector = Collector()
    await relay.open()
    transport = make_transport(f"{relay.url}?heartbeat=1")
    await transport.open()
    await lay(transport, Queue(name="q"), "k")
    await transport.consume("q", collector, prefetch=10, role="r", no_ack=True)

    await publish_all(transport, "a")

    relay.freeze()
    stuck = asyncio.create_task(
        transport.publish(make_message(), exchange="x", routing_key="k", timeout=CUT_SECONDS), name="stuck"
    )
    with pytest.raises(UnconfirmedPublishError):
        await transport.publish(make_message(), exchange="x", routing_key="k", timeout=0.2)
    with pytest.raises(NotConnectedError):
        await stuck
    relay.thaw()
    await publish_patiently(transport, "after")
    await eventually(lambda: "after" in collector.bodies, timeout=CUT_SECONDS)

"""Deliveries and their settlement, with RabbitMQ's part played by the test."""

import asyncio

from pamqp.commands import Basic
from pamqp.frame import marshal
from structlog.testing import capture_logs

from plugin_runtime.transport.base import Delivery
from tests.unit.plugin_runtime.transport.lean.stage import CHANNEL, Stage, content
from tests.waiting import eventually


def written(stage: Stage) -> bytes:
    return b"".join(stage.socket.writes)


async def test_delivery_shows_what_was_published() -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append)

    stage.deliver(1, b"y" * 9000, message_type="event", app_id="plugin-b", headers={"x-delivery-count": 3})

    (delivery,) = received
    assert (delivery.message.body, delivery.message.type) == (b"y" * 9000, "event")
    assert (delivery.exchange, delivery.routing_key, delivery.redelivered) == ("x", "k", False)
    assert (delivery.publisher, delivery.delivery_count) == ("plugin-b", 3)


async def test_deliveries_finished_together_are_acknowledged_by_one_frame() -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append)
    for tag in range(1, 51):
        stage.deliver(tag)

    for delivery in reversed(received):
        await delivery.acknowledge()
    await eventually(lambda: stage.socket.writes)

    assert stage.socket.writes == [marshal(Basic.Ack(50, True), CHANNEL)]


async def test_acknowledgements_that_may_linger_travel_with_those_of_later_turns() -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append, may_linger=True)

    for tag in (1, 2, 3):
        stage.deliver(tag)
        await received[-1].acknowledge()
        await asyncio.sleep(0)
    at_once = written(stage)
    await eventually(lambda: stage.socket.writes)

    assert at_once == b""
    assert stage.socket.writes == [marshal(Basic.Ack(3, True), CHANNEL)]


async def test_delivery_behind_a_slow_one_is_acknowledged_alone_after_a_while() -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append)
    for tag in (1, 2):
        stage.deliver(tag)

    await received[1].acknowledge()
    await asyncio.sleep(0)
    at_once = written(stage)
    await eventually(lambda: stage.socket.writes)

    assert at_once == b""
    assert written(stage) == marshal(Basic.Ack(2, False), CHANNEL)


async def test_rejection_is_written_and_settles_for_good() -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append)
    stage.deliver(1)

    await received[0].reject(requeue=True)
    await received[0].acknowledge()
    await received[0].reject(requeue=False)
    await asyncio.sleep(0)

    assert written(stage) == marshal(Basic.Reject(1, True), CHANNEL)


async def test_nothing_is_settled_where_rabbitmq_expects_nothing() -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append, no_ack=True)
    stage.deliver(1)

    await received[0].acknowledge()
    await asyncio.sleep(0)

    assert written(stage) == b""


async def test_settling_after_the_connection_went_is_silent() -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append)
    stage.deliver(1)

    stage.wire.lost(None)
    await received[0].acknowledge()
    await asyncio.sleep(0)

    assert written(stage) == b""


async def test_unreadable_delivery_is_rejected_alone() -> None:
    """Any plugin may publish one; given back it would come again for ever, and the connection must not fall with it."""
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append)
    unreadable = content(Basic.Deliver("t", 1, False, "x", "k"), b"", message_id="mmmm").replace(b"mmmm", b"\xff" * 4)

    with capture_logs() as logs:
        stage.wire.received(unreadable)
        stage.deliver(2)
    await asyncio.sleep(0)

    assert [one["event"] for one in logs] == ["delivery.unreadable"]
    assert written(stage) == marshal(Basic.Reject(1, False), CHANNEL)
    assert len(received) == 1


async def test_callback_that_fails_is_logged_and_the_next_delivery_comes() -> None:
    def failing(delivery: Delivery) -> None:
        raise ValueError(delivery.message.message_id)

    stage = Stage()
    stage.consume_channel(failing)

    with capture_logs() as logs:
        stage.deliver(1)
        stage.deliver(2)

    assert [one["event"] for one in logs] == ["delivery.callback_failed"] * 2
    assert stage.wire.is_open

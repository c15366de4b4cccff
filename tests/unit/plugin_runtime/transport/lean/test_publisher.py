"""Publishing with confirms, with RabbitMQ's part played by the test."""

import asyncio

import pytest
from pamqp.commands import Basic, Channel

from contracts.errors import (
    MissingQueueError,
    NotConnectedError,
    PublisherRefusedError,
    RejectedPublishError,
    ReturnedMessageError,
    UnconfirmedPublishError,
)
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.lean.framing import OVERHEAD
from plugin_runtime.transport.lean.publisher import LeanPublisher, PublishChannel
from tests.conformance.collector import make_message
from tests.unit.plugin_runtime.transport.lean.stage import CHANNEL, Stage


def send(channel: PublishChannel, message: Message | None = None, *, exchange: str = "x") -> asyncio.Future[None]:
    return channel.publish(message or make_message(), exchange, "k", mandatory=True, timeout=10)


def publisher_on(channel: PublishChannel) -> LeanPublisher:
    async def opened() -> PublishChannel:
        return channel

    return LeanPublisher(opened)


async def publish(publisher: LeanPublisher, body: str = "{}", timeout: float = 10) -> None:
    await publisher.publish_soon(make_message(body), exchange="x", routing_key="k", mandatory=True, timeout=timeout)


async def test_confirms_come_in_any_order_and_for_many_at_once() -> None:
    stage = Stage()
    channel = stage.publish_channel()
    waiters = [send(channel) for _ in range(5)]

    stage.hear(Basic.Ack(4), Basic.Ack(2, True), Basic.Nack(5))

    assert [waiter.done() for waiter in waiters] == [True, True, False, True, True]
    with pytest.raises(RejectedPublishError, match="exchange 'x'"):
        await waiters[4]


async def test_returned_message_fails_before_its_confirm_comes() -> None:
    stage, message = Stage(), make_message(b"x" * 5000)
    waiter = send(stage.publish_channel(), message)

    stage.give_back(message)

    with pytest.raises(ReturnedMessageError):
        await waiter
    assert stage.hear(Basic.Ack(1)) == b""


async def test_two_messages_with_one_id_may_be_in_flight() -> None:
    stage, message = Stage(), make_message(message_id="same")
    channel = stage.publish_channel()
    first, second = send(channel, message), send(channel, message)

    stage.give_back(message)
    stage.hear(Basic.Ack(1))
    stage.give_back(message)
    stage.hear(Basic.Ack(2))

    for waiter in (first, second):
        with pytest.raises(ReturnedMessageError):
            await waiter


async def test_publish_without_confirm_is_given_up_and_its_late_confirm_ignored() -> None:
    stage = Stage()
    channel = stage.publish_channel()
    slow = channel.publish(make_message(), "x", "k", mandatory=True, timeout=10)
    quick = channel.publish(make_message(), "x", "k", mandatory=True, timeout=0.01)

    with pytest.raises(UnconfirmedPublishError):
        await asyncio.wait_for(quick, 5)
    stage.hear(Basic.Ack(2, True))

    assert slow.done()


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        (404, "NOT_FOUND - no exchange 'guilty' in vhost '/'", MissingQueueError),
        (403, "ACCESS_REFUSED - access to exchange 'guilty' in vhost '/' refused", PublisherRefusedError),
    ],
)
async def test_guilty_publish_hears_why_and_the_others_do_not_know(code: int, text: str, meaning: type) -> None:
    stage = Stage()
    channel = stage.publish_channel()
    innocent, guilty = send(channel), send(channel, exchange="guilty")

    stage.close_channel(code, text)

    with pytest.raises(meaning):
        await guilty
    with pytest.raises(NotConnectedError, match="another publish"):
        await innocent


async def test_login_that_is_not_the_publishers_is_to_blame_where_it_was_named_by_the_transport() -> None:
    stage = Stage()
    waiter = send(stage.publish_channel(login="plugin-a"))

    stage.close_channel(406, "PRECONDITION_FAILED - user_id property set to 'plugin-a' but authenticated user was 'b'")

    with pytest.raises(PublisherRefusedError):
        await waiter


async def test_given_up_publisher_does_not_disturb_the_confirms_of_others() -> None:
    stage = Stage()
    publisher = publisher_on(stage.publish_channel())
    given_up, other = asyncio.create_task(publish(publisher)), asyncio.create_task(publish(publisher))
    await asyncio.sleep(0.01)

    given_up.cancel()
    await asyncio.sleep(0)
    stage.hear(Basic.Ack(2, True))
    await other

    assert given_up.cancelled()


async def test_publishes_wait_while_rabbitmq_has_an_alarm_and_then_go_in_their_order() -> None:
    stage = Stage()
    publisher = publisher_on(stage.publish_channel())

    stage.alarm("low on memory")
    waiting = [asyncio.create_task(publish(publisher, body)) for body in "abc"]
    await asyncio.sleep(0.01)
    before = stage.bodies
    stage.alarm(None)
    last = asyncio.create_task(publish(publisher, "d"))
    await asyncio.sleep(0.01)
    stage.hear(Basic.Ack(4, True))
    await asyncio.gather(*waiting, last)

    assert (before, stage.bodies) == ([], [b"a", b"b", b"c", b"d"])


async def test_alarm_that_lasts_too_long_is_named_and_nothing_was_published() -> None:
    stage = Stage()
    publisher = publisher_on(stage.publish_channel())
    stage.alarm("low on disk")

    with pytest.raises(NotConnectedError, match="low on disk"):
        await publish(publisher, timeout=0.01)

    assert stage.frames == []


async def test_channel_flow_is_answered_and_obeyed() -> None:
    stage = Stage()
    publisher = publisher_on(stage.publish_channel())

    stage.hear(Channel.Flow(False))
    waiting = asyncio.create_task(publish(publisher, "a"))
    await asyncio.sleep(0.01)
    held_back = stage.bodies
    stage.hear(Channel.Flow(True))
    await asyncio.sleep(0.01)
    stage.hear(Basic.Ack(1))
    await waiting

    answers = [payload[4] for _, _, payload in stage.frames if payload[:4] == b"\x00\x14\x00\x15"]
    assert (held_back, answers, stage.bodies) == ([], [0, 1], [b"a"])


async def test_publishes_wait_for_a_socket_that_has_enough() -> None:
    stage = Stage()
    publisher = publisher_on(stage.publish_channel())

    stage.wire.paused(is_paused=True)
    waiting = asyncio.create_task(publish(publisher))
    await asyncio.sleep(0.01)
    before = stage.bodies
    stage.wire.paused(is_paused=False)
    await asyncio.sleep(0.01)
    stage.hear(Basic.Ack(1))
    await waiting

    assert (before, stage.bodies) == ([], [b"{}"])


async def test_body_is_split_as_agreed() -> None:
    stage = Stage()
    stage.wire.agree(4096)
    body = bytes(range(256)) * 64

    send(stage.publish_channel(), make_message(body))
    stage.wire.flush()

    assert b"".join(stage.bodies) == body
    assert max(len(part) for part in stage.bodies) == 4096 - OVERHEAD


async def test_message_that_amqp_cannot_carry_is_refused_and_uses_no_number() -> None:
    stage = Stage()
    channel = stage.publish_channel()

    with pytest.raises(TypeError):
        send(channel, make_message(correlation_id="c" * 256))
    waiter = send(channel)
    stage.hear(Basic.Ack(1))

    assert waiter.done()


async def test_nothing_is_written_to_a_channel_that_was_closed() -> None:
    stage = Stage()
    channel = stage.publish_channel()
    stage.close_channel(404, "NOT_FOUND - no exchange 'y' in vhost '/'")

    assert not channel.may_publish
    assert CHANNEL not in stage.wire._taken

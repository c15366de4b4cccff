"""The socket shared with aiormq: whose frames are whose, in which order they are written, and how it ends."""

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Connection, Queue
from pamqp.frame import marshal

from contracts.errors import NotConnectedError, TransportError
from plugin_runtime.transport.base import Delivery
from plugin_runtime.transport.lean import methods
from plugin_runtime.transport.lean.framing import HEARTBEAT_FRAME, METHOD, FramingError, frame
from plugin_runtime.transport.lean.wire import MOST_UNWRITTEN_BYTES
from tests.conformance.collector import make_message
from tests.unit.plugin_runtime.transport.lean.stage import CHANNEL, Stage, content, cut

unhurried = settings(deadline=None)
DECLARED = Queue.DeclareOk("q", 0, 0)


async def test_first_of_a_turn_goes_at_once_and_the_others_together() -> None:
    stage = Stage()

    for data in (b"a", b"b", b"c"):
        stage.wire.send(data)
    before = list(stage.socket.writes)
    await asyncio.sleep(0)
    stage.wire.send(b"d")

    assert (before, stage.socket.writes) == ([b"a"], [b"a", b"bc", b"d"])


async def test_much_is_written_within_the_turn_so_that_the_socket_can_say_enough() -> None:
    stage = Stage()

    stage.wire.send(bytes(MOST_UNWRITTEN_BYTES + 1))

    assert len(stage.socket.writes) == 1


async def test_what_aiormq_writes_comes_behind_what_was_sent_before() -> None:
    stage = Stage()
    stage.wire.send(b"first")

    stage.wire.before(marshal(Basic.Qos(), CHANNEL))

    assert stage.socket.writes == [b"first"]


async def test_frames_of_other_channels_and_other_methods_are_left_to_aiormq() -> None:
    stage = Stage()
    stage.publish_channel()

    assert stage.hear(DECLARED) == marshal(DECLARED, CHANNEL)
    assert stage.hear(Basic.Ack(1), number=6) == marshal(Basic.Ack(1), 6)
    assert stage.hear(Basic.Ack(1)) == b""


async def test_aiormq_sees_a_heartbeat_while_only_messages_come() -> None:
    """RabbitMQ sends none as long as it sends anything else, and aiormq would take the connection for stuck."""
    stage = Stage()
    stage.consume_channel(lambda _: None, no_ack=True)

    at_once = stage.deliver(1)
    stage.wire._last_passed_on -= 2
    later, soon_after = stage.deliver(2), stage.deliver(3)

    assert (at_once, later, soon_after) == (b"", HEARTBEAT_FRAME, b"")


async def test_closing_the_channel_writes_every_acknowledgement_first_and_nothing_afterwards() -> None:
    stage, received = Stage(), list[Delivery]()
    channel = stage.consume_channel(received.append)
    for tag in (1, 2, 3):
        stage.deliver(tag)

    await received[2].acknowledge()
    stage.wire.before(marshal(Channel.Close(200, "", 0, 0), CHANNEL))
    await received[0].acknowledge()
    await asyncio.sleep(0)

    assert stage.frames == [(METHOD, CHANNEL, methods.acknowledge(CHANNEL, 3, multiple=False)[7:-1])]
    assert not channel.is_open


async def test_closing_the_connection_writes_every_acknowledgement_first() -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append)
    stage.deliver(1)

    await received[0].acknowledge()
    stage.wire.before(marshal(Connection.Close(200, "", 0, 0), 0))

    assert len(stage.frames) == 1


async def test_closed_channel_is_left_to_aiormq_so_that_its_number_can_be_used_again() -> None:
    stage = Stage()
    stage.publish_channel()

    closing = stage.close_channel(404, "NOT_FOUND - no exchange 'x' in vhost '/'")

    assert closing[7:11] == marshal(Channel.Close(404, "", 60, 40), CHANNEL)[7:11]
    assert stage.hear(Basic.Ack(1)) != b""


async def test_garbage_loses_the_connection_and_tells_everybody_at_once() -> None:
    stage = Stage()
    waiter = stage.publish_channel().publish(make_message(), "x", "k", mandatory=True, timeout=10)

    with pytest.raises(FramingError):
        stage.wire.received(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert stage.lost == [stage.wire]
    with pytest.raises(NotConnectedError, match="no AMQP"):
        await waiter


@pytest.mark.parametrize(
    "data",
    [
        frame(2, CHANNEL, bytes(14)),
        frame(3, CHANNEL, b"body"),
        frame(8, CHANNEL, b""),
        frame(METHOD, CHANNEL, b"ab"),
        content(Basic.Deliver("t", 1, False, "x", "k"), b"ab")[:-10] + marshal(DECLARED, CHANNEL),
        content(Basic.Deliver("t", 1, False, "x", "k"), b"")[:-1] + b"\xce" + frame(3, CHANNEL, b"more"),
    ],
    ids=["header first", "body first", "heartbeat", "short method", "method within content", "body too long"],
)
async def test_frames_that_cannot_follow_lose_the_connection(data: bytes) -> None:
    stage = Stage()
    stage.consume_channel(lambda _: None)

    with pytest.raises(FramingError):
        stage.wire.received(data)

    assert not stage.wire.is_open


async def test_connection_closed_by_rabbitmq_says_why() -> None:
    stage = Stage()
    waiter = stage.publish_channel().publish(make_message(), "x", "k", mandatory=True, timeout=10)

    stage.close_connection("CONNECTION_FORCED - broker forced connection closure")

    with pytest.raises(NotConnectedError, match="CONNECTION_FORCED"):
        await waiter


answers: st.SearchStrategy[Any] = st.one_of(
    st.builds(Basic.Ack, st.integers(0, 12), st.booleans()),
    st.builds(Basic.Nack, st.integers(0, 12), st.booleans(), st.booleans()),
    st.builds(Channel.Flow, st.booleans()),
    st.just(DECLARED),
).map(lambda method: marshal(method, CHANNEL))
returns = st.builds(
    lambda number, body: content(Basic.Return(312, "NO_ROUTE", "x", "k"), body, message_id=f"id-{number}"),
    st.integers(0, 12),
    st.sampled_from([b"", b"x", b"y" * 5000]),
)
deliveries = st.builds(
    lambda tag, body: content(Basic.Deliver("t", tag, False, "x", "k"), body),
    st.integers(0, 20),
    st.sampled_from([b"", b"x", b"y" * 9000]),
)
noise = st.binary(max_size=30) | st.builds(
    frame, st.sampled_from([1, 2, 3, 8]), st.just(CHANNEL), st.binary(max_size=30)
)


@unhurried
@given(st.lists(answers | returns | deliveries | noise, max_size=20), st.lists(st.integers(0, 9000), max_size=15))
async def test_whatever_comes_every_publish_hears_one_fate(traffic: list[bytes], cuts: list[int]) -> None:
    """Random frames, cut anywhere, returns and confirms in any order, garbage: an error of the bus, and no hang."""
    stage = Stage()
    channel = stage.publish_channel()
    waiters = [
        channel.publish(make_message(message_id=f"id-{number}"), "x", "k", mandatory=True, timeout=60)
        for number in range(8)
    ]
    stream = b"".join(traffic)

    with contextlib.suppress(FramingError):
        for piece in cut(stream, cuts):
            stage.wire.received(piece)
    stage.wire.lost(None)
    fates = await asyncio.wait_for(asyncio.gather(*waiters, return_exceptions=True), 1)

    assert all(fate is None or isinstance(fate, TransportError) for fate in fates)


@unhurried
@given(st.lists(deliveries | answers | returns | noise, max_size=20), st.lists(st.integers(0, 9000), max_size=15))
async def test_whatever_comes_deliveries_are_whole_or_the_connection_is_lost(
    traffic: list[bytes], cuts: list[int]
) -> None:
    stage, received = Stage(), list[Delivery]()
    stage.consume_channel(received.append, prefetch=0)
    stream = b"".join(traffic)

    try:
        for piece in cut(stream, cuts):
            stage.wire.received(piece)
    except FramingError:
        assert not stage.wire.is_open
    for delivery in received:
        await delivery.acknowledge()

    assert {delivery.message.body for delivery in received} <= {b"", b"x", b"y" * 9000}

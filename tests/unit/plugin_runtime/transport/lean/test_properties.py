"""Properties and headers: the same bytes as pamqp writes, the same messages as pamqp reads."""

import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from plugin_runtime.transport.amqp_messages import plain_message, properties_of
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.lean.properties import UnreadableError, body_size, content_header, read_message

unhurried = settings(deadline=None)
short = st.none() | st.text(max_size=60)
numbers = st.integers(-(2**63), 2**63 - 1)
plain = st.none() | st.booleans() | numbers | st.floats(width=32, allow_nan=False) | st.text(max_size=40)
strange: st.SearchStrategy[Any] = (
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
    | st.lists(plain, max_size=3)
    | st.dictionaries(st.text(max_size=10), plain, max_size=3)
    | st.just(Decimal("1.5"))
    | st.binary(max_size=10).map(bytearray)
)
messages = st.builds(
    Message,
    body=st.binary(max_size=50),
    type=st.text(max_size=20),
    message_id=st.text(max_size=40),
    correlation_id=short,
    reply_to=short,
    headers=st.dictionaries(st.text(max_size=40), plain, max_size=8),
    expiration_seconds=st.none() | st.floats(-1, 10**6),
    timestamp=st.none() | st.integers(0, 2**32 - 1),
    app_id=short,
    user_id=short,
    persistent=st.booleans(),
)
received = st.builds(
    Basic.Properties,
    content_type=short,
    content_encoding=short,
    headers=st.none() | st.dictionaries(st.text(max_size=20), plain | strange, max_size=6),
    delivery_mode=st.none() | st.integers(1, 2),
    priority=st.none() | st.integers(0, 9),
    correlation_id=short,
    reply_to=short,
    expiration=st.none() | st.sampled_from(["0", "1500", "soon", "-1", "٣"]),
    message_id=short,
    timestamp=st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    message_type=short,
    user_id=short,
    app_id=short,
)


def of_pamqp(properties: Basic.Properties, size: int) -> bytes:
    return marshal(ContentHeader(body_size=size, properties=properties), 0)[7:-1]


def written(message: Message) -> bytes:
    return content_header(message, app_id=message.app_id, user_id=message.user_id)


@unhurried
@given(messages)
@example(Message(body=b"", type="t", message_id="m", headers={"ключ" * 40: "too long a name for AMQP"}))
def test_the_same_bytes_are_written(message: Message) -> None:
    assert written(message) == of_pamqp(properties_of(message), len(message.body))


@pytest.mark.parametrize("edge", [2**7, 2**8, 2**15, 2**16, 2**31, 2**32])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_integers_at_the_edges_of_their_types_are_written_the_same(edge: int, off: int) -> None:
    headers = {"up": edge + off, "down": -edge + off}
    message = Message(body=b"", type="t", message_id="m", headers=headers)

    assert written(message) == of_pamqp(properties_of(message), 0)
    assert read_message(written(message), b"").headers == headers


def test_what_pamqp_refuses_is_refused_alike() -> None:
    for headers in ({"n": 2**64}, {"n": b"bytes"}):
        message = Message(body=b"", type="t", message_id="m", headers=headers)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            of_pamqp(properties_of(message), 0)
        with pytest.raises(TypeError):
            written(message)


@unhurried
@given(messages)
def test_what_was_written_is_read(message: Message) -> None:
    read = read_message(written(message), message.body)

    assert (read.body, read.headers, read.timestamp) == (message.body, message.headers, message.timestamp)
    assert (read.type, read.message_id, read.reply_to) == (message.type, message.message_id, message.reply_to or None)
    assert read.persistent == message.persistent


@unhurried
@given(received)
def test_the_same_message_is_read(properties: Basic.Properties) -> None:
    header = of_pamqp(properties, 3)
    slowly = ContentHeader()
    slowly.unmarshal(header)

    assert read_message(header, b"abc") == plain_message(slowly.properties, b"abc")
    assert body_size(header) == 3


@unhurried
@given(st.binary(max_size=80))
def test_garbage_is_read_as_pamqp_reads_it_or_refused(garbage: bytes) -> None:
    slowly = ContentHeader()
    try:
        slowly.unmarshal(garbage)
        expected = plain_message(slowly.properties, b"")
    except (struct.error, ValueError, TypeError, OverflowError, OSError):
        expected = None

    try:
        found = read_message(garbage, b"")
    except UnreadableError:
        found = None

    assert repr(found) == repr(expected)


@unhurried
@given(messages, st.data())
def test_damaged_properties_are_read_or_refused(message: Message, data: st.DataObject) -> None:
    header = bytearray(written(message))
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(header[: data.draw(st.integers(0, len(header)))])

    try:
        found = read_message(damaged, b"")
    except UnreadableError:
        return

    assert isinstance(found, Message)


def test_text_that_is_no_utf_8_is_unreadable_as_a_property_and_left_out_as_a_header() -> None:
    good = written(Message(body=b"", type="t", message_id="mmmm", headers={"h": "hhhh"}))

    with pytest.raises(UnreadableError):
        read_message(good.replace(b"mmmm", b"\xff\xff\xff\xff"), b"")
    assert read_message(good.replace(b"hhhh", b"\xff\xff\xff\xff"), b"").headers == {}


def test_a_header_too_short_to_name_a_size_is_unreadable() -> None:
    with pytest.raises(UnreadableError, match="3 bytes"):
        body_size(b"abc")


def test_number_that_amqp_cannot_say_is_a_type_error() -> None:
    message = Message(body=b"", type="t", message_id="m", headers={"n": 1e300})

    with pytest.raises(TypeError, match="none that AMQP has"):
        written(message)

"""The methods of one message, against pamqp's."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic, Channel, Connection
from pamqp.frame import marshal

from plugin_runtime.transport.lean import methods
from plugin_runtime.transport.lean.framing import FramingError
from plugin_runtime.transport.lean.methods import Closed, Confirmed, Delivered, Returned

words = st.text(max_size=60)
exchanges = st.from_regex(r"[a-zA-Z0-9._-]{0,60}", fullmatch=True)
tags = st.integers(0, 2**63 - 1)

PARSERS: list[Callable[[bytes], Any]] = [
    methods.index_of,
    methods.parse_deliver,
    methods.parse_return,
    methods.parse_confirm,
    methods.parse_flow,
    methods.parse_close,
    methods.parse_blocked,
]


def payload(method: Any) -> bytes:
    return marshal(method, 1)[7:-1]


@given(words, tags, st.booleans(), exchanges, words)
def test_deliver_is_read(consumer: str, tag: int, redelivered: bool, exchange: str, key: str) -> None:
    sent = Basic.Deliver(consumer, tag, redelivered, exchange, key)

    assert methods.parse_deliver(payload(sent)) == Delivered(tag, redelivered, exchange.encode(), key.encode())


@given(words, exchanges, words)
def test_return_is_read(text: str, exchange: str, key: str) -> None:
    assert methods.parse_return(payload(Basic.Return(312, text, exchange, key))) == Returned(
        exchange.encode(), key.encode()
    )


@given(tags, st.booleans(), st.booleans())
def test_confirms_are_read(tag: int, multiple: bool, requeue: bool) -> None:
    assert methods.parse_confirm(payload(Basic.Ack(tag, multiple))) == Confirmed(tag, multiple)
    assert methods.parse_confirm(payload(Basic.Nack(tag, multiple, requeue))) == Confirmed(tag, multiple)


@given(tags, st.booleans())
def test_settlements_are_written(tag: int, yes: bool) -> None:
    assert methods.acknowledge(3, tag, multiple=yes) == marshal(Basic.Ack(tag, yes), 3)
    assert methods.reject(3, tag, requeue=yes) == marshal(Basic.Reject(tag, yes), 3)
    assert methods.flow_ok(3, active=yes) == marshal(Channel.FlowOk(yes), 3)


@given(exchanges, words, st.booleans())
def test_publish_is_written(exchange: str, key: str, mandatory: bool) -> None:
    expected = payload(Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory))

    assert methods.publish(exchange, key, mandatory=mandatory) == expected


def test_ends_flows_and_alarms_are_read() -> None:
    assert methods.parse_close(payload(Channel.Close(404, "NOT_FOUND", 60, 40))) == Closed(404, "NOT_FOUND")
    assert methods.parse_close(payload(Connection.Close(320, "FORCED", 0, 0))) == Closed(320, "FORCED")
    assert [methods.parse_flow(payload(Channel.Flow(on))) for on in (True, False)] == [True, False]
    assert methods.parse_blocked(payload(Connection.Blocked("low on memory"))) == "low on memory"


@pytest.mark.parametrize(
    ("index", "method"),
    [
        (methods.BASIC_DELIVER, Basic.Deliver("", 1, False, "", "")),
        (methods.BASIC_RETURN, Basic.Return(312, "", "", "")),
        (methods.BASIC_ACK, Basic.Ack()),
        (methods.BASIC_NACK, Basic.Nack()),
        (methods.CHANNEL_FLOW, Channel.Flow(True)),
        (methods.CHANNEL_CLOSE, Channel.Close(200, "", 0, 0)),
        (methods.CHANNEL_CLOSE_OK, Channel.CloseOk()),
        (methods.CONNECTION_CLOSE, Connection.Close(200, "", 0, 0)),
        (methods.CONNECTION_BLOCKED, Connection.Blocked()),
        (methods.CONNECTION_UNBLOCKED, Connection.Unblocked()),
    ],
)
def test_methods_have_the_numbers_of_the_specification(index: int, method: Any) -> None:
    assert methods.index_of(payload(method)) == index


@pytest.mark.parametrize("parse", PARSERS)
@given(garbage=st.binary(max_size=40))
def test_garbage_is_a_framing_error_at_worst(parse: Callable[[bytes], Any], garbage: bytes) -> None:
    with contextlib.suppress(FramingError):
        parse(garbage)


def test_a_routing_key_of_more_than_255_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match="255"):
        methods.publish("x", "é" * 128, mandatory=True)

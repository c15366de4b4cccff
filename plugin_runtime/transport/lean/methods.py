"""The methods that come with every message, as payloads of method frames (AMQP 0-9-1, section 1.8): pure.

Everything else (declare, bind, consume, close, ...) is aiormq's.
"""

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import NamedTuple

from plugin_runtime.transport.lean.framing import METHOD, FramingError, frame

CHANNEL_FLOW = 0x0014_0014
CHANNEL_FLOW_OK = 0x0014_0015
CHANNEL_CLOSE = 0x0014_0028
CHANNEL_CLOSE_OK = 0x0014_0029
CONNECTION_CLOSE = 0x000A_0032
CONNECTION_BLOCKED = 0x000A_003C
CONNECTION_UNBLOCKED = 0x000A_003D
BASIC_PUBLISH = 0x003C_0028
BASIC_RETURN = 0x003C_0032
BASIC_DELIVER = 0x003C_003C
BASIC_ACK = 0x003C_0050
BASIC_REJECT = 0x003C_005A
BASIC_NACK = 0x003C_0078

LONGEST_SHORT_STRING = 255
KNOWN_DESTINATIONS = 4096
"""So many exchanges and routing keys are kept as they stand on the wire."""

_INDEX = Struct(">I")
_PUBLISH = Struct(">IH")
_CODE = Struct(">H")
_TAG_AND_BITS = Struct(">QB")
_SETTLEMENT = Struct(">IQB")
_FLOW = Struct(">IB")


class Delivered(NamedTuple):
    """What Basic.Deliver says; ``exchange`` and ``routing_key`` are text in whatever encoding the publisher chose."""

    tag: int
    redelivered: bool
    exchange: bytes
    routing_key: bytes


class Returned(NamedTuple):
    """What Basic.Return says about where its message should have gone."""

    exchange: bytes
    routing_key: bytes


class Confirmed(NamedTuple):
    """What Basic.Ack and Basic.Nack say to a publisher."""

    tag: int
    multiple: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """Why RabbitMQ closes a channel or the connection."""

    code: int
    text: str


def index_of(payload: bytes) -> int:
    """Class and method in one number.

    Raises:
        FramingError: The payload is too short to name them.
    """
    try:
        return int(_INDEX.unpack_from(payload)[0])
    except StructError as error:
        raise FramingError(f"a method frame has {len(payload)} bytes, expected at least 4") from error


def parse_deliver(payload: bytes) -> Delivered:
    """Read Basic.Deliver; the consumer tag is skipped, since a channel has one consumer here.

    Raises:
        FramingError: It ends too early.
    """
    try:
        at = 5 + payload[4]
        tag, bits = _TAG_AND_BITS.unpack_from(payload, at)
        at += 9
    except (IndexError, StructError) as error:
        raise _cut_short("Basic.Deliver", payload) from error
    exchange, at = _short(payload, at, "Basic.Deliver")
    routing_key, _ = _short(payload, at, "Basic.Deliver")
    return Delivered(tag, bits & 1 == 1, exchange, routing_key)


def parse_return(payload: bytes) -> Returned:
    """Read Basic.Return.

    Raises:
        FramingError: It ends too early.
    """
    _, at = _short(payload, 6, "Basic.Return")
    exchange, at = _short(payload, at, "Basic.Return")
    routing_key, _ = _short(payload, at, "Basic.Return")
    return Returned(exchange, routing_key)


def parse_confirm(payload: bytes) -> Confirmed:
    """Read Basic.Ack or Basic.Nack.

    Raises:
        FramingError: It ends too early.
    """
    try:
        tag, bits = _TAG_AND_BITS.unpack_from(payload, 4)
    except StructError as error:
        raise _cut_short("Basic.Ack", payload) from error
    return Confirmed(tag, bits & 1 == 1)


def parse_flow(payload: bytes) -> bool:
    """Read Channel.Flow: whether the publisher may go on.

    Raises:
        FramingError: It ends too early.
    """
    try:
        return bool(_FLOW.unpack_from(payload)[1] & 1)
    except StructError as error:
        raise _cut_short("Channel.Flow", payload) from error


def parse_close(payload: bytes) -> Closed:
    """Read Channel.Close or Connection.Close.

    Raises:
        FramingError: It ends too early.
    """
    try:
        (code,) = _CODE.unpack_from(payload, 4)
    except StructError as error:
        raise _cut_short("Close", payload) from error
    text, _ = _short(payload, 6, "Close")
    return Closed(code, text.decode(errors="replace"))


def parse_blocked(payload: bytes) -> str:
    """Read Connection.Blocked: why RabbitMQ takes no messages.

    Raises:
        FramingError: It ends too early.
    """
    return _short(payload, 4, "Connection.Blocked")[0].decode(errors="replace")


@lru_cache(KNOWN_DESTINATIONS)
def publish(exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """The payload of Basic.Publish.

    Raises:
        TypeError: Exchange or routing key has more than 255 bytes.
    """
    return _PUBLISH.pack(BASIC_PUBLISH, 0) + short_string(exchange) + short_string(routing_key) + bytes([mandatory])


def acknowledge(channel: int, tag: int, *, multiple: bool) -> bytes:
    """A frame with Basic.Ack."""
    return frame(METHOD, channel, _SETTLEMENT.pack(BASIC_ACK, tag, multiple))


def reject(channel: int, tag: int, *, requeue: bool) -> bytes:
    """A frame with Basic.Reject."""
    return frame(METHOD, channel, _SETTLEMENT.pack(BASIC_REJECT, tag, requeue))


def flow_ok(channel: int, *, active: bool) -> bytes:
    """A frame with Channel.FlowOk."""
    return frame(METHOD, channel, _FLOW.pack(CHANNEL_FLOW_OK, active))


def short_string(text: str) -> bytes:
    """A short string with its length before it.

    Raises:
        TypeError: It has more than 255 bytes; pamqp, whose place this takes, raises the same.
    """
    encoded = text.encode()
    if len(encoded) > LONGEST_SHORT_STRING:
        raise TypeError(f"string exceeds maximum length of {LONGEST_SHORT_STRING} bytes")
    return bytes([len(encoded)]) + encoded


def _short(payload: bytes, at: int, method: str) -> tuple[bytes, int]:
    if at < len(payload):
        end = at + 1 + payload[at]
        if end <= len(payload):
            return payload[at + 1 : end], end
    raise _cut_short(method, payload)


def _cut_short(method: str, payload: bytes) -> FramingError:
    return FramingError(f"{method} has {len(payload)} bytes, too few for what it says")

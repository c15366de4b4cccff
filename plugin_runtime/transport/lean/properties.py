"""A message's properties to bytes and back; its headers in `tables`.

The usual ones are read and written here; whatever is unusual goes through pamqp, so that both transports of the bus
put the same bytes on the wire and read the same messages from it.
"""

from dataclasses import replace
from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class

from pamqp.header import ContentHeader

from plugin_runtime.transport.amqp_messages import (
    CONTENT_TYPE,
    PERSISTENT,
    TRANSIENT,
    expiration_of,
    milliseconds,
    plain_message,
    properties_of,
)
from plugin_runtime.transport.base import HeaderValue, Message
from plugin_runtime.transport.lean.methods import short_string
from plugin_runtime.transport.lean.tables import UnusualError, decode_table, encode_table

_BASIC = 60
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE, _PRIORITY = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800
_CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID, _TIMESTAMP = 0x0400, 0x0200, 0x0100, 0x0080, 0x0040
_TYPE, _USER_ID, _APP_ID = 0x0020, 0x0010, 0x0008
_UNUSUAL = 0x0007
"""The deprecated cluster id, a bit without meaning, and a second word of flags."""

_BEFORE_TIMESTAMP = (_CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID)
_AFTER_TIMESTAMP = (_TYPE, _USER_ID, _APP_ID)

_HEADER = Struct(">HHQH")
_TIME = Struct(">Q")
_JSON = short_string(CONTENT_TYPE)
_MODES = {True: bytes([PERSISTENT]), False: bytes([TRANSIENT])}
_KNOWN_WORDS = 1024
"""So many words that come again and again (types, plugins, reply keys) are kept as bytes."""

_LAST_SECOND = 0xFFFFFFFF
"""Later timestamps pamqp takes for milliseconds."""


class UnreadableError(Exception):
    """Nobody can read these properties: text that is not UTF-8, a time beyond all calendars."""


def content_header(message: Message, *, app_id: str | None, user_id: str | None) -> bytes:
    """The payload of the content header under which a message travels.

    Args:
        message: The message; its own ``app_id`` and ``user_id`` are not looked at.
        app_id: The plugin that publishes.
        user_id: The login that publishes, where RabbitMQ shall check it.

    Raises:
        TypeError: A property has more than 255 bytes, or a header is none that AMQP has.
    """
    size = len(message.body)
    try:
        flags, properties = _encoded(message, app_id, user_id)
    except (UnusualError, StructError, OverflowError):
        try:
            rest = properties_of(replace(message, app_id=app_id, user_id=user_id)).marshal()
        except (StructError, OverflowError) as error:
            raise TypeError(f"a property or header is none that AMQP has: {error}") from error
        return _HEADER.pack(_BASIC, 0, size, 0)[:-2] + rest
    return _HEADER.pack(_BASIC, 0, size, flags) + properties


def _encoded(message: Message, app_id: str | None, user_id: str | None) -> tuple[int, bytes]:
    """Flags and values, in the order of the flags."""
    flags = _CONTENT_TYPE | _HEADERS | _DELIVERY_MODE
    parts = [_JSON, encode_table(message.headers), _MODES[message.persistent]]
    if message.correlation_id:
        flags |= _CORRELATION_ID
        parts.append(short_string(message.correlation_id))
    if message.reply_to:
        flags |= _REPLY_TO
        parts.append(_known_word(message.reply_to))
    if message.expiration_seconds is not None:
        flags |= _EXPIRATION
        parts.append(short_string(str(milliseconds(max(message.expiration_seconds, 0.0)))))
    if message.message_id:
        flags |= _MESSAGE_ID
        parts.append(short_string(message.message_id))
    if message.timestamp is not None:
        flags |= _TIMESTAMP
        parts.append(_TIME.pack(message.timestamp))
    for flag, word in ((_TYPE, message.type), (_USER_ID, user_id), (_APP_ID, app_id)):
        if word:
            flags |= flag
            parts.append(_known_word(word))
    return flags, b"".join(parts)


@lru_cache(_KNOWN_WORDS)
def _known_word(word: str) -> bytes:
    return short_string(word)


def body_size(header: bytes) -> int:
    """How long the body will be of which this is the content header.

    Raises:
        UnreadableError: The header is too short to say.
    """
    try:
        return int(_HEADER.unpack_from(header)[2])
    except StructError as error:
        raise UnreadableError(f"a content header has {len(header)} bytes, expected at least {_HEADER.size}") from error


def read_message(header: bytes, body: bytes) -> Message:
    """The message that came with this content header.

    Raises:
        UnreadableError: The properties cannot be read.
    """
    try:
        return _decoded(header, body)
    except (UnusualError, StructError, IndexError, UnicodeDecodeError):
        return _read_slowly(header, body)


def _read_slowly(header: bytes, body: bytes) -> Message:
    read = ContentHeader()
    try:
        read.unmarshal(header)
        return plain_message(read.properties, body)
    except (StructError, ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
        raise UnreadableError(f"the properties cannot be read: {error}") from error


def _decoded(header: bytes, body: bytes) -> Message:
    flags = _HEADER.unpack_from(header)[3]
    if flags & _UNUSUAL:
        raise UnusualError
    at = _HEADER.size
    if flags & _CONTENT_TYPE:
        at += 1 + header[at]
    if flags & _CONTENT_ENCODING:
        at += 1 + header[at]
    headers: dict[str, HeaderValue] = {}
    if flags & _HEADERS:
        at = decode_table(header, at, headers)
    persistent = False
    if flags & _DELIVERY_MODE:
        persistent = header[at] == PERSISTENT
        at += 1
    at += flags & _PRIORITY != 0
    (correlation_id, reply_to, expiration, message_id), at = _short_strings(header, at, flags, _BEFORE_TIMESTAMP)
    timestamp = None
    if flags & _TIMESTAMP:
        (timestamp,) = _TIME.unpack_from(header, at)
        at += 8
        if timestamp > _LAST_SECOND:
            raise UnusualError
    (kind, user_id, app_id), at = _short_strings(header, at, flags, _AFTER_TIMESTAMP)
    if at > len(header):
        raise UnusualError
    return Message(
        body=body,
        type=kind or "",
        message_id=message_id or "",
        correlation_id=correlation_id,
        reply_to=reply_to,
        headers=headers,
        expiration_seconds=expiration_of(expiration),
        timestamp=timestamp,
        app_id=app_id,
        user_id=user_id,
        persistent=persistent,
    )


def _short_strings(header: bytes, at: int, flags: int, wanted: tuple[int, ...]) -> tuple[list[str | None], int]:
    found: list[str | None] = []
    for flag in wanted:
        if flags & flag:
            end = at + 1 + header[at]
            found.append(header[at + 1 : end].decode())
            at = end
        else:
            found.append(None)
    return found, at

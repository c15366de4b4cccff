"""A message's headers as AMQP's field table (AMQP 0-9-1, section 4.2.5.5), to bytes and back: pure.

Only what the bus itself sends is written and read here, as pamqp would write it; the rest is left to pamqp.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct

from contracts.codec import CALLER_HEADER, CHAIN_HEADER, GRANT_HEADER, INSTANCE_HEADER, TENANT_HEADER
from plugin_runtime.transport.base import HeaderValue

_LONGEST_NAME = 128
_KNOWN = 4096
"""So many names, and values that come again and again, are kept as bytes."""

_REPEATED = frozenset({GRANT_HEADER, TENANT_HEADER, CALLER_HEADER, CHAIN_HEADER, INSTANCE_HEADER})
"""Headers whose few values come again and again."""

_LONG = Struct(">I")
_FLOAT = Struct(">f")
_LONGEST = Struct(">q")

# The first row whose range holds a number decides; the order is pamqp's.
_INTEGERS = (
    (-0x80, 0x7F, b"b", Struct(">b")),
    (-0x8000, 0x7FFF, b"s", Struct(">h")),
    (0, 0xFFFF, b"u", Struct(">H")),
    (-0x8000_0000, 0x7FFF_FFFF, b"I", Struct(">i")),
    (0, 0xFFFF_FFFF, b"i", Struct(">I")),
    (-(2**63), 2**63 - 1, b"l", Struct(">q")),
)
_TEXT, _VOID = ord("S"), ord("V")
_FIXED = {
    ord(kind): Struct(form)
    for kind, form in (
        ("t", "?"),
        ("b", ">b"),
        ("B", ">B"),
        ("s", ">h"),
        ("u", ">H"),
        ("I", ">i"),
        ("i", ">I"),
        ("l", ">q"),
        ("L", ">q"),
        ("f", ">f"),
        ("d", ">d"),
    )
}


_FIRST_LONG, _LAST_LONG = 2**32, 2**63 - 1
"""Moments in milliseconds, of which every call carries one, are in the last row alone."""


class UnusualError(Exception):
    """Left to pamqp."""


def encode_table(headers: Mapping[str, HeaderValue]) -> bytes:
    """The headers in the order of their names, with the table's length before them.

    Raises:
        UnusualError: A name is longer than AMQP allows, or a value is none of the usual ones.
    """
    parts: list[bytes] = []
    for name in sorted(headers):
        value = headers[name]
        if not isinstance(value, str):
            parts += (_known_name(name), _encoded_number(value))
        elif name in _REPEATED:
            parts.append(_repeated(name, value))
        else:
            text = value.encode()
            parts += (_known_name(name), b"S", _LONG.pack(len(text)), text)
    table = b"".join(parts)
    return _LONG.pack(len(table)) + table


def decode_table(header: bytes, at: int, headers: dict[str, HeaderValue]) -> int:
    """Read the table that begins at a place into ``headers``; return where it ends.

    Raises:
        UnusualError: It holds what is left to pamqp, or does not end where it says.
        IndexError, struct.error, UnicodeDecodeError: It is cut short, or holds no UTF-8.
    """
    unpack = _LONG.unpack_from
    end: int = at + 4 + unpack(header, at)[0]
    if end > len(header):
        raise UnusualError
    at += 4
    while at < end:
        stop = at + 1 + header[at]
        name = header[at + 1 : stop].decode()
        kind = header[stop]
        if kind == _TEXT:
            begin = stop + 5
            at = begin + unpack(header, stop + 1)[0]
            headers[name] = header[begin:at].decode()
        elif kind == _VOID:
            headers[name] = None
            at = stop + 1
        else:
            form = _FIXED.get(kind)
            if form is None:
                raise UnusualError
            (headers[name],) = form.unpack_from(header, stop + 1)
            at = stop + 1 + form.size
    if at != end:
        raise UnusualError
    return end


@lru_cache(_KNOWN)
def _repeated(name: str, value: str) -> bytes:
    text = value.encode()
    return b"".join((_known_name(name), b"S", _LONG.pack(len(text)), text))


@lru_cache(_KNOWN)
def _known_name(name: str) -> bytes:
    encoded = name.encode()
    if len(encoded) > _LONGEST_NAME:
        raise UnusualError
    return bytes([len(encoded)]) + encoded


def _encoded_number(value: object) -> bytes:
    if value is None:
        return b"V"
    if isinstance(value, bool):
        return b"t\x01" if value else b"t\x00"
    if isinstance(value, int):
        if _FIRST_LONG <= value <= _LAST_LONG:
            return b"l" + _LONGEST.pack(value)
        for least, greatest, kind, form in _INTEGERS:
            if least <= value <= greatest:
                return kind + form.pack(value)
    if isinstance(value, float):
        return b"f" + _FLOAT.pack(value)
    raise UnusualError

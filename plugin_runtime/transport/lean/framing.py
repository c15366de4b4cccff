"""Bytes to frames and back (AMQP 0-9-1, section 4.2.3): pure, incremental, indifferent to where the bytes are cut.

::

    0      1         3         7                size+7      size+8
    ┌──────┬─────────┬─────────┬────────────────┬───────────┐
    │ type │ channel │  size   │    payload     │ frame-end │
    └──────┴─────────┴─────────┴────────────────┴───────────┘
"""

from collections.abc import Iterator
from struct import Struct

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
KINDS = frozenset({METHOD, HEADER, BODY, HEARTBEAT})
FRAME_END = 0xCE
OVERHEAD = 8
"""What a frame needs beside its payload."""

NO_LIMIT = 2**32
"""More than a frame can say of itself."""

DEFAULT_FRAME_MAX = 131_072
"""What RabbitMQ proposes unless it is told otherwise; it holds until the two sides have agreed."""

HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

_PREFIX = Struct(">BHI")
_END = bytes([FRAME_END])

Frame = tuple[int, int, bytes]
"""Its type, channel and payload."""


class FramingError(Exception):
    """What came is not AMQP: nothing that follows on the connection can be trusted."""


class FrameSplitter:
    """Splits a stream of bytes into frames.

    Attributes:
        frame_max: The longest frame that may come, 0 for any.
    """

    def __init__(self, frame_max: int = DEFAULT_FRAME_MAX) -> None:
        self.frame_max = frame_max
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete now, in their order; a beginning is kept for the next time.

        Raises:
            FramingError: After the frames before it: a type that does not exist, a frame that is too long or does not
                end where it should.
        """
        if self._parts:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return
            data = b"".join(self._parts)
            self._parts.clear()
        start, length, unpack = 0, len(data), _PREFIX.unpack_from
        most = self.frame_max - OVERHEAD if self.frame_max else NO_LIMIT
        while length - start >= OVERHEAD:
            kind, channel, size = unpack(data, start)
            if size > most or kind not in KINDS:
                raise self._refusal(kind, size)
            end = start + 7 + size
            if end >= length:
                break
            if data[end] != FRAME_END:
                raise FramingError(f"a frame of {size} bytes ends with 0x{data[end]:02x}, expected 0x{FRAME_END:02x}")
            yield kind, channel, data[start + 7 : end]
            start = end + 1
        self._keep(data[start:])

    def _keep(self, rest: bytes) -> None:
        if not rest:
            return
        self._parts.append(rest)
        self._size, self._needed = len(rest), OVERHEAD
        if len(rest) >= OVERHEAD:
            self._needed += _PREFIX.unpack_from(rest)[2]

    def _refusal(self, kind: int, size: int) -> FramingError:
        if kind not in KINDS:
            return FramingError(f"frame type {kind} does not exist")
        return FramingError(f"a frame has {size + OVERHEAD} bytes, at most {self.frame_max} were agreed")


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """A frame as it goes over the wire."""
    return b"%b%b\xce" % (_PREFIX.pack(kind, channel, len(payload)), payload)


def content_frames(channel: int, method: bytes, header: bytes, body: bytes, frame_max: int) -> bytes:
    """A method that carries content, its header, and its body split as agreed; an empty body has no frame."""
    size = len(body)
    first = (
        _PREFIX.pack(METHOD, channel, len(method)),
        method,
        _END,
        _PREFIX.pack(HEADER, channel, len(header)),
        header,
        _END,
    )
    room = frame_max - OVERHEAD if frame_max else size
    if 0 < size <= room:
        return b"".join((*first, _PREFIX.pack(BODY, channel, size), body, _END))
    return b"".join((*first, *(frame(BODY, channel, body[at : at + room]) for at in range(0, size, room or 1))))

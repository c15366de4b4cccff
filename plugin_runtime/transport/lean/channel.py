"""What all taken channels have in common: contents put together from their frames, flow, and their end."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from plugin_runtime.transport.amqp_errors import channel_error
from plugin_runtime.transport.lean import methods
from plugin_runtime.transport.lean.framing import BODY, HEADER, METHOD, FramingError
from plugin_runtime.transport.lean.properties import UnreadableError, body_size
from plugin_runtime.transport.lean.wire import Wire


class Content(NamedTuple):
    """A method with the message that it carries.

    Attributes:
        kind: ``BASIC_DELIVER`` or ``BASIC_RETURN``.
        method: The method's payload.
        header: The content header's payload.
        body: The whole body.
    """

    kind: int
    method: bytes
    header: bytes
    body: bytes


class Taken(ABC):
    """A channel that aiormq opened and closes, and whose messages come here; see `TakenChannel`.

    Attributes:
        number: The channel's number.
        is_open: Whether RabbitMQ still listens on it.
        flows: False after RabbitMQ asked to hold back content (Channel.Flow).
    """

    def __init__(self, wire: Wire, number: int) -> None:
        self.number = number
        self.is_open = True
        self.flows = True
        self._wire = wire
        self._index = 0
        self._method = b""
        self._header: bytes | None = None
        self._parts: list[bytes] = []
        self._missing = 0

    @abstractmethod
    def on_content(self, content: Content) -> None:
        """A message came."""

    @abstractmethod
    def on_confirm(self, number: int, *, multiple: bool, positive: bool) -> None:
        """A publish was confirmed."""

    @abstractmethod
    def on_end(self, error: Exception) -> None:
        """Nothing more comes."""

    @abstractmethod
    def collect(self, *, all_of_them: bool = False) -> None:
        """Send the acknowledgements that are due, or all before the channel closes."""

    def receive(self, kind: int, payload: bytes) -> bool:
        """Take a frame; False leaves it to aiormq.

        Raises:
            FramingError: It cannot follow what came before, or does not say what it must.
        """
        if kind == METHOD and not self._index:
            return self._receive_method(methods.index_of(payload), payload)
        if kind == HEADER and self._index and self._header is None:
            self._receive_header(payload)
        elif kind == BODY and self._header is not None and len(payload) <= self._missing:
            self._parts.append(payload)
            self._missing -= len(payload)
        else:
            raise FramingError(f"a frame of type {kind} with {len(payload)} bytes is not expected on {self.number}")
        if not self._missing:
            self._finish()
        return True

    def leave(self) -> None:
        """Send no more: the channel is being closed from this side, and what comes meanwhile is dropped."""
        self.is_open = False

    def lost(self, error: Exception) -> None:
        """Learn that the connection is gone."""
        self.is_open = False
        self.on_end(error)

    def _receive_method(self, index: int, payload: bytes) -> bool:
        if index in {methods.BASIC_DELIVER, methods.BASIC_RETURN}:
            self._index, self._method = index, payload
        elif index in {methods.BASIC_ACK, methods.BASIC_NACK}:
            number, multiple = methods.parse_confirm(payload)
            self.on_confirm(number, multiple=multiple, positive=index == methods.BASIC_ACK)
        elif index == methods.CHANNEL_FLOW:
            self.flows = methods.parse_flow(payload)
            self._wire.send(methods.flow_ok(self.number, active=self.flows))
            self._wire.tell_change()
        else:
            self._watch(index, payload)
            return False
        return True

    def _watch(self, index: int, payload: bytes) -> None:
        """Take note of the channel's end, which aiormq answers."""
        if index not in {methods.CHANNEL_CLOSE, methods.CHANNEL_CLOSE_OK}:
            return
        closed = methods.parse_close(payload) if index == methods.CHANNEL_CLOSE else None
        self.is_open = False
        self._wire.release(self)
        self.on_end(channel_error(closed.code if closed else None, closed.text if closed else "the channel was closed"))
        self._wire.tell_change()

    def _receive_header(self, payload: bytes) -> None:
        try:
            self._missing = body_size(payload)
        except UnreadableError as error:
            raise FramingError(str(error)) from error
        self._header = payload

    def _finish(self) -> None:
        parts = self._parts
        content = Content(
            self._index, self._method, self._header or b"", parts[0] if len(parts) == 1 else b"".join(parts)
        )
        self._index, self._method, self._header, self._parts = 0, b"", None, []
        if self.is_open:
            self.on_content(content)

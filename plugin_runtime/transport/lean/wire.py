"""The traffic of one connection, which is shared with aiormq.

aiormq's reader is fed everything except what belongs to the taken channels, and its writer keeps the order: what the
taken channels have to write goes first::

    RabbitMQ ──► Wire.received ──┬─ deliveries, returns, confirms, flow of taken channels ──► TakenChannel
                                 └─ everything else, and a heartbeat once a second ──► aiormq's reader
    RabbitMQ ◄── Wire.flush ◄──┬─ Wire.send: the first of a turn of the event loop at once, its others together
                               └─ aiormq's writer: at once, behind what was collected

The heartbeats are for aiormq's watchdog. RabbitMQ sends none while it sends anything else, and what the taken channels
receive is as good a sign of life.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from aiormq.exceptions import AMQPConnectionError

from plugin_runtime.transport.lean import methods
from plugin_runtime.transport.lean.framing import HEARTBEAT_FRAME, METHOD, FrameSplitter, FramingError, frame

MOST_UNWRITTEN_BYTES = 65_536
"""More is written within the turn, so that the socket can say when it has enough."""

SIGN_OF_LIFE_SECONDS = 1.0
_METHOD = bytes([METHOD])

_log = structlog.get_logger()


class TakenChannel(Protocol):
    """A channel whose messages aiormq never sees."""

    number: int

    def receive(self, kind: int, payload: bytes) -> bool:
        """Take a frame; False leaves it to aiormq. Raises `FramingError` for what cannot follow."""

    def collect(self, *, all_of_them: bool = False) -> None:
        """Send the acknowledgements that are due, or all before the channel closes."""

    def leave(self) -> None:
        """Send no more: the channel is being closed from this side."""

    def lost(self, error: Exception) -> None:
        """Learn that the connection is gone."""


class Wire:
    """The traffic of one connection.

    Args:
        on_lost: Called when the connection is gone, or as good as gone; aiormq learns of it some turns later.

    Attributes:
        is_open: Whether there is a connection.
    """

    def __init__(self, on_lost: Callable[["Wire"], None]) -> None:
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._socket: asyncio.Transport | None = None
        self._splitter = FrameSplitter()
        self._taken: dict[int, TakenChannel] = {}
        self._unwritten: list[bytes] = []
        self._unwritten_bytes = 0
        self._settling: dict[TakenChannel, None] = {}
        self._is_scheduled = False
        self._is_paused = False
        self._blocked: str | None = None
        self._last_passed_on = self._loop.time()
        self._changes: list[asyncio.Future[None]] = []
        self.is_open = False

    # For taken channels

    @property
    def may_publish(self) -> bool:
        """Whether RabbitMQ and the socket take messages now."""
        return self.is_open and not self._is_paused and self._blocked is None

    @property
    def blocked(self) -> str | None:
        """Why RabbitMQ takes no messages (a memory or disk alarm); None if it does."""
        return self._blocked

    @property
    def frame_max(self) -> int:
        """The longest frame that may be sent, 0 for any."""
        return self._splitter.frame_max

    def agree(self, frame_max: int) -> None:
        """Take the frame length that the two sides have agreed on."""
        self._splitter.frame_max = frame_max

    def take(self, channel: TakenChannel) -> None:
        """Hand this channel's messages over from now on."""
        self._taken[channel.number] = channel

    def release(self, channel: TakenChannel) -> None:
        """Leave the channel's number to aiormq: it is closed on both sides, or about to be."""
        if self._taken.get(channel.number) is channel:
            del self._taken[channel.number]
        self._settling.pop(channel, None)

    def send(self, data: bytes) -> None:
        """Write whole frames: the first of a turn of the event loop at once, the others of that turn together.

        One call alone does not wait for the end of its turn, and a hundred in one turn are two writes.
        """
        if not self._is_scheduled:
            self._schedule()
            self._write(data)
            return
        self._unwritten.append(data)
        self._unwritten_bytes += len(data)
        if self._unwritten_bytes > MOST_UNWRITTEN_BYTES:
            self.flush()

    def settle(self, channel: TakenChannel) -> None:
        """Have the channel send its acknowledgements at the end of this turn."""
        self._settling[channel] = None
        self._schedule()

    async def changed(self) -> None:
        """Wait until something may have changed about `may_publish`, or a channel said so."""
        change: asyncio.Future[None] = self._loop.create_future()
        self._changes = [*(one for one in self._changes if not one.done()), change]
        await change

    def tell_change(self) -> None:
        """Let everybody look again who waits in `changed`."""
        changes, self._changes = self._changes, []
        for change in changes:
            if not change.done():
                change.set_result(None)

    def flush(self) -> None:
        """Write what was collected."""
        if self._settling:
            settling, self._settling = self._settling, {}
            # What they send now goes with this write and needs no turn of its own.
            is_scheduled, self._is_scheduled = self._is_scheduled, True
            for channel in settling:
                channel.collect()
            self._is_scheduled = is_scheduled
        if self._unwritten:
            data = b"".join(self._unwritten)
            self._unwritten.clear()
            self._unwritten_bytes = 0
            self._write(data)

    # For the socket and aiormq

    def connected(self, socket: asyncio.Transport) -> None:
        """The socket is open."""
        self._socket = socket
        self.is_open = True

    def received(self, data: bytes) -> bytes:
        """Give every frame to whom it belongs and return what is aiormq's.

        Raises:
            FramingError: It is no AMQP, or none that may follow here. Everything is lost then.
        """
        passed_on = []
        try:
            for kind, number, payload in self._splitter.feed(data):
                channel = self._taken.get(number)
                if channel is None:
                    if number == 0 and kind == METHOD:
                        self._watch(payload)
                elif channel.receive(kind, payload):
                    continue
                passed_on.append(frame(kind, number, payload))
        except FramingError as error:
            self.lost(AMQPConnectionError(f"what RabbitMQ sent is no AMQP: {error}"))
            raise
        now = self._loop.time()
        if not passed_on and now - self._last_passed_on > SIGN_OF_LIFE_SECONDS:
            passed_on.append(HEARTBEAT_FRAME)
        if passed_on:
            self._last_passed_on = now
        return b"".join(passed_on)

    def before(self, data: bytes) -> None:
        """Let go first what was collected, and what may not follow the close that aiormq is about to write."""
        closes = methods.index_of(data[7:11]) if data[:1] == _METHOD else 0
        leaving: list[TakenChannel] = []
        if closes == methods.CONNECTION_CLOSE:
            leaving = list(self._taken.values())
        elif closes == methods.CHANNEL_CLOSE:
            leaving = [one for one in self._taken.values() if one.number == int.from_bytes(data[1:3], "big")]
        for channel in leaving:
            channel.collect(all_of_them=True)
            channel.leave()
        self.flush()

    def paused(self, *, is_paused: bool) -> None:
        """The socket has enough to write for now, or wants more."""
        self._is_paused = is_paused
        self.tell_change()

    def lost(self, error: Exception | None) -> None:
        """The connection is gone, or as good as gone."""
        if not self.is_open:
            return
        self.is_open = False
        self._on_lost(self)
        self._unwritten.clear()
        self._settling.clear()
        taken, self._taken = self._taken, {}
        for channel in taken.values():
            channel.lost(error or AMQPConnectionError("the connection was closed"))
        self.tell_change()

    def _watch(self, payload: bytes) -> None:
        """Take note of what aiormq does not pass on: alarms, and the end."""
        index = methods.index_of(payload)
        if index == methods.CONNECTION_BLOCKED:
            self._blocked = methods.parse_blocked(payload)
            _log.warning("transport.blocked", reason=self._blocked)
        elif index == methods.CONNECTION_UNBLOCKED:
            self._blocked = None
            _log.info("transport.unblocked")
            self.tell_change()
        elif index == methods.CONNECTION_CLOSE:
            closed = methods.parse_close(payload)
            self.lost(AMQPConnectionError(closed.text or f"closed with {closed.code}"))

    def _write(self, data: bytes) -> None:
        if self._socket is not None and not self._socket.is_closing():
            self._socket.write(data)

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush_scheduled)

    def _flush_scheduled(self) -> None:
        self._is_scheduled = False
        self.flush()

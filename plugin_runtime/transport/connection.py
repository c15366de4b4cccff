"""One connection to RabbitMQ that comes back: connected, watched, and connected again with jittered back-off.

The AMQP client's own "robust" connection is not used: it raises if RabbitMQ is away at the start, restores not every
consumer, and cannot bound the wait of a publish::

    open() ── attempt ──► up ── closed by RabbitMQ, the network or a missed heartbeat ──► lost ──┐
                ▲  │ failed: log, wait 0.1 .. 5 s                                                │
                └──┴─────────────────────────────────────────────────────────────────────────────┘
"""

import asyncio
import itertools
import random
from collections.abc import Callable

import aio_pika
import structlog
from aio_pika.connection import make_url
from aiormq.abc import AbstractConnection, ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import ChannelInvalidStateError

from contracts.errors import NotConnectedError, TransportError
from plugin_runtime.transport.address import Address
from plugin_runtime.transport.amqp_errors import CLIENT_ERRORS, was_cancelled
from plugin_runtime.transport.connect_errors import connect_error, is_refusal

CONNECT_TIMEOUT_SECONDS = 10.0
CLOSE_TIMEOUT_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 5.0
CHANNEL_RETRY_SECONDS = 0.05

_log = structlog.get_logger()
_random = random.SystemRandom()


def backoff(attempt: int, longest: float = LAST_DELAY_SECONDS) -> float:
    """How long to wait after the given attempt (1, 2, ...): doubling, jittered, at most ``longest`` seconds."""
    full = min(longest, FIRST_DELAY_SECONDS * 2.0 ** min(attempt - 1, 16))
    return full * _random.uniform(0.5, 1.0)


class SupervisedConnection:
    """A connection that is kept up from `open` to `close`.

    Args:
        address: Where RabbitMQ is.
        name: What RabbitMQ's management page shows: ``{plugin}/{instance}/{role}``.
        patient: Whether `open` waits for a RabbitMQ that is away, rather than to raise what the first attempt found.
        on_restored: Called after every connection but the first.
    """

    def __init__(self, address: Address, *, name: str, on_restored: Callable[[], None], patient: bool = True) -> None:
        self._address = address
        self._name = name
        self._patient = patient
        self._on_restored = on_restored
        self._connection: aio_pika.Connection | None = None
        self._up = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._log = _log.bind(url=address.shown, connection=name)

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up now."""
        return self._up.is_set()

    async def open(self) -> None:
        """Connect, however long that takes, and start to supervise. One that is supervised stays as it is.

        Raises:
            LoginRefusedError: The login was refused, or may not use the vhost.
            MissingVhostError: The vhost does not exist.
            NotConnectedError: RabbitMQ is away, and this connection is not patient.
        """
        if self._supervisor is not None:
            return
        connection = await self._connect(is_first=True)
        closing = self._established(connection)
        self._supervisor = asyncio.create_task(self._supervise(connection, closing), name=self._name)

    async def close(self) -> None:
        """Stop supervising and close the connection. Idempotent."""
        self._up.clear()
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.gather(supervisor, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._close(connection)

    async def open_channel(self, *, publishes: bool) -> Channel:
        """Open a channel, waiting for the connection if it is lost. Bound the wait with ``asyncio.timeout``.

        Args:
            publishes: In confirm mode, and safe for many publishes in flight when one of them closes it.
        """
        while True:
            await self._up.wait()
            try:
                channel = await self._underlay().channel(publisher_confirms=publishes, on_return_raises=True)
            except (*CLIENT_ERRORS, NotConnectedError) as error:
                self._log.debug("channel.waiting", error=str(error))
                if was_cancelled():
                    raise asyncio.CancelledError from error
            except asyncio.CancelledError:
                if was_cancelled():
                    raise
            else:
                return _prepared(channel, publishes=publishes)
            await asyncio.sleep(CHANNEL_RETRY_SECONDS)

    async def _supervise(self, connection: aio_pika.Connection, closing: asyncio.Future[object]) -> None:
        while True:
            await asyncio.wait([closing])
            self._up.clear()
            self._log.warning("transport.lost", error=_reason(closing))
            await self._close(connection)
            connection = await self._connect(is_first=False)
            closing = self._established(connection)
            self._on_restored()

    def _established(self, connection: aio_pika.Connection) -> asyncio.Future[object]:
        self._connection = connection
        closing: asyncio.Future[object] = self._underlay().closing
        self._up.set()
        self._log.info("transport.connected")
        return closing

    async def _connect(self, *, is_first: bool) -> aio_pika.Connection:
        for attempt in itertools.count(1):
            try:
                return await self._attempt()
            except TransportError as error:
                if was_cancelled():
                    # The client waits by asyncio.wait_for, which on Python 3.11 lets a failure of the same moment hide
                    # the cancellation (cpython issue 86296); without this the loop would go on for ever.
                    raise asyncio.CancelledError from error
                if is_first and (is_refusal(error) or not self._patient):
                    raise
                delay = backoff(attempt)
                self._log.warning(
                    "transport.waiting", error=str(error), attempt=attempt, retry_in_seconds=round(delay, 3)
                )
                await asyncio.sleep(delay)
        raise AssertionError("attempts never end")

    async def _attempt(self) -> aio_pika.Connection:
        connection = self._client()
        try:
            await connection.connect(timeout=CONNECT_TIMEOUT_SECONDS)
        except BaseException as error:
            # Not left to the garbage collector: the object would start a task of its own to close itself.
            await self._close(connection)
            if isinstance(error, CLIENT_ERRORS) or (isinstance(error, asyncio.CancelledError) and not was_cancelled()):
                raise connect_error(error, self._address) from error
            raise
        return connection

    def _client(self) -> aio_pika.Connection:
        """A connection of the AMQP client that is not open yet."""
        url = make_url(self._address.url, heartbeat=self._address.heartbeat_seconds)
        return aio_pika.Connection(url, client_properties={"connection_name": self._name})

    async def _close(self, connection: aio_pika.Connection) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await connection.close()
        except CLIENT_ERRORS as error:
            self._log.debug("transport.closed_badly", error=str(error))
        except asyncio.CancelledError:
            if was_cancelled():
                raise

    def _underlay(self) -> AbstractConnection:
        """The AMQP client's side of the connection that is up."""
        if self._connection is None or self._connection.transport is None:
            raise NotConnectedError("the connection to RabbitMQ was lost")
        return self._connection.transport.connection


class ReopeningChannel:
    """A channel that is opened when it is needed, and again after it was closed. Callers take turns themselves."""

    def __init__(self, connection: SupervisedConnection, *, publishes: bool) -> None:
        self._connection = connection
        self._publishes = publishes
        self._channel: Channel | None = None

    async def ready(self) -> Channel:
        """The open channel, waiting for the connection if it is lost."""
        if self._channel is None or not is_open(self._channel) or not self._connection.is_connected:
            self._channel = await self._connection.open_channel(publishes=self._publishes)
        return self._channel

    def discard(self) -> None:
        """Use this channel no more: what it did last was broken off half-way."""
        self._channel = None


def is_open(channel: Channel) -> bool:
    """Whether RabbitMQ still listens on the channel.

    The connection forgets a channel in the moment RabbitMQ closes it; the channel itself learns of it later.
    """
    return not channel.is_closed and channel.connection.channels.get(channel.number) is channel


class _GuardedWrites(asyncio.Queue[ChannelFrame]):
    """The way from a channel to the socket, shut in the moment RabbitMQ closes the channel.

    The AMQP client answers Channel.Close at once but lets publishes pass until the channel object is closed too. One
    such frame on a closed channel makes RabbitMQ close the whole connection (504 CHANNEL_ERROR).
    """

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._guarded_channel = channel
        self._writes: asyncio.Queue[ChannelFrame] = channel.write_queue

    async def put(self, item: ChannelFrame) -> None:
        if not is_open(self._guarded_channel):
            raise ChannelInvalidStateError("RabbitMQ closed the channel")
        await self._writes.put(item)

    def put_nowait(self, item: ChannelFrame) -> None:
        self._writes.put_nowait(item)


def _prepared(channel: object, *, publishes: bool) -> Channel:
    if not isinstance(channel, Channel):
        raise TypeError(f"expected a channel of aiormq, found {type(channel).__name__}")
    if publishes:
        channel.write_queue = _GuardedWrites(channel)
    return channel


def _reason(closing: asyncio.Future[object]) -> str:
    if closing.cancelled():
        return "stuck: no heartbeat"
    error = closing.exception()
    return "closed" if error is None else str(error) or type(error).__name__

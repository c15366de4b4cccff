"""Consumers that come back, and the deliveries they hand out.

A consumer has a channel of its own. What ends the channel (a lost connection, an error, ``Basic.Cancel`` because the
queue was deleted) starts `AmqpConsumer._restore`, which tries until it consumes again or is cancelled. While all is
well no task belongs to a consumer.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from contracts.errors import NotConnectedError, TransportError
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.amqp_errors import CLIENT_ERRORS, close_quietly, translate, was_cancelled
from plugin_runtime.transport.amqp_messages import delivery_count_of, message_of
from plugin_runtime.transport.base import Message, OnDelivery
from plugin_runtime.transport.connection import SupervisedConnection, backoff, is_open

LONGEST_RETRY_SECONDS = 1.0
START_TIMEOUT_SECONDS = 30.0
SETTLE_TIMEOUT_SECONDS = 120.0
"""Longer than a dead connection goes unnoticed; after that the message comes back anyway."""

_log = structlog.get_logger()

Vouch = Callable[[Message], str | None]
"""Says who published a message, or None when nobody vouches for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What a consumer asks of RabbitMQ."""

    queue: str
    tag: str
    prefetch: int
    no_ack: bool = False
    exclusive: bool = False
    priority: int = 0
    outrank_zombies: bool = False
    may_linger: bool = False


class AmqpDelivery:
    """A message received from RabbitMQ, until it is settled; see `Delivery`."""

    __slots__ = ("_message", "_publisher", "_received", "_settled", "_settler")

    def __init__(
        self, received: DeliveredMessage, message: Message, publisher: str | None, settler: "AmqpConsumer | None"
    ) -> None:
        self._received = received
        self._message = message
        self._publisher = publisher
        self._settler = settler
        self._settled = settler is None

    @property
    def message(self) -> Message:
        """What was published."""
        return self._message

    @property
    def exchange(self) -> str:
        """The exchange it was published to."""
        return self._received.exchange or ""

    @property
    def routing_key(self) -> str:
        """The routing key it came with."""
        return self._received.routing_key or ""

    @property
    def redelivered(self) -> bool:
        """Whether it was handed out before."""
        return bool(self._received.redelivered)

    @property
    def delivery_count(self) -> int:
        """How often a quorum queue handed it out before."""
        return delivery_count_of(self._message)

    @property
    def publisher(self) -> str | None:
        """Who published, if somebody vouches for it."""
        return self._publisher

    async def acknowledge(self) -> None:
        """Tell RabbitMQ that the message is done with."""
        await self._settle(lambda channel, tag: channel.basic_ack(tag, wait=False))

    def acknowledge_soon(self) -> None:
        """Tell RabbitMQ that the message is done with."""
        if self._settler is not None:
            self._settler.settling.start(self.acknowledge())

    async def reject(self, *, requeue: bool) -> None:
        """Give the message back or up."""
        await self._settle(lambda channel, tag: channel.basic_reject(tag, requeue=requeue, wait=False))

    async def _settle(self, send: Callable[[Channel, int], Awaitable[None]]) -> None:
        channel, tag = self._received.channel, self._received.delivery_tag
        if self._settled or self._settler is None or not isinstance(channel, Channel) or tag is None:
            return
        self._settled = True
        await self._settler.settle(channel, send(channel, tag) if is_open(channel) else None)


class AmqpConsumer:
    """A consumer that consumes again after its channel went; see `Consumer`."""

    def __init__(
        self, connection: SupervisedConnection, consumption: Consumption, on_delivery: OnDelivery, vouch: Vouch
    ) -> None:
        self._connection = connection
        self._consumption = consumption
        self._on_delivery = on_delivery
        self._vouch = vouch
        self._priority = consumption.priority
        self._channel: Channel | None = None
        self._unsettled = 0
        self._cancelled = False
        self._restoring: asyncio.Task[None] | None = None
        self.settling = TaskSet("deliveries.settle")
        self._log = _log.bind(queue=consumption.queue, consumer=consumption.tag)

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self._consumption.queue

    @property
    def is_cancelled(self) -> bool:
        """Whether it will never receive again."""
        return self._cancelled

    async def start(self) -> None:
        """Consume for the first time; raises what `Transport.consume` raises."""
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await self._consume()
        except TimeoutError as error:
            raise NotConnectedError(f"no consumer on '{self.queue}' in {START_TIMEOUT_SECONDS:g} s") from error

    async def cancel(self) -> None:
        """Stop receiving; the channel stays until what was received is settled."""
        if self._cancelled:
            return
        await self.abandon()
        channel = self._channel
        if channel is None or not is_open(channel):
            return
        with contextlib.suppress(*CLIENT_ERRORS, TimeoutError):
            await channel.basic_cancel(self._consumption.tag, timeout=START_TIMEOUT_SECONDS)
        await self._close_if_done(channel)

    async def abandon(self) -> None:
        """Never consume again; the channel is left to whoever closes the connection."""
        self._cancelled = True
        restoring, self._restoring = self._restoring, None
        if restoring is not None:
            restoring.cancel()
            await asyncio.gather(restoring, return_exceptions=True)

    async def settle(self, channel: Channel, sending: Awaitable[None] | None) -> None:
        """Send an acknowledgement or rejection; silent when the channel is gone."""
        if sending is not None:
            try:
                async with asyncio.timeout(SETTLE_TIMEOUT_SECONDS):
                    await sending
            except CLIENT_ERRORS as error:
                self._log.debug("delivery.settled_too_late", error=str(error))
            except asyncio.CancelledError:
                if was_cancelled():
                    raise
        if channel is self._channel:
            self._unsettled -= 1
            await self._close_if_done(channel)

    async def _close_if_done(self, channel: Channel) -> None:
        if self._cancelled and self._is_done:
            await close_quietly(channel, START_TIMEOUT_SECONDS)

    @property
    def _is_done(self) -> bool:
        """Whether everything received on the present channel is settled."""
        return self._unsettled == 0

    async def _open_channel(self) -> Channel:
        return await self._connection.open_channel(publishes=False)

    async def _consume(self) -> None:
        asked = self._consumption
        channel = await self._open_channel()
        self._channel, self._unsettled = channel, 0
        channel.on_consumer_cancel_callbacks.add(partial(self._on_lost, channel))
        try:
            await channel.basic_qos(prefetch_count=asked.prefetch)
            await channel.basic_consume(
                asked.queue,
                self._receive,
                no_ack=asked.no_ack,
                exclusive=asked.exclusive,
                arguments={"x-priority": self._priority} if self._priority else None,
                consumer_tag=asked.tag,
            )
        except CLIENT_ERRORS as error:
            await close_quietly(channel, START_TIMEOUT_SECONDS)
            raise translate(error) from error
        except asyncio.CancelledError as error:
            await close_quietly(channel, START_TIMEOUT_SECONDS)
            if was_cancelled():
                raise
            raise translate(error) from error
        channel.closing.add_done_callback(partial(self._on_lost, channel))

    async def _receive(self, received: DeliveredMessage) -> None:
        message = message_of(received)
        if not self._consumption.no_ack:
            self._unsettled += 1
        settler = None if self._consumption.no_ack else self
        self._on_delivery(AmqpDelivery(received, message, self._vouch(message), settler))

    def _on_lost(self, channel: Channel, _: object) -> None:
        if channel is self._channel and not self._cancelled and self._restoring is None:
            self._restoring = asyncio.create_task(self._restore(channel), name=f"restore {self._consumption.tag}")

    async def _restore(self, lost: Channel) -> None:
        await close_quietly(lost, START_TIMEOUT_SECONDS)
        if self._consumption.outrank_zombies:
            self._priority += 1
        for attempt in itertools.count(1):
            try:
                await self._consume()
            except TransportError as error:
                delay = backoff(attempt, LONGEST_RETRY_SECONDS)
                self._log.warning(
                    "consumer.waiting", error=str(error), attempt=attempt, retry_in_seconds=round(delay, 3)
                )
                await asyncio.sleep(delay)
            else:
                break
        self._restoring = None
        self._log.info("consumer.restored", priority=self._priority)
        if self._channel is not None and not is_open(self._channel):
            self._on_lost(self._channel, None)

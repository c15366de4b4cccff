"""Consumers whose deliveries cost one callback, and whose acknowledgements travel together."""

import asyncio

import structlog
from aiormq.channel import Channel

from plugin_runtime.transport.amqp_consumer import AmqpConsumer, Consumption, Vouch
from plugin_runtime.transport.amqp_messages import delivery_count_of
from plugin_runtime.transport.base import Message, OnDelivery
from plugin_runtime.transport.lean import methods
from plugin_runtime.transport.lean.channel import Content, Taken
from plugin_runtime.transport.lean.connection import WiredConnection
from plugin_runtime.transport.lean.methods import Delivered
from plugin_runtime.transport.lean.properties import UnreadableError, read_message
from plugin_runtime.transport.lean.settling import Settling
from plugin_runtime.transport.lean.wire import Wire

_log = structlog.get_logger()


class LeanDelivery:
    """A message received from RabbitMQ, until it is settled; see `Delivery`."""

    __slots__ = ("_channel", "_tag", "exchange", "message", "publisher", "redelivered", "routing_key")

    def __init__(
        self,
        channel: "ConsumeChannel",
        delivered: Delivered,
        message: Message,
        publisher: str | None,
    ) -> None:
        self.message = message
        self.exchange = delivered.exchange.decode()
        self.routing_key = delivered.routing_key.decode()
        self.redelivered = delivered.redelivered
        self.publisher = publisher
        self._channel = channel
        self._tag = delivered.tag

    @property
    def delivery_count(self) -> int:
        """How often a quorum queue handed it out before."""
        return delivery_count_of(self.message)

    async def acknowledge(self) -> None:
        """Tell RabbitMQ that the message is done with; nothing is waited for while the consumer runs."""
        if self._channel.acknowledge(self._tag):
            await self._channel.consumer.close_if_done()

    def acknowledge_soon(self) -> None:
        """Tell RabbitMQ that the message is done with."""
        if self._channel.acknowledge(self._tag):
            self._channel.consumer.close_soon_if_done()

    async def reject(self, *, requeue: bool) -> None:
        """Give the message back or up; nothing is waited for while the consumer runs."""
        if self._channel.reject(self._tag, requeue=requeue):
            await self._channel.consumer.close_if_done()


class ConsumeChannel(Taken):
    """A channel with one consumer.

    Args:
        wire: The connection's traffic.
        number: The channel's number.
        consumer: Whose deliveries come.
    """

    def __init__(self, wire: Wire, number: int, consumer: "LeanConsumer") -> None:
        super().__init__(wire, number)
        self.consumer = consumer
        self._settles = not consumer.consumption.no_ack
        self._settling = Settling(consumer.consumption.prefetch, may_linger=consumer.consumption.may_linger)
        self._loop = asyncio.get_running_loop()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def unsettled(self) -> int:
        """How many deliveries nobody has settled yet."""
        return self._settling.unsettled

    def acknowledge(self, tag: int) -> bool:
        """Have a delivery acknowledged soon, with others; False if it cannot be or is settled already."""
        if not self.is_open or not self._settling.finished(tag, self._loop.time()):
            return False
        if self._alarm is None or self._settling.is_urgent:
            self._wire.settle(self)
        return True

    def reject(self, tag: int, *, requeue: bool) -> bool:
        """Reject a delivery in this turn; False if it cannot be or is settled already."""
        if not self.is_open or not self._settling.rejected(tag):
            return False
        self._wire.send(methods.reject(self.number, tag, requeue=requeue))
        return True

    def on_content(self, content: Content) -> None:
        """A delivery came."""
        if content.kind != methods.BASIC_DELIVER:
            return
        delivered = methods.parse_deliver(content.method)
        if self._settles:
            self._settling.delivered(delivered.tag)
        try:
            message = read_message(content.header, content.body)
            delivery = LeanDelivery(self, delivered, message, self.consumer.vouch(message))
        except (UnreadableError, UnicodeDecodeError) as error:
            # Nobody here can ever read it: given back it would come again and again.
            _log.warning("delivery.unreadable", queue=self.consumer.queue, error=str(error))
            self.reject(delivered.tag, requeue=False)
            return
        try:
            self.consumer.on_delivery(delivery)
        except Exception:  # noqa: BLE001 - the connection must not fall with one delivery
            _log.exception("delivery.callback_failed", queue=self.consumer.queue)

    def on_confirm(self, number: int, *, multiple: bool, positive: bool) -> None:
        """Nothing is published here."""

    def on_end(self, error: Exception) -> None:  # noqa: ARG002 - whatever the reason
        """What is unsettled comes back; aiormq tells the consumer."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def collect(self, *, all_of_them: bool = False) -> None:
        """Send the acknowledgements that are due, or all before the channel closes."""
        if not self.is_open:
            return
        for tag, multiple in self._settling.due(self._loop.time(), all_of_them=all_of_them):
            self._wire.send(methods.acknowledge(self.number, tag, multiple=multiple))
        following = self._settling.next_due()
        if following is not None and self._alarm is None:
            self._alarm = self._loop.call_at(following, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._wire.settle(self)


class LeanConsumer(AmqpConsumer):
    """An `AmqpConsumer` that receives and settles on a taken channel."""

    def __init__(
        self, connection: WiredConnection, consumption: Consumption, on_delivery: OnDelivery, vouch: Vouch
    ) -> None:
        super().__init__(connection, consumption, on_delivery, vouch)
        self.consumption = consumption
        self.on_delivery = on_delivery
        self.vouch = vouch
        self._wired = connection
        self._taken: ConsumeChannel | None = None

    async def close_if_done(self) -> None:
        """Close the channel when the consumer was cancelled and everything it received is settled."""
        if self.is_cancelled and self._channel is not None:
            await self._close_if_done(self._channel)

    def close_soon_if_done(self) -> None:
        """The same from a plain function."""
        if self.is_cancelled and self._channel is not None:
            self.settling.start(self._close_if_done(self._channel))

    @property
    def _is_done(self) -> bool:
        return self._taken is None or self._taken.unsettled == 0

    async def _open_channel(self) -> Channel:
        channel, wire = await self._wired.open_wired(publishes=False)
        self._taken = ConsumeChannel(wire, channel.number, self)
        wire.take(self._taken)
        return channel

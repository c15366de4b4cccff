"""What the memory vhost knows of one connection: its consumers, and what they have not settled yet."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from plugin_runtime.transport.base import Message, OnDelivery
from plugin_runtime.transport.memory_message import StoredMessage

Settlement = Literal["acknowledge", "requeue", "reject"]


class Connection:
    """One client's connection, from its opening to its loss; a client that comes back gets another.

    Attributes:
        identity: The login.
        on_lost: Called when RabbitMQ's side goes away; not when the client closes.
        is_lost: Whether it is over.
        subscriptions: Its consumers, and the cancelled ones that still have unsettled deliveries.
    """

    def __init__(self, identity: str, on_lost: Callable[[], None]) -> None:
        self.identity = identity
        self.on_lost = on_lost
        self.is_lost = False
        self.subscriptions: dict[Subscription, None] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumption:
    """What a consumer asks for; see `Transport.consume`."""

    queue: str
    tag: str
    on_delivery: OnDelivery
    prefetch: int
    no_ack: bool
    exclusive: bool
    priority: int


class Source(Protocol):
    """The queue, as its consumers see it."""

    def settle(self, stored: StoredMessage, settlement: Settlement) -> None:
        """A consumer is done with a message."""

    def restore(self, messages: Iterable[StoredMessage]) -> None:
        """Messages return that a consumer had."""


class Subscription:
    """A consumer as its queue sees it, with the deliveries it has not settled.

    Attributes:
        connection: To whom it belongs.
        consumption: What it asked for.
        priority: Who is served before whom.
        on_cancelled: Called when the queue is deleted under it (``Basic.Cancel`` from RabbitMQ).
    """

    def __init__(
        self, connection: Connection, consumption: Consumption, source: Source, on_cancelled: Callable[[], None]
    ) -> None:
        self.connection = connection
        self.consumption = consumption
        self.priority = consumption.priority
        self.on_cancelled = on_cancelled
        self._source = source
        # On the server's side one delivery tag belongs to one handing out: a stale delivery settles nothing.
        self._unsettled: dict[int, StoredMessage] = {}
        self._last_tag = 0
        self._prefetch = 0 if consumption.no_ack else consumption.prefetch
        self._is_cancelled = False
        self._call_soon = asyncio.get_running_loop().call_soon

    @property
    def has_room(self) -> bool:
        """Whether its prefetch admits one more delivery."""
        return not self._prefetch or len(self._unsettled) < self._prefetch

    @property
    def has_unsettled(self) -> bool:
        """Whether it has deliveries that it did not settle."""
        return bool(self._unsettled)

    def hand_out(self, stored: StoredMessage) -> None:
        """Deliver a message: soon, never within this call, so that a consumer may do anything when it comes."""
        self._last_tag += 1
        if not self.consumption.no_ack:
            self._unsettled[self._last_tag] = stored
        self._call_soon(self._arrive, MemoryDelivery(stored, self, self._last_tag))

    def settle(self, tag: int, settlement: Settlement) -> None:
        """Settle one delivery; one that was settled, or whose connection was lost, stays as it is."""
        stored = self._unsettled.pop(tag, None)
        if stored is None:
            return
        self._forget_when_done()
        self._source.settle(stored, settlement)

    def cancel(self) -> None:
        """Take no more deliveries; those received may still be settled."""
        self._is_cancelled = True
        self._forget_when_done()

    def return_unsettled(self) -> None:
        """Give back what is not settled: from now on nothing of it can be."""
        unsettled = list(self._unsettled.values())
        self._unsettled.clear()
        self._forget_when_done()
        self._source.restore(unsettled)

    def _arrive(self, delivery: "MemoryDelivery") -> None:
        # What was under way when the connection was lost never comes; its queue has it again.
        if not self.connection.is_lost:
            self.consumption.on_delivery(delivery)

    def _forget_when_done(self) -> None:
        if self._is_cancelled and not self._unsettled:
            self.connection.subscriptions.pop(self, None)


class MemoryDelivery:
    """A `Delivery` of the memory transport. ``subscription`` is None where nothing is to be settled."""

    __slots__ = ("_subscription", "_tag", "delivery_count", "exchange", "message", "redelivered", "routing_key")

    def __init__(self, stored: StoredMessage, subscription: Subscription | None, tag: int) -> None:
        self.message: Message = stored.message()
        self.exchange: str = stored.publication.exchange
        self.routing_key: str = stored.publication.routing_key
        self.redelivered: bool = stored.redelivered
        self.delivery_count: int = stored.delivery_count
        self._subscription = subscription
        self._tag = tag

    @property
    def publisher(self) -> str | None:
        """Who published: always known here."""
        return self.message.user_id

    async def acknowledge(self) -> None:
        """The message is done with."""
        self._settle("acknowledge")

    def acknowledge_soon(self) -> None:
        """The message is done with."""
        self._settle("acknowledge")

    async def reject(self, *, requeue: bool) -> None:
        """Give the message back, or up."""
        self._settle("requeue" if requeue else "reject")

    def _settle(self, settlement: Settlement) -> None:
        if self._subscription is not None:
            self._subscription.settle(self._tag, settlement)

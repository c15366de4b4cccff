"""The seam to the outside: what the bus asks of RabbitMQ, and nothing more.

Three implementations pass one conformance suite: ``lean`` and ``amqp`` speak to RabbitMQ, ``memory`` keeps the same
semantics in one process. Nothing above this module knows which one it has. Durations are float seconds here; RabbitMQ's
milliseconds stay inside the implementations.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from contracts.topology import Binding, Exchange, Queue

HeaderValue = str | int | float | bool | None

PUBLISH_TIMEOUT_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Message:
    """A message as publisher and consumer see it; always JSON. Nobody changes one that was made.

    It is not frozen, which would cost three times as much: four are made for every call.

    Attributes:
        body: The bytes.
        type: What the message is: ``call``, ``reply``, ``event``, ``data.set``, ...
        message_id: Unique for every publish attempt. The AMQP client matches returned messages by it: two in flight
            with the same id would hide a loss.
        correlation_id: Ties a reply to its call.
        reply_to: The routing key on ``plexica.replies`` under which the publisher hears the reply, or a direct
            reply-to address.
        headers: The application's headers (``x-tenant-id``, ...).
        expiration_seconds: How long the message may wait in a queue; None for ever.
        timestamp: Seconds since the epoch when it was made; None if the publisher did not say.
        app_id: The plugin that published. Set by the transport to its own identity.
        user_id: The login that published. Usually None when publishing: the transport sets it where RabbitMQ can
            check it. RabbitMQ refuses any that is not the connection's login.
        persistent: Whether RabbitMQ writes it to disk, and has it after a restart (AMQP's delivery mode 2). Calls and
            replies are not: who waits for them notices the restart, and writing them takes most of a call's time.
    """

    body: bytes
    type: str
    message_id: str
    correlation_id: str | None = None
    reply_to: str | None = None
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    expiration_seconds: float | None = None
    timestamp: int | None = None
    app_id: str | None = None
    user_id: str | None = None
    persistent: bool = True


class Delivery(Protocol):
    """A message that a consumer received, until it is settled.

    Attributes:
        message: What was published; ``headers`` also carry what RabbitMQ added (``x-death``, ``x-delivery-count``)
            as far as it is a plain value.
        exchange: The exchange it was published to, as RabbitMQ tells it (a publisher cannot choose what stands here).
        routing_key: The routing key it came with.
        redelivered: True when it was handed out before and may have been worked on.
        delivery_count: How often a quorum queue handed it out before; 0 for classic queues.
        publisher: The plugin that published: ``user_id`` as RabbitMQ checked it, or, where the operator allows
            unverified publishers, ``app_id``; None when nobody vouches for it.
    """

    @property
    def message(self) -> Message: ...  # noqa: D102
    @property
    def exchange(self) -> str: ...  # noqa: D102
    @property
    def routing_key(self) -> str: ...  # noqa: D102
    @property
    def redelivered(self) -> bool: ...  # noqa: D102
    @property
    def delivery_count(self) -> int: ...  # noqa: D102
    @property
    def publisher(self) -> str | None: ...  # noqa: D102

    async def acknowledge(self) -> None:
        """Tell RabbitMQ that the message is done with.

        Never raises for a lost connection: the message then comes back with ``redelivered`` set. Settling a second
        time does nothing.
        """

    def acknowledge_soon(self) -> None:
        """Acknowledge from a plain function: `acknowledge`, with nobody waiting for it."""

    async def reject(self, *, requeue: bool) -> None:
        """Give the message back (``requeue``) or up: it is dead lettered where the queue says so, else dropped."""


OnDelivery = Callable[[Delivery], None]
"""Called in the event loop for each delivery; must not block and must not raise."""


class Consumer(Protocol):
    """A running consumer. It survives lost connections: the transport consumes again until `cancel`."""

    @property
    def queue(self) -> str: ...  # noqa: D102

    async def cancel(self) -> None:
        """Stop receiving. Deliveries already received stay unsettled and can still be settled. Idempotent."""


class DirectCaller(Protocol):
    """One direct reply-to consumer and the publishes on its own channel, as RabbitMQ demands.

    Used once per start, to register before the instance has a queue of its own. Lost with its connection: what was
    under way then raises `NotConnectedError` from the next `publish`, and no reply comes.
    """

    async def publish(
        self, message: Message, *, exchange: str, routing_key: str, timeout: float = PUBLISH_TIMEOUT_SECONDS
    ) -> None:
        """Publish with ``reply_to`` set to the direct reply-to pseudo queue; mandatory, confirmed."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages are ready in a queue, and how many consumers it has."""

    messages: int
    consumers: int


class Transport(Protocol):
    """A connection to RabbitMQ that keeps itself alive, for one plugin instance.

    Control operations (declare, bind, ...) and publishes wait for a lost connection to come back as long as their
    time allows, then raise `NotConnectedError`. Consumers come back by themselves.
    """

    @property
    def identity(self) -> str:
        """The plugin id this transport publishes as."""

    @property
    def is_connected(self) -> bool:
        """Whether both connections are up now."""

    async def open(self) -> None:
        """Wait until RabbitMQ is there, however long that takes, with jittered back-off; each try is logged.

        Idempotent: a transport that is open keeps its connections.

        Raises:
            LoginRefusedError: The login was refused, or may not use the vhost: waiting would not help.
            MissingVhostError: The vhost does not exist.
        """

    async def close(self) -> None:
        """Close consumers and connections; unsettled deliveries return to their queues. Idempotent."""

    def on_reconnected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have ``callback`` run after every connection but the first, when consumers are being restored."""

    async def declare_exchange(self, exchange: Exchange) -> None:
        """Declare a durable topic exchange. Idempotent."""

    async def delete_exchange(self, name: str) -> None:
        """Delete an exchange; one that is not there is no error."""

    async def declare_queue(self, queue: Queue) -> None:
        """Declare a queue. Idempotent.

        Raises:
            LockedQueueError: Another connection holds it exclusively (405 RESOURCE_LOCKED).
            TransportError: It exists with other arguments (406 PRECONDITION_FAILED).
        """

    async def delete_queue(self, name: str) -> None:
        """Delete a queue with its messages and bindings; one that is not there is no error."""

    async def purge_queue(self, name: str) -> int:
        """Drop the ready messages and return how many they were; `MissingQueueError` if there is no such queue."""

    async def depth(self, name: str) -> QueueDepth:
        """Ask for a queue's depth without changing it; `MissingQueueError` if there is no such queue."""

    async def bind(self, binding: Binding) -> None:
        """Bind a queue to an exchange. Idempotent. `MissingQueueError` if either is not there."""

    async def unbind(self, binding: Binding) -> None:
        """Take a binding away; one that is not there is no error."""

    async def publish(
        self,
        message: Message,
        *,
        exchange: str,
        routing_key: str,
        mandatory: bool = True,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> None:
        """Publish and wait for the publisher confirm (``Basic.Ack``): RabbitMQ has the message then.

        Many publishes may be in flight at once; one publisher's messages reach a queue in the order of the calls.

        Raises:
            ReturnedMessageError: ``mandatory`` and no queue is bound; nothing was stored.
            RejectedPublishError: A queue is full and refused; at least one queue did not store it.
            UnconfirmedPublishError: No confirm in ``timeout`` seconds: it may or may not have been stored.
            NotConnectedError: No connection in ``timeout`` seconds, or lost before the confirm (then unknown too).
            PublisherRefusedError: ``user_id`` is not this connection's login.
            MissingQueueError: The exchange does not exist.
        """

    def publish_soon(
        self,
        message: Message,
        *,
        exchange: str,
        routing_key: str,
        mandatory: bool = True,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> asyncio.Future[None]:
        """Publish from a plain function; the future is done with the confirm, or ends with an error of `publish`.

        Messages published by this reach a queue in the order of the calls; no order is promised between them and what
        `publish` publishes meanwhile. Nobody is told of an error that the future's holder does not ask for.
        """

    async def consume(
        self,
        queue: str,
        on_delivery: OnDelivery,
        *,
        prefetch: int,
        role: str,
        no_ack: bool = False,
        exclusive: bool = False,
        priority: int = 0,
        outrank_zombies: bool = False,
        may_linger: bool = False,
    ) -> Consumer:
        """Start to consume a queue on a channel of its own, under the tag ``{plugin}/{instance}/{role}``.

        Args:
            queue: The queue's name.
            on_delivery: Called for each delivery.
            prefetch: How many unsettled deliveries RabbitMQ may hand out.
            role: The last word of the consumer tag, for the management page.
            no_ack: Deliveries count as settled when sent.
            exclusive: Nobody else may consume the queue.
            priority: RabbitMQ serves consumers of higher priority first (``x-priority``).
            outrank_zombies: Consume with a priority one higher after each reconnect, so that the consumer of a
                connection that died unnoticed gets nothing any more.
            may_linger: Acknowledgements may wait some milliseconds for others to travel with. For messages whose
                second delivery does no harm: what is not acknowledged when the connection goes comes again.

        Raises:
            MissingQueueError: There is no such queue.
            TransportError: Somebody else consumes it exclusively.
        """

    def direct_caller(self, on_reply: OnDelivery) -> DirectCaller:
        """A direct reply-to caller; enter it with ``async with``."""

"""The memory vhost: what RabbitMQ is to the amqp transport, kept in one process.

It belongs to one event loop, though it may be made outside of it. Every operation happens at once and completely;
deliveries follow with the next turn of the loop. Transports come and go by `connect` and `disconnect`; `stop` and
`start` are RabbitMQ going away and coming back with what it had stored.

What is proven equal to RabbitMQ, and every known difference, is in ``docs/memory-transport.md``.
"""

import itertools
from collections.abc import Callable

from contracts.errors import (
    MissingQueueError,
    RejectedPublishError,
    ReturnedMessageError,
)
from contracts.topology import DEFAULT_EXCHANGE, Binding, Exchange, Queue
from plugin_runtime.transport.base import Message, QueueDepth
from plugin_runtime.transport.clock import Clock, Gate, LoopClock
from plugin_runtime.transport.memory_connection import Connection, Consumption, Subscription
from plugin_runtime.transport.memory_dead_letters import DeadLetters
from plugin_runtime.transport.memory_direct import DirectReplies, is_direct_address
from plugin_runtime.transport.memory_message import (
    DeathReason,
    Publication,
    Published,
    QueuedMessage,
    as_declared,
    stamped,
)
from plugin_runtime.transport.memory_queue import MemoryQueue
from plugin_runtime.transport.memory_refusals import (
    refuse_default,
    refuse_exclusive,
    refuse_false_publisher,
    refuse_impossible,
    refuse_locked,
    refuse_reserved,
    refuse_unequal,
)
from plugin_runtime.transport.memory_routing import Router


class MemoryVhost:
    """One vhost.

    Attributes:
        clock: The time of everything that expires or waits here.
        running: Open while "RabbitMQ" is there.
        replies: The direct reply-to addresses.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or LoopClock()
        self.running = Gate(self.clock, is_open=True)
        self.replies = DirectReplies()
        self._connections: dict[Connection, None] = {}
        self._router = Router()
        self._queues: dict[str, MemoryQueue] = {}
        self._dead_letters = DeadLetters(self._route_letter, self._enqueue_letter)
        self._returning: dict[str, dict[Callable[[], None], None]] = {}
        self._on_published: list[Callable[[Published], None]] = []

    # RabbitMQ itself

    def stop(self) -> None:
        """Go away: every connection is lost, and what no queue wrote down (`Message.persistent`). The rest stays."""
        self.running.shut()
        for connection in list(self._connections):
            self.lose(connection)
        for queue in self._queues.values():
            queue.restart()

    def start(self) -> None:
        """Come back; transports connect again by themselves."""
        for queue in list(self._queues.values()):
            queue.resume()
        self.running.open()

    # Connections

    def connect(self, identity: str, on_lost: Callable[[], None]) -> Connection:
        """Open a connection; ``on_lost`` is called when it is lost, not when the client closes it."""
        connection = Connection(identity, on_lost)
        self._connections[connection] = None
        return connection

    def lose(self, connection: Connection) -> None:
        """Cut a connection."""
        self.disconnect(connection)
        connection.on_lost()

    def disconnect(self, connection: Connection) -> None:
        """Close a connection: its exclusive queues go, unsettled deliveries return to their queues. Idempotent."""
        if connection.is_lost:
            return
        connection.is_lost = True
        del self._connections[connection]
        self.replies.close_all(connection)
        for queue in [queue for queue in self._queues.values() if queue.owner is connection]:
            self._delete(queue)
        self._take_back(list(connection.subscriptions))

    # Topology

    def declare_exchange(self, exchange: Exchange) -> None:
        """Declare a topic exchange."""
        refuse_default(exchange.name)
        refuse_reserved(exchange.name)
        self._router.declare(exchange.name)

    def delete_exchange(self, name: str) -> None:
        """Delete an exchange."""
        refuse_default(name)
        refuse_reserved(name)
        self._router.delete(name)

    def declare_queue(self, connection: Connection, spec: Queue) -> None:
        """Declare a queue; with other arguments than it has, or as another's exclusive one, it is refused."""
        refuse_reserved(spec.name)
        refuse_impossible(spec)
        declared = as_declared(spec)
        queue = self._queues.get(spec.name)
        if queue is None:
            self._queues[spec.name] = MemoryQueue(declared, self, connection if spec.exclusive else None)
            self._tell_returning(spec.name)
            self._dead_letters.something_changed()
            return
        refuse_locked(queue.spec, queue.owner, connection)
        refuse_unequal(queue.spec, declared)
        queue.touch()

    def delete_queue(self, connection: Connection, name: str) -> None:
        """Delete a queue with its messages and bindings."""
        if name in self._queues:
            self._delete(self._queue(name, connection))

    def purge_queue(self, connection: Connection, name: str) -> int:
        """Drop a queue's ready messages."""
        return self._queue(name, connection).purge()

    def depth(self, connection: Connection, name: str) -> QueueDepth:
        """How many messages are ready, and how many consumers there are; who asks uses the queue."""
        queue = self._queue(name, connection)
        queue.touch()
        return QueueDepth(queue.depth(), queue.count_consumers())

    def bind(self, connection: Connection, binding: Binding) -> None:
        """Bind a queue to an exchange."""
        refuse_default(binding.exchange)
        self._queue(binding.queue, connection)
        self._router.bind(binding)
        self._dead_letters.something_changed()

    def unbind(self, binding: Binding) -> None:
        """Take a binding away."""
        refuse_default(binding.exchange)
        self._router.unbind(binding)

    # Messages

    def publish(
        self, connection: Connection, message: Message, *, exchange: str, routing_key: str, mandatory: bool
    ) -> None:
        """Route a message to queues, all at once; see `Transport.publish` for what can go wrong."""
        refuse_false_publisher(message, connection)
        queues = self._route(exchange, routing_key)
        publication = Publication(exchange, routing_key, stamped(message, connection.identity))
        for tell in self._on_published:
            names = tuple(queue.spec.name for queue in queues)
            tell(Published(exchange, routing_key, publication.message, names))
        if exchange == DEFAULT_EXCHANGE and is_direct_address(routing_key):
            self.replies.deliver(publication)
        # RabbitMQ 3.10 returns a mandatory reply to a direct address even when it delivered it; so does this.
        if mandatory and not queues:
            raise ReturnedMessageError(exchange, routing_key)
        full = [queue.spec.name for queue in queues if not queue.enqueue(publication)]
        if full:
            raise RejectedPublishError(f"refused by {', '.join(full)}: as many messages as max_length admits")

    def dead_letter(self, queue: Queue, publication: Publication, reason: DeathReason) -> None:
        """Publish what left a queue to its dead letter exchange."""
        self._dead_letters.publish(queue, publication, reason)

    def room_was_made(self) -> None:
        """Try again what a full queue refused."""
        self._dead_letters.something_changed()

    def _route_letter(self, letter: Publication) -> tuple[str, ...]:
        try:
            return tuple(queue.spec.name for queue in self._route(letter.exchange, letter.routing_key))
        except MissingQueueError:
            return ()

    def _enqueue_letter(self, queue: str, letter: Publication) -> bool:
        return queue not in self._queues or self._queues[queue].enqueue(letter)

    def _route(self, exchange: str, routing_key: str) -> list[MemoryQueue]:
        if exchange == DEFAULT_EXCHANGE:
            return [self._queues[routing_key]] if routing_key in self._queues else []
        return [self._queues[name] for name in self._router.route(exchange, routing_key)]

    # Consumers

    def consume(
        self, connection: Connection, consumption: Consumption, on_cancelled: Callable[[], None]
    ) -> Subscription:
        """Start a consumer; `MissingQueueError` without its queue, `TransportError` if somebody excludes it."""
        queue = self._queue(consumption.queue, connection)
        refuse_exclusive(queue.spec, (other.consumption for other in queue.consumers), consumption)
        subscription = Subscription(connection, consumption, queue, on_cancelled)
        connection.subscriptions[subscription] = None
        queue.attach(subscription)
        return subscription

    def cancel(self, subscription: Subscription) -> None:
        """Stop a consumer; what it has received may still be settled. Idempotent."""
        subscription.cancel()
        self._release([subscription])

    def _take_back(self, subscriptions: list[Subscription]) -> None:
        for subscription in subscriptions:
            subscription.cancel()
            subscription.return_unsettled()
        self._release(subscriptions)

    def _release(self, subscriptions: list[Subscription]) -> None:
        # All go before the others are served: nothing may be handed to a consumer that is about to go.
        names = dict.fromkeys(subscription.consumption.queue for subscription in subscriptions)
        queues = [self._queues[name] for name in names if name in self._queues]
        for queue, subscription in itertools.product(queues, subscriptions):
            queue.detach(subscription)
        for queue in queues:
            queue.serve()
            self._tell_returning(queue.spec.name)

    def when_available(self, queue: str, callback: Callable[[], None]) -> None:
        """Have ``callback`` run once when the queue is declared, or when one of its consumers goes."""
        self._returning.setdefault(queue, {})[callback] = None

    def _tell_returning(self, queue: str) -> None:
        for callback in self._returning.pop(queue, ()):
            callback()

    # Queues

    def delete_idle_queue(self, queue: Queue) -> None:
        """Delete a queue that nobody used for as long as it was declared with."""
        self._delete(self._queues[queue.name])

    def _delete(self, queue: MemoryQueue) -> None:
        del self._queues[queue.spec.name]
        self._router.unbind_queue(queue.spec.name)
        self._dead_letters.forget(queue.spec.name)
        queue.delete()

    def _queue(self, name: str, connection: Connection) -> MemoryQueue:
        queue = self._existing(name)
        refuse_locked(queue.spec, queue.owner, connection)
        return queue

    def _existing(self, name: str) -> MemoryQueue:
        try:
            return self._queues[name]
        except KeyError:
            raise MissingQueueError(f"there is no queue '{name}' (404 NOT_FOUND)") from None

    # What tests look at

    def on_published(self, callback: Callable[[Published], None]) -> None:
        """Have ``callback`` run for every message that an exchange takes from a publisher, before it is routed."""
        self._on_published.append(callback)

    def exchanges(self) -> tuple[str, ...]:
        """Every exchange but the default one."""
        return self._router.exchanges()

    def queues(self) -> tuple[Queue, ...]:
        """Every queue, as it was declared."""
        return tuple(queue.spec for queue in self._queues.values())

    def bindings(self) -> tuple[Binding, ...]:
        """Every binding."""
        return self._router.bindings()

    def messages(self, queue: str) -> tuple[QueuedMessage, ...]:
        """What is ready in a queue, in order."""
        return tuple(QueuedMessage.of(stored) for stored in self._existing(queue).ready())

    def undelivered_dead_letters(self, queue: str) -> int:
        """How many messages left a queue, but have not reached all they are dead lettered to at least once."""
        return self._dead_letters.waiting(queue)

    def unsettled(self, queue: str) -> int:
        """How many messages of a queue its consumers have and did not settle."""
        return self._existing(queue).unsettled

    def consumers(self, queue: str) -> tuple[Consumption, ...]:
        """Who consumes a queue, in the order in which they would be served now."""
        return tuple(consumer.consumption for consumer in self._existing(queue).consumers)

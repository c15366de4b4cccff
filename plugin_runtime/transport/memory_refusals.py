"""What the memory vhost refuses, in RabbitMQ's terms: each function raises, or nothing was wrong."""

from collections.abc import Callable, Iterable

from contracts.errors import LockedQueueError, PublisherRefusedError, TransportError
from contracts.topology import DEFAULT_EXCHANGE, DIRECT_REPLY_TO, Queue
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.memory_connection import Connection, Consumption

_ARGUMENTS = {
    "kind": "x-queue-type",
    "exclusive": "exclusive",
    "message_ttl_seconds": "x-message-ttl",
    "expires_seconds": "x-expires",
    "max_length": "x-max-length",
    "overflow": "x-overflow",
    "delivery_limit": "x-delivery-limit",
    "dead_letter_exchange": "x-dead-letter-exchange",
    "dead_letter_routing_key": "x-dead-letter-routing-key",
    "dead_letter_at_least_once": "x-dead-letter-strategy",
    "single_active_consumer": "x-single-active-consumer",
}
"""What RabbitMQ calls the fields of `Queue`."""

_IMPOSSIBLE: dict[str, Callable[[Queue], bool]] = {
    "exclusive": lambda queue: queue.exclusive and queue.kind == "quorum",
    "delivery_limit": lambda queue: queue.delivery_limit is not None and queue.kind == "classic",
    "dead_letter_at_least_once": lambda queue: queue.dead_letter_at_least_once and queue.kind == "classic",
    "dead_letter_routing_key": lambda queue: (
        queue.dead_letter_routing_key is not None and queue.dead_letter_exchange is None
    ),
    "message_ttl_seconds": lambda queue: queue.message_ttl_seconds is not None and queue.message_ttl_seconds < 0,
    "expires_seconds": lambda queue: queue.expires_seconds is not None and queue.expires_seconds <= 0,
    "max_length": lambda queue: queue.max_length is not None and queue.max_length < 0,
}
"""Which field of a queue is wrong when."""


def refuse_default(exchange: str) -> None:
    """Nobody declares, deletes or binds the default exchange."""
    if exchange == DEFAULT_EXCHANGE:
        raise PublisherRefusedError("nothing can be done to the default exchange (403 ACCESS_REFUSED)")


def refuse_reserved(name: str) -> None:
    """RabbitMQ keeps the names that begin with ``amq.``."""
    if name.startswith("amq."):
        raise PublisherRefusedError(f"'{name}' has the reserved prefix 'amq.' (403 ACCESS_REFUSED)")


def refuse_impossible(queue: Queue) -> None:
    """Some arguments cannot be, or not together."""
    for field, is_wrong in _IMPOSSIBLE.items():
        if is_wrong(queue):
            raise TransportError(
                f"queue '{queue.name}' cannot have {_ARGUMENTS[field]} {getattr(queue, field)!r}"
                f" with the rest of its arguments (406 PRECONDITION_FAILED)"
            )


def refuse_exclusive(queue: Queue, others: Iterable[Consumption], wanted: Consumption) -> None:
    """Nobody consumes beside an exclusive consumer, or becomes one beside others.

    An exclusive queue has no consumers at all: a transport declares on one connection and consumes on another.
    """
    if queue.exclusive:
        raise LockedQueueError(f"queue '{queue.name}' belongs to another connection (405 RESOURCE_LOCKED)")
    consumptions = tuple(others)
    excluded = wanted.exclusive and (consumptions or queue.single_active_consumer)
    if excluded or any(other.exclusive for other in consumptions):
        raise TransportError(f"queue '{queue.name}' is in exclusive use (403 ACCESS_REFUSED)")


def refuse_false_publisher(message: Message, connection: Connection) -> None:
    """Nobody publishes in another's name, or asks for a direct reply without listening for it."""
    if message.user_id not in (None, connection.identity):
        raise PublisherRefusedError(
            f"user_id '{message.user_id}' is not the login '{connection.identity}' (406 PRECONDITION_FAILED)"
        )
    if message.reply_to == DIRECT_REPLY_TO:
        raise TransportError("a direct reply-to request needs a direct caller (406 PRECONDITION_FAILED)")


def refuse_locked(queue: Queue, owner: Connection | None, connection: Connection) -> None:
    """An exclusive queue is there for its own connection only."""
    if owner not in (None, connection):
        raise LockedQueueError(f"queue '{queue.name}' belongs to another connection (405 RESOURCE_LOCKED)")


def refuse_unequal(current: Queue, declared: Queue) -> None:
    """A queue is declared again only with the arguments it has."""
    for field, argument in _ARGUMENTS.items():
        found, expected = getattr(current, field), getattr(declared, field)
        if found != expected:
            raise TransportError(
                f"queue '{current.name}' has {argument} {found!r} and was declared with {expected!r}"
                " (406 PRECONDITION_FAILED)"
            )

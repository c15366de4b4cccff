"""What the memory vhost refuses, in RabbitMQ's terms: each function raises, or nothing was wrong."""

from contracts.errors import PublisherRefusedError, TransportError
from contracts.topology import DEFAULT_EXCHANGE, DIRECT_REPLY_TO, Queue
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.memory_connection import Connection

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


def refuse_default(exchange: str) -> None:
    """Nobody declares, deletes or binds the default exchange."""
    if exchange == DEFAULT_EXCHANGE:
        raise TransportError("nothing can be done to the default exchange (403 ACCESS_REFUSED)")


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
        raise TransportError(f"queue '{queue.name}' belongs to another connection (405 RESOURCE_LOCKED)")


def refuse_unequal(current: Queue, declared: Queue) -> None:
    """A queue is declared again only with the arguments it has."""
    for field, argument in _ARGUMENTS.items():
        found, expected = getattr(current, field), getattr(declared, field)
        if found != expected:
            raise TransportError(
                f"queue '{current.name}' has {argument} {found!r} and was declared with {expected!r}"
                " (406 PRECONDITION_FAILED)"
            )

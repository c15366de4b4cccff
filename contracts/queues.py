"""Exchanges, queues and bindings as they are declared: values, without any name of ours."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable topic exchange."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue as it is declared. Seconds are floats; the transport turns them into RabbitMQ's milliseconds.

    Attributes:
        kind: ``classic`` or ``quorum``; always durable, unless ``exclusive``.
        exclusive: Belongs to one connection and goes with it.
        message_ttl_seconds: How long a message may stay before it is dead lettered.
        expires_seconds: The queue is deleted after so long without a consumer.
        max_length: How many ready messages it holds; ``overflow`` says what happens beyond.
        delivery_limit: Quorum only: a message delivered more often than this is dead lettered.
        dead_letter_exchange: Where rejected, expired and poison messages go.
        dead_letter_routing_key: The routing key they get; their own when None.
        dead_letter_at_least_once: Quorum only: dead lettering itself waits for confirms.
        single_active_consumer: One consumer at a time gets messages.
    """

    name: str
    kind: Literal["classic", "quorum"] = "classic"
    exclusive: bool = False
    message_ttl_seconds: float | None = None
    expires_seconds: float | None = None
    max_length: int | None = None
    overflow: Literal["drop-head", "reject-publish"] | None = None
    delivery_limit: int | None = None
    dead_letter_exchange: str | None = None
    dead_letter_routing_key: str | None = None
    dead_letter_at_least_once: bool = False
    single_active_consumer: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """A queue hears an exchange's messages whose routing key the pattern ``routing_key`` admits."""

    queue: str
    exchange: str
    routing_key: str

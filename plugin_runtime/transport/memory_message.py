"""A message inside the memory vhost: as it was published, and as one queue holds it.

A publication is shared by every queue it was routed to and never changes; what differs from queue to queue (position,
expiry, how often it was handed out) lies around it. Headers are copied on the way in and on the way out, so nobody
can change a stored message.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from contracts.topology import Queue
from plugin_runtime.transport.base import HeaderValue, Message

DeathReason = Literal["rejected", "expired", "maxlen", "delivery_limit"]
"""Why a message is dead lettered, in RabbitMQ's words."""


@dataclass(frozen=True, slots=True)
class Death:
    """A message left ``queue`` by dead lettering."""

    queue: str
    reason: DeathReason


@dataclass(frozen=True, slots=True)
class Publication:
    """A message as an exchange takes it.

    Attributes:
        exchange: Where it was published to, by a publisher or by dead lettering.
        routing_key: With which key.
        message: What was published, with the publisher's identity in ``app_id`` and ``user_id``.
        deaths: How it came here by dead lettering, the latest first.
    """

    exchange: str
    routing_key: str
    message: Message
    deaths: tuple[Death, ...] = ()

    def dead_lettered(self, death: Death, *, exchange: str, routing_key: str | None) -> "Publication":
        """The dead letter this becomes.

        It loses its own expiration, or it would expire again wherever it comes to, and keeps the marks of its first
        death only, as RabbitMQ does.
        """
        headers: dict[str, HeaderValue] = {
            "x-first-death-queue": death.queue,
            "x-first-death-reason": death.reason,
            "x-first-death-exchange": self.exchange,
            **self.message.headers,
        }
        key = self.routing_key if routing_key is None else routing_key
        letter = replace(self.message, headers=headers, expiration_seconds=None)
        return Publication(exchange, key, letter, (death, *(other for other in self.deaths if other != death)))

    def circles_to(self, queue: str) -> bool:
        """Whether this dead letter was in ``queue`` before and came back with no consumer rejecting it on the way.

        RabbitMQ drops such a message, since it would circle for ever.
        """
        if not self.deaths or self.deaths[0].reason == "rejected":
            return False
        for death in self.deaths:
            if death.reason == "rejected":
                return False
            if death.queue == queue:
                return True
        return False


@dataclass(slots=True)
class StoredMessage:
    """A message as one queue holds it, ready or unsettled.

    Attributes:
        publication: What was published.
        position: Its place in the queue's order of arrival; a requeued message returns to it.
        expires_at: When it has waited long enough, on the vhost's clock; None for never.
        redelivered: Whether it was handed out before.
        delivery_count: How often it was handed out and came back; counted by quorum queues only.
    """

    publication: Publication
    position: int
    expires_at: float | None
    redelivered: bool = False
    delivery_count: int = 0

    def has_expired(self, now: float) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now

    def message(self) -> Message:
        """A copy for one consumer, with the headers that RabbitMQ adds."""
        message = self.publication.message
        headers = dict(message.headers)
        if self.delivery_count:
            headers["x-delivery-count"] = self.delivery_count
        return replace(message, headers=headers)


@dataclass(frozen=True, slots=True)
class Published:
    """What a hook of `MemoryVhost.on_published` sees: a message and the queues it was routed to."""

    exchange: str
    routing_key: str
    message: Message
    queues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """What `MemoryVhost.messages` shows of a message that is ready in a queue."""

    exchange: str
    routing_key: str
    message: Message
    redelivered: bool
    delivery_count: int

    @classmethod
    def of(cls, stored: StoredMessage) -> "QueuedMessage":
        """A picture of a stored message; changing it changes nothing."""
        publication = stored.publication
        return cls(
            publication.exchange,
            publication.routing_key,
            stored.message(),
            stored.redelivered,
            stored.delivery_count,
        )


def stamped(message: Message, identity: str) -> Message:
    """The message as it travels: with its publisher, in whole milliseconds, safe from what becomes of its headers."""
    return replace(
        message,
        body=bytes(message.body),
        headers=dict(message.headers),
        expiration_seconds=in_milliseconds(message.expiration_seconds, least=0.0),
        app_id=identity,
        user_id=identity,
    )


def as_declared(queue: Queue) -> Queue:
    """The queue as it travels: in whole milliseconds, and with the overflow that at-least-once dead lettering needs."""
    return replace(
        queue,
        message_ttl_seconds=in_milliseconds(queue.message_ttl_seconds),
        expires_seconds=in_milliseconds(queue.expires_seconds),
        overflow="reject-publish" if queue.dead_letter_at_least_once else queue.overflow,
    )


def in_milliseconds(seconds: float | None, *, least: float = -math.inf) -> float | None:
    """Seconds rounded up to whole milliseconds, as RabbitMQ counts: nothing expires too early."""
    return None if seconds is None else math.ceil(max(seconds, least) * 1000) / 1000

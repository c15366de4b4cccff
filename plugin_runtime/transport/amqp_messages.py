"""Messages and queues in AMQP's own form: properties, headers, arguments, milliseconds."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from contracts.topology import Queue
from plugin_runtime.transport.base import HeaderValue, Message

CONTENT_TYPE = "application/json"
TRANSIENT, PERSISTENT = 1, 2
"""AMQP's delivery modes."""
DELIVERY_COUNT = "x-delivery-count"


def milliseconds(seconds: float) -> int:
    """Whole milliseconds, rounded up: nothing expires too early."""
    return math.ceil(seconds * 1000)


def properties_of(message: Message) -> Basic.Properties:
    """The AMQP properties under which a message travels."""
    expiration = message.expiration_seconds
    return Basic.Properties(
        content_type=CONTENT_TYPE,
        delivery_mode=PERSISTENT if message.persistent else TRANSIENT,
        headers=dict(message.headers),
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expiration=None if expiration is None else str(milliseconds(max(expiration, 0.0))),
        message_id=message.message_id,
        timestamp=None if message.timestamp is None else datetime.fromtimestamp(message.timestamp, tz=UTC),
        message_type=message.type,
        user_id=message.user_id,
        app_id=message.app_id,
    )


def message_of(delivered: DeliveredMessage) -> Message:
    """The message that a delivery carries."""
    return plain_message(delivered.header.properties, delivered.body)


def plain_message(properties: Basic.Properties, body: bytes) -> Message:
    """The message that travelled under these properties."""
    return Message(
        body=body,
        type=properties.message_type or "",
        message_id=properties.message_id or "",
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        headers=plain_headers(properties.headers or {}),
        expiration_seconds=expiration_of(properties.expiration),
        timestamp=None if properties.timestamp is None else int(properties.timestamp.timestamp()),
        app_id=properties.app_id,
        user_id=properties.user_id,
        persistent=properties.delivery_mode == PERSISTENT,
    )


def expiration_of(given: str | None) -> float | None:
    """Seconds from what a publisher wrote, which is digits or nothing that counts."""
    return int(given) / 1000 if given and given.isdecimal() else None


def plain_headers(headers: Mapping[str, Any]) -> dict[str, HeaderValue]:
    """The headers whose values are plain; tables, lists, times and bytes (``x-death``) are left out."""
    return {name: value for name, value in headers.items() if value is None or isinstance(value, str | int | float)}


def delivery_count_of(message: Message) -> int:
    """How often a quorum queue handed the message out before; RabbitMQ leaves the header out at the first time."""
    count = message.headers.get(DELIVERY_COUNT, 0)
    return count if isinstance(count, int) else 0


def arguments_of(queue: Queue) -> dict[str, Any]:
    """The ``x-`` arguments with which a queue is declared."""
    given: dict[str, Any] = {
        "x-queue-type": queue.kind,
        "x-message-ttl": None if queue.message_ttl_seconds is None else milliseconds(queue.message_ttl_seconds),
        "x-expires": None if queue.expires_seconds is None else milliseconds(queue.expires_seconds),
        "x-max-length": queue.max_length,
        "x-overflow": queue.overflow,
        "x-delivery-limit": queue.delivery_limit,
        "x-dead-letter-exchange": queue.dead_letter_exchange,
        "x-dead-letter-routing-key": queue.dead_letter_routing_key,
        "x-single-active-consumer": queue.single_active_consumer or None,
    }
    if queue.dead_letter_at_least_once:
        # At-least-once dead lettering works with this overflow only: a queue that drops cannot promise anything.
        given |= {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    return {name: value for name, value in given.items() if value is not None}

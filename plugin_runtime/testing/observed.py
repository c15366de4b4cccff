"""What can be seen of a memory vhost from outside: published events, dead letters, and whether anything moves."""

from dataclasses import dataclass, field
from typing import Any

from contracts.codec import (
    ATTEMPT_HEADER,
    CALLER_HEADER,
    ERROR_HEADER,
    ERROR_TYPE_HEADER,
    EVENT_HEADER,
    ORIGINAL_KEY_HEADER,
    ORIGINAL_PUBLISHER_HEADER,
    TENANT_HEADER,
    decode,
)
from contracts.errors import MalformedMessageError
from contracts.topology import Topology
from plugin_runtime.transport.memory_message import Published, QueuedMessage
from plugin_runtime.transport.memory_vhost import MemoryVhost

FIRST_DEATH_REASON = "x-first-death-reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEvent:
    """An event that was published; its later attempts are none.

    Attributes:
        key: Without the tenant, e.g. ``crm.events.contact.created``.
        tenant: In which it happened.
        data: As subscribers get it.
        publisher: The plugin id of the publisher.
        id: The event's id; events compare equal whatever it is.
    """

    key: str
    tenant: str
    data: Any
    publisher: str
    id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that a plugin could not handle.

    Attributes:
        key: Of the event, without the tenant; empty where RabbitMQ itself buried it, which does not keep it.
        tenant: In which it happened.
        data: What the event carried; bytes where it was no JSON.
        error: The text of what the handler raised last, or RabbitMQ's reason, e.g. ``delivery_limit``.
        error_type: The name of its class; empty where RabbitMQ gave the reason.
        attempt: The number of the last attempt.
        subscription: Whose dead letter it is.
        publisher: The plugin id of the event's publisher.
    """

    key: str
    tenant: str
    data: Any
    error: str
    error_type: str
    attempt: int
    subscription: str
    publisher: str


class Recorder:
    """Keeps every event that is published on a vhost from now on.

    Attributes:
        events: In the order in which they were published.
        published: How many messages of any kind were published.
    """

    def __init__(self, vhost: MemoryVhost, topology: Topology | None = None) -> None:
        self.events: list[PublishedEvent] = []
        self.published = 0
        self._exchange = (topology or Topology()).events
        vhost.on_published(self._on_published)

    def _on_published(self, published: Published) -> None:
        self.published += 1
        if published.exchange != self._exchange:
            return
        message = published.message
        tenant, _, key = published.routing_key.partition(".")
        event = PublishedEvent(
            key=key,
            tenant=tenant,
            data=_data(message.body),
            publisher=message.user_id or str(message.headers.get(CALLER_HEADER, "")),
            id=str(message.headers.get(EVENT_HEADER, "")),
        )
        self.events.append(event)


def dead_letters(vhost: MemoryVhost, plugin: str, topology: Topology | None = None) -> tuple[DeadLetter, ...]:
    """A plugin's dead letters, the oldest first; they stay where they are.

    Args:
        vhost: Where they are.
        plugin: The plugin's id.
        topology: The names of the bus; without a prefix when None.

    Raises:
        MissingQueueError: No such plugin with a subscription was ever connected.
    """
    queue = (topology or Topology()).dead_queue(plugin).name
    return tuple(_dead_letter(plugin, letter) for letter in vhost.messages(queue))


def in_flight(vhost: MemoryVhost) -> list[str]:
    """The queues, with figures, whose consumers have or will get messages; what waits for its time does not count."""
    found = []
    for queue in vhost.queues():
        ready = len(vhost.messages(queue.name)) if vhost.consumers(queue.name) else 0
        unsettled = vhost.unsettled(queue.name)
        if ready or unsettled:
            found.append(f"{queue.name}: {ready} ready, {unsettled} being handled")
    return found


def _dead_letter(plugin: str, letter: QueuedMessage) -> DeadLetter:
    headers = letter.message.headers
    key = str(headers.get(ORIGINAL_KEY_HEADER, "")).partition(".")[2]
    attempt = headers.get(ATTEMPT_HEADER, 1)
    return DeadLetter(
        key=key,
        tenant=str(headers.get(TENANT_HEADER, "")),
        data=_data(letter.message.body),
        error=str(headers.get(ERROR_HEADER) or headers.get(FIRST_DEATH_REASON, "")),
        error_type=str(headers.get(ERROR_TYPE_HEADER, "")),
        attempt=attempt if isinstance(attempt, int) else 1,
        subscription=letter.routing_key.removeprefix(f"{plugin}."),
        publisher=str(headers.get(ORIGINAL_PUBLISHER_HEADER) or headers.get(CALLER_HEADER, "")),
    )


def _data(body: bytes) -> Any:
    try:
        return decode(body)
    except MalformedMessageError:
        return body

"""One queue of the memory vhost: what is ready, who consumes, and when a message has to go.

::

    enqueue ──► a consumer has room? ──► handed out (unsettled) ──► acknowledged: gone
                    │ no                     ▲        │ requeued, connection lost: back to its position
                    ▼                        │        │ rejected, delivery limit: dead lettered
                  ready ─────────────────────┘◄───────┘
                    │ expired at the head, dropped over max_length
                    ▼
               dead lettered

Between two calls from outside one thing always holds: if a message is ready, no consumer has room for it.
"""

import bisect
from collections import deque
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Protocol

from contracts.topology import Queue
from plugin_runtime.transport.clock import Clock, Timer
from plugin_runtime.transport.memory_connection import Connection, Settlement, Subscription
from plugin_runtime.transport.memory_message import DeathReason, Publication, StoredMessage


class QueueHost(Protocol):
    """The vhost, as its queues see it."""

    @property
    def clock(self) -> Clock:
        """The time that counts."""

    def dead_letter(self, queue: Queue, publication: Publication, reason: DeathReason) -> None:
        """Publish what left a queue to the queue's dead letter exchange, if it has one."""

    def delete_idle_queue(self, queue: Queue) -> None:
        """Delete a queue that nobody used for ``expires_seconds``."""


class MemoryQueue:
    """One queue.

    Attributes:
        spec: How it was declared.
        owner: The connection to which it belongs, if it is exclusive.
        unsettled: How many messages consumers have and did not settle.
    """

    def __init__(self, spec: Queue, host: QueueHost, owner: Connection | None = None) -> None:
        self.spec = spec
        self.owner = owner
        self.unsettled = 0
        self._host = host
        # A queue that drops cannot promise dead lettering at least once: RabbitMQ asks for this overflow then.
        self._rejects_publishes = spec.overflow == "reject-publish" or spec.dead_letter_at_least_once
        self._ready: deque[StoredMessage] = deque()
        self._last_position = 0
        self._is_deleted = False
        self._consumers: list[Subscription] = []
        self._expiry = _Alarm(host, self.serve)
        self._idleness = _Alarm(host, lambda: host.delete_idle_queue(spec))
        self.touch()

    # Publishing

    def enqueue(self, publication: Publication) -> bool:
        """Take a message; False if the queue is full and rejects publishes."""
        self._drop_expired()
        max_length = self.spec.max_length
        if max_length is not None and self._rejects_publishes and len(self._ready) >= max_length:
            return False
        self._last_position += 1
        stored = StoredMessage(publication, self._last_position, self._expires_at(publication))
        # A consumer with room gets it whatever its expiry: even one that may not wait at all is delivered then.
        if not self._ready and (consumer := self._next_consumer()) is not None:
            self._hand_out(stored, consumer)
            return True
        self._ready.append(stored)
        self._drop_overflow()
        self._drop_expired()
        self._watch_expiry()
        return True

    def _expires_at(self, publication: Publication) -> float | None:
        own, queues = publication.message.expiration_seconds, self.spec.message_ttl_seconds
        if own is None and queues is None:
            return None
        return self._host.clock.now() + min(seconds for seconds in (own, queues) if seconds is not None)

    # Consuming

    @property
    def consumers(self) -> tuple[Subscription, ...]:
        """Who consumes, in the order in which they would be served now."""
        return tuple(self._consumers)

    def attach(self, consumer: Subscription) -> None:
        """Serve one more consumer."""
        self._idleness.set(None)
        self._place(consumer)
        self.serve()

    def detach(self, consumer: Subscription) -> None:
        """Forget a consumer; what it has received stays unsettled. `serve` the others then."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)
            self.touch()

    def serve(self) -> None:
        """Hand out what is ready to whoever has room for it."""
        self._drop_expired()
        while self._ready and (consumer := self._next_consumer()) is not None:
            self._hand_out(self._ready.popleft(), consumer)
            self._drop_expired()
        self._watch_expiry()

    def settle(self, stored: StoredMessage, settlement: Settlement) -> None:
        """Do with a message what its consumer says, and hand out the next."""
        if self._is_deleted:
            return
        if settlement == "requeue":
            self.restore([stored])
        else:
            self.unsettled -= 1
            if settlement == "reject":
                self._host.dead_letter(self.spec, stored.publication, "rejected")
        self.serve()

    def restore(self, messages: Iterable[StoredMessage]) -> None:
        """Put messages that were handed out back to their positions; too often, and they are dead lettered.

        `serve` then. Several consumers that go at once give everything back before anything is handed out again.
        """
        if self._is_deleted:
            return
        for stored in messages:
            self.unsettled -= 1
            stored.redelivered = True
            if self.spec.kind == "quorum":
                stored.delivery_count += 1
                limit = self.spec.delivery_limit
                if limit is not None and stored.delivery_count > limit:
                    self._host.dead_letter(self.spec, stored.publication, "delivery_limit")
                    continue
            bisect.insort(self._ready, stored, key=attrgetter("position"))
        self._drop_overflow()

    def _place(self, consumer: Subscription) -> None:
        if self.spec.single_active_consumer:
            self._consumers.append(consumer)  # the first is the active one; priorities do not count
        else:
            bisect.insort(self._consumers, consumer, key=lambda other: -other.priority)  # behind its equals

    def _next_consumer(self) -> Subscription | None:
        for consumer in self._consumers:
            if consumer.has_room:
                return consumer
            if self.spec.single_active_consumer:
                return None
        return None

    def _hand_out(self, stored: StoredMessage, consumer: Subscription) -> None:
        if not consumer.consumption.no_ack:
            self.unsettled += 1
        consumer.hand_out(stored)
        if len(self._consumers) > 1 and not self.spec.single_active_consumer:
            self._consumers.remove(consumer)
            self._place(consumer)

    # What has to go

    def _drop_expired(self) -> None:
        # Only the head counts: behind it a message may outlive its time, unseen. RabbitMQ does the same.
        while self._ready and self._ready[0].expires_at is not None:
            if not self._ready[0].has_expired(self._host.clock.now()):
                return
            self._host.dead_letter(self.spec, self._ready.popleft().publication, "expired")

    def _drop_overflow(self) -> None:
        if self.spec.max_length is None or self._rejects_publishes:
            return
        while len(self._ready) > self.spec.max_length:
            self._host.dead_letter(self.spec, self._ready.popleft().publication, "maxlen")

    def _watch_expiry(self) -> None:
        self._expiry.set(self._ready[0].expires_at if self._ready else None)

    # The queue itself

    def touch(self) -> None:
        """Begin the time again after which an unused queue is deleted."""
        if self.spec.expires_seconds is not None and not self._consumers:
            self._idleness.set(None)
            self._idleness.set(self._host.clock.now() + self.spec.expires_seconds)

    def ready(self) -> tuple[StoredMessage, ...]:
        """What waits for a consumer, in order."""
        return tuple(self._ready)

    def depth(self) -> int:
        """How many messages are ready, now."""
        self._drop_expired()
        return len(self._ready)

    def purge(self) -> int:
        """Drop what is ready and say how many that were."""
        count = self.depth()
        self._ready.clear()
        self._watch_expiry()
        return count

    def delete(self) -> None:
        """End: consumers are cancelled, what they have can no longer be settled."""
        self._is_deleted = True
        self.suspend()
        self._ready.clear()
        consumers, self._consumers = self._consumers, []
        for consumer in consumers:
            consumer.cancel()
            consumer.return_unsettled()  # to nowhere: the queue takes nothing back any more
            consumer.on_cancelled()

    def suspend(self) -> None:
        """Let no time pass for the queue, while RabbitMQ is down."""
        self._expiry.set(None)
        self._idleness.set(None)

    def resume(self) -> None:
        """Go on after `suspend`; messages may have expired meanwhile, the queue has not."""
        self.touch()
        self.serve()


class _Alarm:
    """A timer that is set to a moment, and kept when it rings early enough anyway.

    Most heads of a queue go before they expire. A timer that rings too early costs a look at the queue; setting a new
    one for each head would cost more.
    """

    def __init__(self, host: QueueHost, ring: Callable[[], None]) -> None:
        self._host = host
        self._ring = ring
        self._at: float | None = None
        self._timer: Timer | None = None

    def set(self, at: float | None) -> None:
        """Ring at ``at`` or before; with None not at all."""
        if self._at is not None and at is not None and self._at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at, self._timer = at, None
        if at is not None:
            self._timer = self._host.clock.call_later(at - self._host.clock.now(), self._rings)

    def _rings(self) -> None:
        self._at = self._timer = None
        self._ring()

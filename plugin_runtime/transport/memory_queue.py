"""One queue of the memory vhost: what is ready, who consumes, and when a message has to go.

::

    enqueue ──► a consumer has room? ──► handed out (unsettled) ──► acknowledged: gone
                    │ no                     ▲        │ requeued, connection lost: back, see `Backlog`
                    ▼                        │        │ rejected, delivery limit: dead lettered
                  ready ─────────────────────┘◄───────┘
                    │ expired at the head, dropped over max_length
                    ▼
               dead lettered

Between two calls from outside one thing always holds: if a message is ready, no consumer has room for it.
"""

import bisect
from collections.abc import Callable, Iterable
from typing import Protocol

from contracts.topology import Queue
from plugin_runtime.transport.clock import Clock, Timer
from plugin_runtime.transport.memory_backlog import Capacity, backlog_of
from plugin_runtime.transport.memory_connection import Connection, Settlement, Subscription
from plugin_runtime.transport.memory_message import DeathReason, Publication, StoredMessage


class QueueHost(Protocol):
    """The vhost, as its queues see it."""

    @property
    def clock(self) -> Clock:
        """The time that counts."""

    def dead_letter(self, queue: Queue, publication: Publication, reason: DeathReason) -> None:
        """Publish what left a queue to the queue's dead letter exchange, if it has one."""

    def undelivered_dead_letters(self, queue: str) -> int:
        """How many messages left a queue for dead letters, but have not arrived."""

    def room_was_made(self) -> None:
        """A queue may take messages that it refused before."""

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
        self._ready = backlog_of(spec)
        self._capacity = Capacity(spec)
        self._last_position = 0
        self._is_deleted = False
        self._consumers: list[Subscription] = []
        self._leaving: list[Subscription] = []
        self._expiry = _Alarm(host, self.serve)
        self._idleness = _Alarm(host, lambda: host.delete_idle_queue(spec))
        self.touch()

    # Publishing

    def enqueue(self, publication: Publication) -> bool:
        """Take a message; False if the queue is full and rejects publishes."""
        self._drop_expired()
        self._note_load()
        if not self._capacity.admits_one_more(len(self._ready)):
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
        self._settle_down()
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

    def count_consumers(self) -> int:
        """How many consumers there are; a quorum queue still counts a cancelled one that has not settled all."""
        leaving = self._leaving if self.spec.kind == "quorum" else ()
        return len(self._consumers) + sum(consumer.has_unsettled for consumer in leaving)

    def attach(self, consumer: Subscription) -> None:
        """Serve one more consumer."""
        self._idleness.set(None)
        self._place(consumer)
        self.serve()

    def detach(self, consumer: Subscription) -> None:
        """Forget a consumer; what it has received stays unsettled. `serve` the others then."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)
            self._leaving = [other for other in (*self._leaving, consumer) if other.has_unsettled]
            self.touch()

    def serve(self) -> None:
        """Hand out what is ready to whoever has room for it."""
        self._drop_expired()
        while self._ready and (consumer := self._next_consumer()) is not None:
            self._hand_out(self._ready.pop(), consumer)
            self._drop_expired()
        self._settle_down()

    def settle(self, stored: StoredMessage, settlement: Settlement) -> None:
        """Do with a message what its consumer says, and hand out the next."""
        if self._is_deleted:
            return
        self.unsettled -= 1
        if settlement == "requeue":
            self._take_back(stored, self._ready.requeue)
            self._drop_overflow()
        elif settlement == "reject":
            self._host.dead_letter(self.spec, stored.publication, "rejected")
        self.serve()

    def restore(self, messages: Iterable[StoredMessage]) -> None:
        """Take back what consumers had that went; handed out too often, it is dead lettered.

        `serve` then. Several consumers that go at once give everything back before anything is handed out again.
        """
        if self._is_deleted:
            return
        for stored in messages:
            self.unsettled -= 1
            self._take_back(stored, self._ready.restore)
        self._drop_overflow()

    def _take_back(self, stored: StoredMessage, put: Callable[[StoredMessage], None]) -> None:
        stored.redelivered = True
        if self.spec.kind == "quorum":
            stored.delivery_count += 1
            limit = self.spec.delivery_limit
            if limit is not None and stored.delivery_count > limit:
                self._host.dead_letter(self.spec, stored.publication, "delivery_limit")
                return
        put(stored)

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
        while (head := self._ready.head) is not None and head.has_expired(self._host.clock.now()):
            self._host.dead_letter(self.spec, self._ready.pop().publication, "expired")

    def _drop_overflow(self) -> None:
        while self._capacity.is_exceeded(len(self._ready)):
            self._host.dead_letter(self.spec, self._ready.pop().publication, "maxlen")

    def _settle_down(self) -> None:
        head = self._ready.head
        self._expiry.set(None if head is None else head.expires_at)
        self._note_load()
        self._host.room_was_made()

    def _note_load(self) -> None:
        # Dead letters that have not arrived still take up room: only a quorum queue has them.
        self._capacity.note(len(self._ready) + self._host.undelivered_dead_letters(self.spec.name))

    # The queue itself

    def touch(self) -> None:
        """Begin the time again after which an unused queue is deleted."""
        if self.spec.expires_seconds is not None and not self._consumers:
            self._idleness.set(None)
            self._idleness.set(self._host.clock.now() + self.spec.expires_seconds)

    def ready(self) -> tuple[StoredMessage, ...]:
        """What waits for a consumer, in order."""
        return self._ready.messages()

    def depth(self) -> int:
        """How many messages are ready, now."""
        self._drop_expired()
        return len(self._ready)

    def purge(self) -> int:
        """Drop what is ready and say how many that were."""
        count = self.depth()
        self._ready.clear()
        self._settle_down()
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
        """Let no time pass for the queue: RabbitMQ is down, or the queue is gone."""
        self._expiry.set(None)
        self._idleness.set(None)

    def restart(self) -> None:
        """RabbitMQ goes down: what it kept in memory only is lost. A quorum queue writes down whatever it takes."""
        self.suspend()
        kept = [stored for stored in self._ready.messages() if stored.publication.message.persistent]
        if self.spec.kind == "classic" and len(kept) < len(self._ready):
            self._ready.clear()
            for stored in kept:
                self._ready.append(stored)

    def resume(self) -> None:
        """Go on after `restart`; messages may have expired meanwhile, the queue has not."""
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

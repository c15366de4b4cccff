"""What is ready in a queue of the memory vhost: in which order, and how much of it is too much.

The two kinds of queue differ here and nowhere else (measured on RabbitMQ 3.10)::

                        classic             quorum with a delivery limit     quorum without
    requeued            to its old place    before all that is new           behind all that is ready
    consumer went       to its old place    before all that is new           before all that is new
    reject-publish      at max_length       once it is exceeded, until four fifths are left
"""

import bisect
from collections import deque
from operator import attrgetter
from typing import Protocol

from contracts.topology import Queue
from plugin_runtime.transport.memory_message import StoredMessage


class Backlog(Protocol):
    """The ready messages of a queue, in the order in which they are handed out, expire and are dropped."""

    def __len__(self) -> int: ...

    @property
    def head(self) -> StoredMessage | None:
        """The message that goes next."""

    def append(self, stored: StoredMessage) -> None:
        """A new message comes."""

    def requeue(self, stored: StoredMessage) -> None:
        """A consumer gave a message back."""

    def restore(self, stored: StoredMessage) -> None:
        """A consumer went, and left a message; the oldest first."""

    def pop(self) -> StoredMessage:
        """Take the head."""

    def clear(self) -> None:
        """Drop everything."""

    def messages(self) -> tuple[StoredMessage, ...]:
        """Everything, in order."""


class ClassicBacklog:
    """In order of arrival: what comes back goes to its old place."""

    def __init__(self) -> None:
        self._ready: deque[StoredMessage] = deque()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def head(self) -> StoredMessage | None:
        """The message that goes next."""
        return self._ready[0] if self._ready else None

    def append(self, stored: StoredMessage) -> None:
        """A new message is the last."""
        self._ready.append(stored)

    def requeue(self, stored: StoredMessage) -> None:
        """A message returns to its place."""
        bisect.insort(self._ready, stored, key=attrgetter("position"))

    restore = requeue

    def pop(self) -> StoredMessage:
        """Take the head."""
        return self._ready.popleft()

    def clear(self) -> None:
        """Drop everything."""
        self._ready.clear()

    def messages(self) -> tuple[StoredMessage, ...]:
        """Everything, in order."""
        return tuple(self._ready)


class QuorumBacklog:
    """Two rows: what came back goes before what is new.

    Args:
        counts: Whether there is a delivery limit. Without one a requeued message goes to the end, or a consumer that
            rejects for ever would keep RabbitMQ's log from ever being cut.
    """

    def __init__(self, *, counts: bool) -> None:
        self._returned: deque[StoredMessage] = deque()
        self._new: deque[StoredMessage] = deque()
        self._requeued = self._returned if counts else self._new

    def __len__(self) -> int:
        return len(self._returned) + len(self._new)

    @property
    def head(self) -> StoredMessage | None:
        """The message that goes next."""
        row = self._returned or self._new
        return row[0] if row else None

    def append(self, stored: StoredMessage) -> None:
        """A new message is the last."""
        self._new.append(stored)

    def requeue(self, stored: StoredMessage) -> None:
        """A message goes behind what came back before it, or without a delivery limit to the end."""
        self._requeued.append(stored)

    def restore(self, stored: StoredMessage) -> None:
        """A message goes behind what came back before it."""
        self._returned.append(stored)

    def pop(self) -> StoredMessage:
        """Take the head."""
        return (self._returned or self._new).popleft()

    def clear(self) -> None:
        """Drop everything."""
        self._returned.clear()
        self._new.clear()

    def messages(self) -> tuple[StoredMessage, ...]:
        """Everything, in order."""
        return (*self._returned, *self._new)


def backlog_of(spec: Queue) -> Backlog:
    """An empty backlog for a queue."""
    return ClassicBacklog() if spec.kind == "classic" else QuorumBacklog(counts=spec.delivery_limit is not None)


class Capacity:
    """Whether a queue takes one more message, if it rejects publishes; else it always does.

    A quorum queue tells its publishers that it is full when one message too many is in it, and that it has room again
    at four fifths of its length.
    """

    def __init__(self, spec: Queue) -> None:
        # A queue that drops cannot promise dead lettering at least once: RabbitMQ asks for this overflow then.
        self.drops = spec.overflow != "reject-publish" and not spec.dead_letter_at_least_once
        self._max_length = spec.max_length
        self._is_quorum = spec.kind == "quorum"
        self._is_blocked = False

    def admits_one_more(self, ready: int) -> bool:
        """Whether a publish is taken while so many messages are ready."""
        if self._max_length is None or self.drops:
            return True
        return not self._is_blocked if self._is_quorum else ready < self._max_length

    def is_exceeded(self, ready: int) -> bool:
        """Whether the head has to be dropped."""
        return self.drops and self._max_length is not None and ready > self._max_length

    def note(self, load: int) -> None:
        """So many messages take up room now: what is ready, and the dead letters that have not arrived."""
        if self._max_length is None:
            return
        if load > self._max_length:
            self._is_blocked = True
        elif load <= self._max_length * 4 // 5:
            self._is_blocked = False

"""Dead lettering in the memory vhost: at most once, or again and again until every target has the letter.

::

    queue ── rejected, expired, maxlen, delivery_limit ──► dead letter exchange ──► target
                                                               │ at least once, and no target, or one that is full
                                                               ▼
                                       waits in its queue, unseen by `depth`, until something changes

RabbitMQ tries again every three minutes (``dead_letter_worker_publisher_confirm_timeout``); here it is tried as soon as
a queue has room, or an exchange, a queue or a binding is made.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from contracts.topology import Queue
from plugin_runtime.transport.memory_message import Death, DeathReason, Publication


@dataclass(slots=True)
class Letter:
    """A dead letter on its way.

    Attributes:
        queue: The queue it left.
        publication: What is published.
        missing: The targets that still refuse it; None before it found any.
    """

    queue: str
    publication: Publication
    missing: tuple[str, ...] | None = None


Route = Callable[[Publication], tuple[str, ...]]
"""The targets of a letter; none if there is no such exchange."""

Enqueue = Callable[[str, Publication], bool]
"""Offers a letter to a target: False if it is full and refuses; True also if the target is gone."""


class DeadLetters:
    """Every dead letter of a vhost on its way to its targets."""

    def __init__(self, route: Route, enqueue: Enqueue) -> None:
        self._route = route
        self._enqueue = enqueue
        self._waiting: list[Letter] = []
        self._retry: asyncio.Handle | None = None

    def publish(self, queue: Queue, publication: Publication, reason: DeathReason) -> None:
        """Publish what left a queue to the queue's dead letter exchange; it is lost if the queue has none."""
        if queue.dead_letter_exchange is None:
            return
        letter = publication.dead_lettered(
            Death(queue.name, reason), exchange=queue.dead_letter_exchange, routing_key=queue.dead_letter_routing_key
        )
        self._deliver(Letter(queue.name, letter), at_least_once=queue.dead_letter_at_least_once)

    def waiting(self, queue: str) -> int:
        """How many letters of a queue have not reached all their targets."""
        return sum(letter.queue == queue for letter in self._waiting) if self._waiting else 0

    def forget(self, queue: str) -> None:
        """Drop the letters of a queue that was deleted."""
        self._waiting = [letter for letter in self._waiting if letter.queue != queue]

    def something_changed(self) -> None:
        """Try again, with the next turn of the loop, what could not be delivered."""
        if self._waiting and self._retry is None:
            self._retry = asyncio.get_running_loop().call_soon(self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        waiting, self._waiting = self._waiting, []
        for letter in waiting:
            self._deliver(letter, at_least_once=True)

    def _deliver(self, letter: Letter, *, at_least_once: bool) -> None:
        found = self._route(letter.publication)
        targets = found if letter.missing is None else letter.missing
        open_targets = [name for name in targets if not letter.publication.circles_to(name)]
        refused = tuple(name for name in open_targets if not self._enqueue(name, letter.publication))
        if at_least_once and (refused or not targets):
            letter.missing = refused or None
            self._waiting.append(letter)

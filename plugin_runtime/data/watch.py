"""Watchers of one instance: changes of shared data and announcements, handed to whoever iterates."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from contracts.names import matches

log = structlog.get_logger()

Item = TypeVar("Item")

LONGEST_BACKLOG = 10_000


@dataclass(eq=False, slots=True)
class _Watcher(Generic[Item]):
    admits: Callable[[str], bool]
    backlog: "asyncio.Queue[Item]" = field(default_factory=lambda: asyncio.Queue(LONGEST_BACKLOG))


class Watch(AsyncIterator[Item]):
    """What a watcher hears, in order, from the moment on that it began."""

    def __init__(self, backlog: "asyncio.Queue[Item]") -> None:
        self._backlog = backlog

    async def __anext__(self) -> Item:
        """The next item; waits for ever: put ``asyncio.timeout`` round it."""
        return await self._backlog.get()


class Watchers(Generic[Item]):
    """Hands each item to every watcher whose pattern admits its routing key."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher[Item]] = set()
        self._patterns = Counter[str]()
        self.turn = asyncio.Lock()
        """Held by whoever tells the broker that a pattern is watched, or no more."""

    def is_shared(self, pattern: str) -> bool:
        """Whether more than one watcher watches this very pattern: they have one binding between them."""
        return self._patterns[pattern] > 1

    def publish(self, key: str, item: Item) -> None:
        """Hand an item over; a watcher that does not keep up loses its oldest, and the log says so."""
        for watcher in self._watchers:
            if not watcher.admits(key):
                continue
            if watcher.backlog.full():
                watcher.backlog.get_nowait()
                log.warning("watch.dropped", key=key)
            watcher.backlog.put_nowait(item)

    @contextmanager
    def watching(self, *patterns: str) -> Iterator[Watch[Item]]:
        """Watch keys that one of the patterns admits, until the context ends."""
        watcher = _Watcher[Item](lambda key: any(matches(pattern, key) for pattern in patterns))
        self._watchers.add(watcher)
        self._patterns.update(patterns)
        try:
            yield Watch(watcher.backlog)
        finally:
            self._watchers.discard(watcher)
            self._patterns.subtract(patterns)
            self._patterns = +self._patterns

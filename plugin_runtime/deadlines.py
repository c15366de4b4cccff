"""When what is in flight is to be given up: one heap and one timer for all of it."""

import asyncio
import heapq
import time
from collections.abc import Callable, Container, Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

FEW = 1024
"""So many entries of what ended already are not worth a clearing."""


class Deadlines(Generic[Key]):
    """The deadlines of whatever is in flight. Most of it ends earlier: its entry is passed over then. Pure.

    Args:
        in_flight: Holds the keys of what has not ended; looked at, never changed.
    """

    def __init__(self, in_flight: Container[Key]) -> None:
        self._in_flight = in_flight
        self._heap: list[tuple[float, Key]] = []

    def __len__(self) -> int:
        """How many entries are kept, those of what ended already included."""
        return len(self._heap)

    def add(self, moment: float, key: Key, *, in_flight: int) -> None:
        """Enter something that is in flight.

        Args:
            moment: Its deadline, on whatever clock the caller uses.
            key: Its key.
            in_flight: How much is in flight.
        """
        if len(self._heap) > 2 * in_flight + FEW:
            self._heap = [entry for entry in self._heap if entry[1] in self._in_flight]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (moment, key))

    def expired(self, now: float) -> list[Key]:
        """Take out the keys of what is in flight and whose deadline has come, the earliest first."""
        found: list[Key] = []
        while self._heap and self._heap[0][0] <= now:
            _, key = heapq.heappop(self._heap)
            if key in self._in_flight:
                found.append(key)
        return found

    def next(self) -> float | None:
        """When something in flight is to be given up next; None when nothing is in flight."""
        while self._heap and self._heap[0][1] not in self._in_flight:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Nothing is in flight any more."""
        self._heap.clear()


class AlarmClock(Generic[Key]):
    """Rings for what is in flight when its deadline comes.

    Args:
        in_flight: Holds what is in flight by its key; looked at, never changed.
        ring: Called in the event loop with each key whose deadline has come and that is in flight still.
    """

    def __init__(self, in_flight: Mapping[Key, object], ring: Callable[[Key], None]) -> None:
        self._in_flight = in_flight
        self._ring = ring
        self._deadlines = Deadlines(in_flight)
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0

    def add(self, moment: float, key: Key) -> None:
        """Ring for something that is in flight.

        Args:
            moment: Its deadline, on the monotonic clock.
            key: Its key.
        """
        self._deadlines.add(moment, key, in_flight=len(self._in_flight))
        if self._timer is None or moment < self._rings_at:
            self._set(moment)

    def stop(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._deadlines.clear()

    def _set(self, moment: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = moment
        self._timer = asyncio.get_running_loop().call_later(max(0.0, moment - time.monotonic()), self._wake)

    def _wake(self) -> None:
        self._timer = None
        for key in self._deadlines.expired(time.monotonic()):
            self._ring(key)
        following = self._deadlines.next()
        if following is not None:
            self._set(following)

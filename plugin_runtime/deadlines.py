"""When what is in flight is to be given up: one heap for all, so that one timer does. Pure."""

import heapq
from collections.abc import Container
from typing import Generic, TypeVar

Key = TypeVar("Key", str, int)

FEW = 1024
"""So many entries of what ended already are not worth a clearing."""


class Deadlines(Generic[Key]):
    """The deadlines of whatever is in flight. Most of it ends earlier: its entry is passed over then.

    Args:
        in_flight: Holds the keys of what has not ended; looked at, never changed.
    """

    def __init__(self, in_flight: Container[Key]) -> None:
        self._in_flight: Container[Key] = in_flight
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

"""What a client does between two looks at the clocks: calls, one after the other or many at once.

The same two lines go to every client, also to those in C and on eventlet: ``one SECONDS`` is answered with
``{"calls", "seconds", "p50", "p99"}``, ``many IN_FLIGHT SECONDS`` with ``{"calls", "seconds"}``; all in seconds.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

Echo = Callable[[Any], Awaitable[Any]]
"""Calls the server with a JSON value and returns the value that comes back."""


@dataclass(frozen=True)
class Phase:
    """A stretch of load: so many calls in flight for so long."""

    in_flight: int
    seconds: float

    @classmethod
    def parse(cls, line: str) -> Self:
        """A line of standard input."""
        word, *numbers = line.split()
        return cls(1, float(numbers[0])) if word == "one" else cls(int(numbers[0]), float(numbers[1]))

    def line(self) -> str:
        """The same as a line."""
        return f"one {self.seconds}" if self.in_flight == 1 else f"many {self.in_flight} {self.seconds}"


@dataclass(frozen=True)
class Done:
    """What a client did in a phase; the percentiles are there where one call at a time was in flight."""

    calls: int
    seconds: float
    p50: float | None = None
    p99: float | None = None

    @classmethod
    def parse(cls, line: str) -> Self:
        """A line of the client's."""
        return cls(**json.loads(line))

    def line(self) -> str:
        """The same as a line."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of the ordered ones lies, by nearest rank."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def singly(durations: Sequence[float], seconds: float) -> Done:
    """The figures of calls that were made one after the other."""
    ordered = sorted(durations)
    return Done(len(ordered), seconds, percentile(ordered, 0.5), percentile(ordered, 0.99))


async def perform(phase: Phase, echo: Echo, data: Any) -> Done:
    """Call until the time is over; a call that comes back changed fails it.

    Raises:
        AssertionError: The server did not send back what it got.
    """
    assert await echo(data) == data, "the server did not send back what it got"
    return await (_one(phase.seconds, echo, data) if phase.in_flight == 1 else _many(phase, echo, data))


async def _one(seconds: float, echo: Echo, data: Any) -> Done:
    clock = time.perf_counter
    durations: list[float] = []
    began = before = clock()
    while not durations or before < began + seconds:
        await echo(data)
        now = clock()
        durations.append(now - before)
        before = now
    return singly(durations, before - began)


async def _many(phase: Phase, echo: Echo, data: Any) -> Done:
    clock, calls = time.perf_counter, 0
    began = clock()
    until = began + phase.seconds

    async def keep_calling() -> None:
        nonlocal calls
        await echo(data)
        calls += 1
        while clock() < until:
            await echo(data)
            calls += 1

    await asyncio.gather(*(keep_calling() for _ in range(phase.in_flight)))
    return Done(calls, clock() - began)

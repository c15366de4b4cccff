"""Closed loops that measure: so many callers, each with one call at a time, for some seconds."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

Once = Callable[[], Awaitable[str | None]]
"""One call: None when it was answered well, else the word under which its failure is counted."""

PAUSE_SECONDS = 0.01
"""How long a caller rests after a failure, so that a refusal known at once makes no storm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of one stage.

    Attributes:
        in_flight: How many calls were under way at one time.
        seconds: How long it took.
        durations: How many seconds each answered call took, ascending.
        failures: Word -> how many calls failed so.
        busy: The share of one CPU that this process used meanwhile; above 1 where several threads worked.
    """

    in_flight: int
    seconds: float
    durations: Sequence[float]
    failures: Mapping[str, int] = field(default_factory=dict)
    busy: float = 0.0

    @property
    def per_second(self) -> float:
        """Answered calls a second."""
        return len(self.durations) / self.seconds

    @property
    def p50_seconds(self) -> float | None:
        """Half of the answered calls took no longer."""
        return percentile(self.durations, 0.5)

    @property
    def p99_seconds(self) -> float | None:
        """99 of 100 answered calls took no longer."""
        return percentile(self.durations, 0.99)


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """The smallest value that this share of all values does not exceed (nearest rank); None where there is none."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else None


async def measured(once: Once, *, in_flight: int, seconds: float) -> Measured:
    """Call again and again, so many at a time, for so long; the calls under way at the end are waited for.

    Errors that ``once`` raises end the stage.
    """
    durations: list[float] = []
    failures: Counter[str] = Counter()
    began, cpu = time.monotonic(), time.process_time()

    async def caller() -> None:
        while (start := time.monotonic()) < began + seconds:
            failure = await once()
            if failure is None:
                durations.append(time.monotonic() - start)
            else:
                failures[failure] += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async with asyncio.TaskGroup() as callers:
        for _ in range(in_flight):
            callers.create_task(caller())
    took = time.monotonic() - began
    return Measured(
        in_flight=in_flight,
        seconds=took,
        durations=sorted(durations),
        failures=dict(failures),
        busy=(time.process_time() - cpu) / took,
    )

"""Time as the memory transport sees it, so that a test may turn it by hand.

Whatever waits in the memory transport waits on a `Clock`: expiring messages, idle queues, publishes without a
connection. Nothing there asks the operating system or the event loop for the time. `LoopClock` is real time,
`VirtualClock` passes when it is told to.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from functools import partial
from typing import Protocol


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Let it not come. Does nothing when it came already."""


class Clock(Protocol):
    """What the memory transport needs of time."""

    def now(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> Timer:
        """Have ``callback`` run in the event loop, ``delay_seconds`` from now."""


class LoopClock:
    """The time of the running event loop. May be made outside of one."""

    def now(self) -> float:
        """Seconds of the event loop's monotonic clock."""
        return asyncio.get_running_loop().time()

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> Timer:
        """Have the event loop run ``callback``."""
        return asyncio.get_running_loop().call_later(delay_seconds, callback)


SETTLING_TURNS = 50
"""How many turns of the event loop a settling grants: a delivery, its handler and its answer take about ten."""


class VirtualClock:
    """Time that passes only in `advance`, so that five minutes take milliseconds. May be made outside of a loop.

    It is the time of a `MemoryVhost`: of expirations, TTLs, idle queues, and of waiting for a lost connection. Leases,
    heartbeats and deadlines of calls stay on real time, since broker and plugin runtime read ``time.monotonic`` and
    sleep in the event loop: advancing this clock neither ends a lease nor a call's deadline.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._numbers = itertools.count()
        self._alarms: list[tuple[float, int, VirtualTimer]] = []

    def now(self) -> float:
        """Seconds by which the clock has been advanced."""
        return self._now

    @property
    def next_at(self) -> float | None:
        """The moment of the next call that is still to come; None when there is none."""
        while self._alarms and not self._alarms[0][2].is_set:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def call_later(self, delay_seconds: float, callback: Callable[[], None]) -> "VirtualTimer":
        """Have `advance` run ``callback`` when the clock has come that far."""
        timer = VirtualTimer(callback)
        heapq.heappush(self._alarms, (self._now + max(0.0, delay_seconds), next(self._numbers), timer))
        return timer

    async def advance(self, seconds: float) -> None:
        """Let time pass: what falls due runs at its own moment, in the order of its moments.

        Before the first, after each and at the end the event loop settles, so that a message that expires is
        delivered, handled and perhaps published again before the next one's moment comes. What that sets in motion is
        run too if it falls due within these seconds. A loop that waits for threads, processes or sockets is not
        waited for.

        Args:
            seconds: How far; 0 runs what is due now.

        Raises:
            ValueError: ``seconds`` is negative.
            Exception: What a callback raises; the clock then stands at that callback's moment.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds:g} s")
        end = self._now + seconds
        await settled()
        while self._alarms and self._alarms[0][0] <= end:
            moment, _, timer = heapq.heappop(self._alarms)
            if timer.is_set:
                self._now = max(self._now, moment)
                timer.ring()
                await settled()
        self._now = max(self._now, end)


class VirtualTimer:
    """A call that a `VirtualClock` has still to make."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    @property
    def is_set(self) -> bool:
        """Whether it was neither cancelled nor made."""
        return self._callback is not None

    def cancel(self) -> None:
        """Let it not come. Does nothing when it came already."""
        self._callback = None

    def ring(self) -> None:
        """Make the call, once."""
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


async def settled(turns: int = SETTLING_TURNS) -> None:
    """Give the event loop so many turns: everything that waits for nothing but other tasks goes on."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def sleep(clock: Clock, seconds: float) -> None:
    """Wait until ``seconds`` have passed on the clock; at once if there are none to wait."""
    if seconds > 0:
        await Gate(clock, is_open=False).passed(seconds)


class Gate:
    """What may be open or shut; coroutines wait before it in the order in which they came.

    Attributes:
        is_open: Whether one may pass now.
    """

    def __init__(self, clock: Clock, *, is_open: bool) -> None:
        self.is_open = is_open
        self._clock = clock
        self._waiting: dict[asyncio.Future[bool], None] = {}

    def open(self) -> None:
        """Let everybody pass who waits, and who comes."""
        self.is_open = True
        for waiter in self._waiting:
            _resolve(waiter, passed=True)

    def shut(self) -> None:
        """Make those wait who come from now on."""
        self.is_open = False

    async def passed(self, timeout: float | None = None) -> bool:
        """Wait until the gate is open.

        Nobody overtakes: who finds the gate open but others still on their way through goes behind them. That keeps
        one publisher's messages in the order of its calls.

        Args:
            timeout: Seconds to wait at most; None for as long as it takes.

        Returns:
            False if the time ran out first.
        """
        if self.is_open and not self._waiting:
            return True
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting[waiter] = None
        if self.is_open:
            loop.call_soon(partial(_resolve, waiter, passed=True))  # a future done already would not be waited for
        timer = None
        if timeout is not None:
            timer = self._clock.call_later(max(0.0, timeout), partial(_resolve, waiter, passed=False))
        try:
            return await waiter
        finally:
            del self._waiting[waiter]
            if timer is not None:
                timer.cancel()


def _resolve(waiter: asyncio.Future[bool], *, passed: bool) -> None:
    if not waiter.done():
        waiter.set_result(passed)

"""Time as the memory transport sees it, so that a test may turn it by hand.

Whatever waits in the memory transport waits on a `Clock`: expiring messages, idle queues, publishes without a
connection. Nothing there asks the operating system or the event loop for the time.
"""

import asyncio
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

"""The clock of shared data: announces within a second what has run out, though nobody reads it."""

import asyncio
import contextlib
from typing import NoReturn

import structlog

from broker.data.service import EXPIRED_AT_ONCE, SharedData
from broker.lock import Ready, always

LONGEST_SLEEP_SECONDS = 60.0
"""Wakes at least so often while something expires: the sleep follows the monotonic clock, expiry the wall clock."""

SHORTEST_SLEEP_SECONDS = 0.005
"""A wall clock that lags behind the sleep must not make the loop spin."""

_log = structlog.get_logger()


class Expiry:
    """Announces expirations, also those of the time in which no broker ran."""

    def __init__(self, data: SharedData) -> None:
        self._data = data

    async def run(self, ready: Ready = always) -> NoReturn:
        """Announce what is due, sleep until the next expiry or until one is added, and so on until cancelled.

        Idle, with nothing that expires, it waits without polling. It announces only when ``ready`` lets it. Cancelled,
        it leaves what is due to the next run.

        Raises:
            sqlite3.Error: The store failed.
        """
        while True:
            self._data.expect_expiry()
            await ready()
            if await self.announce_due():
                continue
            await self._sleep(await self._data.seconds_to_next_expiry())

    async def announce_due(self) -> int:
        """Announce everything that is expired now and return how many that were."""
        total = 0
        while count := await self._data.expire_due():
            total += count
            if count < EXPIRED_AT_ONCE:
                break
        if total:
            _log.info("data.expired", count=total)
        return total

    async def _sleep(self, seconds: float | None) -> None:
        delay = None if seconds is None else min(max(seconds, SHORTEST_SLEEP_SECONDS), LONGEST_SLEEP_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._data.expiry_added()

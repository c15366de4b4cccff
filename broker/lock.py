"""The lock that makes this process the bus's only broker, and when that may be believed.

Theory of operation. The lock is an exclusive queue: RabbitMQ deletes it with the connection that declared it, and from
then on another broker may have it. A broker that was frozen, or cut off, learns of its loss late. So the lock is taken
again and again, which succeeds for its holder, and believed for a shorter time than RabbitMQ waits for a silent
connection (two heartbeats, 20 s by default)::

    taken ── believed for 4 s ──┤ not believed: nothing is run, relayed or judged until it was taken again
    taken again every second    │ the connection is lost: not believed at once

Whoever cannot take it for 30 s gives up: another broker runs.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

import structlog

from contracts.errors import BrokerLockedError, ServiceUnavailableError, StartError, TransportError

BELIEVED_SECONDS = 4.0
TAKE_AGAIN_SECONDS = 1.0
GIVE_UP_SECONDS = 30.0
"""Longer than RabbitMQ takes to notice that this broker's own former connection is dead (27 s by default)."""

PATIENCE_SECONDS = 1.0
"""How long a call waits for the lock before it is refused."""

RETRY_AFTER_SECONDS = 2

SHORTEST_HEARTBEAT_SECONDS = 2
"""RabbitMQ gives up a connection that was silent for two heartbeats, never earlier; the lock is believed for less."""

Ready = Callable[[], Awaitable[None]]
"""Returns once work may be done."""

_log = structlog.get_logger()


def check_heartbeat(seconds: int) -> None:
    """Refuse an AMQP heartbeat with which the lock would promise too much.

    Raises:
        StartError: RabbitMQ would give the lock away while its former holder still believes in it, or, with 0, never.
    """
    if seconds == 0:
        raise StartError(
            "heartbeat=0 in PLEXICA_URL turns heartbeats off: RabbitMQ would keep the lock of a broker that is gone "
            f"for ever; leave it out (10 s), or choose at least {SHORTEST_HEARTBEAT_SECONDS}"
        )
    if seconds < SHORTEST_HEARTBEAT_SECONDS:
        raise StartError(
            f"heartbeat={seconds} in PLEXICA_URL is too short for the broker, which believes in its lock for "
            f"{BELIEVED_SECONDS:g} s: leave it out (10 s), or choose at least {SHORTEST_HEARTBEAT_SECONDS}"
        )


async def always() -> None:
    """Work may be done at any time: a `Ready` for what needs no lock."""


class BrokerLock:
    """Holds the lock.

    Args:
        take: Takes the lock, or takes it again; raises `BrokerLockedError` while another broker holds it.
        is_connected: Whether the connection that the lock belongs to is up.
        now: Seconds of a clock that runs on while the process is frozen.
    """

    def __init__(
        self, take: Ready, is_connected: Callable[[], bool], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._take = take
        self._is_connected = is_connected
        self._now = now
        self._taken_at = -math.inf
        self._losses = 0
        self._taken, self._doubted = asyncio.Event(), asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Whether no other broker can have the lock now."""
        return self._is_connected() and self._now() - self._taken_at < BELIEVED_SECONDS

    async def acquire(self) -> None:
        """Take the lock, or find that it is still held.

        Raises:
            BrokerLockedError: Another broker holds it.
            TransportError: RabbitMQ did not answer.
        """
        # Held is what was held when asked; the answer may come much later, or over a connection that is lost by then.
        asked_at, losses = self._now(), self._losses
        await self._take()
        if losses == self._losses:
            self._taken_at = asked_at
            self._taken.set()

    def doubt(self) -> None:
        """Believe no more that the lock is held: the connection was lost."""
        self._losses += 1
        self._taken_at = -math.inf
        self._doubted.set()

    async def keep(self) -> NoReturn:
        """Take the lock again and again.

        Raises:
            BrokerLockedError: Another broker has held it for 30 s.
        """
        refused_since: float | None = None
        while True:
            await self._pause()
            try:
                await self.acquire()
            except BrokerLockedError:
                self.doubt()
                refused_since = self._now() if refused_since is None else refused_since
                if self._now() - refused_since >= GIVE_UP_SECONDS:
                    raise
                _log.warning("broker.locked", seconds=round(self._now() - refused_since, 1))
                await asyncio.sleep(TAKE_AGAIN_SECONDS)
            except TransportError as error:
                _log.warning("broker.lock_uncertain", error=str(error))
            else:
                refused_since = None

    async def held(self) -> None:
        """Wait until the lock is held, however long that takes."""
        while not self.is_held:
            self._taken.clear()
            await self._taken.wait()

    async def check(self) -> None:
        """Refuse work that nobody may do without the lock.

        Raises:
            ServiceUnavailableError: It was not held for a second; nothing was run.
        """
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.held()
        except TimeoutError as error:
            raise ServiceUnavailableError(
                "this broker does not hold the lock of its bus now", retryAfter=RETRY_AFTER_SECONDS
            ) from error

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAKE_AGAIN_SECONDS):
                await self._doubted.wait()
        self._doubted.clear()

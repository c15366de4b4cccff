"""What keeps an instance alive while it runs: its heartbeats, and what they show to be due.

Three tasks, so that none waits for the others: a broker that is slow to register or to grant still hears heartbeats,
and the instance does not die of its silence.

    beat       at the pace that the broker named
    register   again, whenever the instance lost track: a gap in the announcements, a new connection, a broker that does
               not know it
    renew      the grants, after each answer to a heartbeat
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from contracts.errors import PlexicaError
from contracts.registry import HeartbeatAnswer

log = structlog.get_logger()

AFTER_A_MISS_SECONDS = 0.5


class Heart:
    """Keeps one instance alive. Nothing but a cancellation ends it, or the instance would die of silence.

    Args:
        instance: Its name, for the log.
        beat: Sends a heartbeat; None where the broker was asked for no answer.
        is_complete: Told the revision of each answer; False where an announcement before it was missed.
        register: Registers again.
        renew: Renews the grants.
    """

    def __init__(
        self,
        *,
        instance: str,
        beat: Callable[[], Awaitable[HeartbeatAnswer | None]],
        is_complete: Callable[[int], bool],
        register: Callable[[], Awaitable[object]],
        renew: Callable[[], Awaitable[None]],
    ) -> None:
        self._instance = instance
        self._beat = beat
        self._is_complete = is_complete
        self._register = register
        self._renew = renew
        self._lost_track = asyncio.Event()
        self._was_answered = asyncio.Event()
        self._is_registering = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, heartbeat_seconds: float) -> None:
        """Begin; the instance has just registered.

        Args:
            heartbeat_seconds: How often the broker wants a heartbeat.
        """
        self._tasks = [
            asyncio.create_task(self._beat_for_ever(heartbeat_seconds), name="heartbeat"),
            asyncio.create_task(self._register_for_ever(heartbeat_seconds), name="register again"),
            asyncio.create_task(self._renew_for_ever(), name="renew grants"),
        ]

    def lose_track(self) -> None:
        """Have the instance register again, as soon as the broker can be reached."""
        self._lost_track.set()

    def cancel(self) -> None:
        """Stop at once, without a word to anybody."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Stop, and wait until nothing is under way any more. Idempotent."""
        self.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _beat_for_ever(self, heartbeat_seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        pause = heartbeat_seconds
        while True:
            await asyncio.sleep(pause)
            began = clock()
            is_done = await _survived("heartbeat", self._beat_once())
            pause = max(0.0 if is_done else AFTER_A_MISS_SECONDS, heartbeat_seconds - (clock() - began))

    async def _beat_once(self) -> None:
        answer = await self._beat()
        if answer is None:
            return
        self._was_answered.set()
        # What is missing while the instance registers, it learns by that.
        if not self._is_registering and not (answer.known and self._is_complete(answer.revision)):
            self.lose_track()

    async def _register_for_ever(self, heartbeat_seconds: float) -> None:
        while True:
            await self._lost_track.wait()
            self._lost_track.clear()
            log.info("plugin.registers_again", instance=self._instance)
            self._is_registering = True
            try:
                is_done = await _survived("registration", self._register())
            finally:
                self._is_registering = False
            if not is_done:
                await asyncio.sleep(heartbeat_seconds)
                self.lose_track()

    async def _renew_for_ever(self) -> None:
        while True:
            await self._was_answered.wait()
            self._was_answered.clear()
            await _survived("renewal", self._renew())


async def _survived(what: str, work: Awaitable[object]) -> bool:
    """Await a piece of work; False, and a line in the log, when it fails."""
    missed, failed = f"plugin.{what}_missed", f"plugin.{what}_failed"
    try:
        await work
    except PlexicaError as error:
        log.warning(missed, reason=str(error))
    except Exception:
        log.exception(failed)
    else:
        return True
    return False

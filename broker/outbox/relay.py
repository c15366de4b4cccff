"""The relay: publishes what stands in the outbox, in order, and takes it out on the confirm.

At least once: what was published but not confirmed or not yet taken out is published again, with the same event id
and a new message id. The order holds for what is published for the first time; a repetition starts at the first
announcement that failed and runs on from there.
"""

import asyncio
import random
import uuid
from collections.abc import Callable, Sequence
from typing import NoReturn

import structlog

from broker.lock import Ready, always
from broker.outbox.store import Outbox, OutboxEntry
from contracts.codec import EVENT_HEADER, TENANT_HEADER
from contracts.errors import TransportError
from contracts.topology import Topology
from plugin_runtime.transport.base import Message, Transport

WINDOW = 64
"""How many announcements may wait for their confirm at once."""

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0

_log = structlog.get_logger()


def jittered_delay(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubled each time up to 10 s, then a random half to whole."""
    longest = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(failures, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads load, guards nothing


class Relay:
    """Publishes the outbox. One relay for one outbox: two would break the order."""

    def __init__(
        self,
        outbox: Outbox,
        transport: Transport,
        topology: Topology,
        *,
        delay: Callable[[int], float] = jittered_delay,
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._exchanges = {"registry": topology.registry, "data": topology.data}
        self._delay = delay
        self._progress = asyncio.Condition()

    async def run(self, ready: Ready = always) -> NoReturn:
        """Publish what waits, then what is added, until cancelled; idle, it waits without polling.

        It publishes only when ``ready`` lets it, and reads the outbox after that: another relay may have been at work.

        A `TransportError` is logged as ``outbox.waiting`` and tried again after a growing, jittered delay. Cancelled,
        it leaves in the outbox what it has not taken out; the next run publishes that again.

        Raises:
            sqlite3.Error: The store failed.
        """
        failures = 0
        while True:
            self._outbox.expect_more()
            await ready()
            waiting = await self._outbox.pending(WINDOW)
            if not waiting:
                await self._outbox.more()
                continue
            error = await self._forward(waiting)
            if error is None:
                failures = 0
                continue
            failures += 1
            delay = self._delay(failures)
            _log.warning("outbox.waiting", error=str(error), failures=failures, delay_seconds=round(delay, 3))
            await asyncio.sleep(delay)

    async def drained(self) -> None:
        """Wait until nothing is pending. It does not publish: `run` must be under way, or it waits for ever."""
        async with self._progress:
            while await self._outbox.pending(1):
                await self._progress.wait()

    async def _forward(self, entries: Sequence[OutboxEntry]) -> TransportError | None:
        async with asyncio.TaskGroup() as tasks:
            attempts = [tasks.create_task(self._publish(entry)) for entry in entries]
        errors = [attempt.result() for attempt in attempts]
        failed = next((place for place, error in enumerate(errors) if error is not None), len(errors))
        if failed:
            await self._take_out(entries[:failed])
        return errors[failed] if failed < len(errors) else None

    async def _publish(self, entry: OutboxEntry) -> TransportError | None:
        message = Message(
            body=entry.body,
            type=entry.type,
            message_id=uuid.uuid4().hex,
            headers={**entry.headers, TENANT_HEADER: entry.tenant, EVENT_HEADER: entry.event_id},
            timestamp=entry.created_at,
        )
        exchange = self._exchanges[entry.exchange]
        try:
            # Not mandatory: an announcement that nobody is bound for is announced all the same.
            await self._transport.publish(message, exchange=exchange, routing_key=entry.routing_key, mandatory=False)
        except TransportError as error:
            return error
        return None

    async def _take_out(self, entries: Sequence[OutboxEntry]) -> None:
        await self._outbox.mark_sent([entry.id for entry in entries])
        async with self._progress:
            self._progress.notify_all()

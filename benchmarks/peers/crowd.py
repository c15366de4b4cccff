"""Plugins that are there beside the two that are measured: connected, registered, reporting, and idle."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.peers.ours import as_user, offering, tenants
from plugin_runtime import Plugin, configure_logs

CROWD = "BENCH_CROWD"
"""The variable that says how many they are."""
AT_ONCE = 8
"""So many register at the same time."""


def plugin_id(number: int) -> str:
    """The name of one of them, which is also its login."""
    return f"plugin-crowd-{number}"


class Member:
    """A plugin of the crowd, kept by a task of its own."""

    def __init__(self, plugin: Plugin, address: str) -> None:
        self._plugin = plugin
        self._address = as_user(address, plugin.id)
        self._started, self._stopped = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, turn: asyncio.Semaphore) -> None:
        """Wait for a turn, then until it is registered; what keeps it from that is raised."""
        async with turn:
            self._task = asyncio.create_task(self._run())
            started = asyncio.create_task(self._started.wait())
            await asyncio.wait((self._task, started), return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                started.cancel()
                await self._task

    async def stop(self) -> None:
        """Wait until it has gone."""
        self._stopped.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        async with self._plugin.connected(self._address, tenants=tenants()):
            self._started.set()
            await self._stopped.wait()


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    configure_logs(level="error")
    numbers = range(int(os.environ[CROWD]))
    members = [Member(offering(plugin_id(number), f"crowd-{number}.contacts"), address) for number in numbers]
    turn = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack:
        for member in members:
            stack.push_async_callback(member.stop)
        await asyncio.gather(*(member.start(turn) for member in members))
        yield

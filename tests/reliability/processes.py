"""Broker and plugins as processes of their own, to be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from contracts.errors import CallError
from plugin_runtime import Plugin, Runner, TenantClient
from plugin_runtime.transport.amqp import AmqpTransport
from tests.waiting import eventually

LEASE_SECONDS = 1.5
START_SECONDS = 20.0

OBSERVER = {
    "id": "plugin-observer",
    "name": "Observer",
    "version": "1.0.0",
    "api": {
        "dependencies": [
            {"pluginId": "plugin-crm", "serviceName": "crm.contacts", "version": "^1.0.0", "required": False},
            {"pluginId": "plugin-slow", "serviceName": "slow.work", "version": "^1.0.0", "required": False},
        ]
    },
}


class Processes:
    """Processes that share one bus; whatever still runs at the end is killed."""

    def __init__(self, url: str, folder: Path, *, prefix: str = "", lease_seconds: float = LEASE_SECONDS) -> None:
        self.url = url
        self.prefix = prefix
        self._folder = folder
        self._environment = {
            **os.environ,
            "PLEXICA_URL": url,
            "PLEXICA_STORE": str(folder / "broker.db"),
            "PLEXICA_TENANT": "acme-corp",
            "PLEXICA_AUTO_INSTALL": "yes",
            "PLEXICA_INSECURE": "yes",
            "PLEXICA_PREFIX": prefix,
            "PLEXICA_LEASE_SECONDS": str(lease_seconds),
            "PLEXICA_HEARTBEAT_SECONDS": str(lease_seconds / 3),
            "PLEXICA_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, module: str, **environment: str) -> str:
        """Start ``python -m module`` and return the name under which it is spoken of."""
        name = f"{module}-{len(self._running)}"
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, env={**self._environment, **environment}, stdout=log, stderr=log
            )
        return name

    async def start_broker(self, **environment: str) -> str:
        """Start the broker and wait until it serves."""
        name = await self.start("broker", **environment)
        await eventually(lambda: "broker.started" in self.log(name), START_SECONDS)
        return name

    async def start_broker_when_free(self, within: float) -> str:
        """Start brokers until one finds the lock free, and wait until that one serves."""
        started: list[str] = []

        async def serves() -> bool:
            if not started or self._running[started[-1]].returncode is not None:
                started.append(await self.start("broker"))
            return "broker.started" in self.log(started[-1])

        await eventually(serves, within)
        return started[-1]

    async def start_plugins(self, module: str, count: int, **environment: str) -> list[str]:
        """Start so many instances of a plugin beside one another and wait until all of them serve."""
        names = [await self.start(module, **environment) for _ in range(count)]
        await eventually(lambda: all("plugin.started" in self.log(name) for name in names), START_SECONDS)
        return names

    def freeze(self, name: str) -> None:
        """SIGSTOP: it does nothing any more, and nobody is told."""
        self._running[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self._running[name].send_signal(signal.SIGCONT)

    async def kill(self, name: str) -> None:
        """SIGKILL."""
        self._running[name].kill()
        await self._running[name].wait()

    async def terminate(self, name: str) -> int:
        """SIGTERM; the exit status."""
        self._running[name].send_signal(signal.SIGTERM)
        return await self.ended(name)

    async def ended(self, name: str, within: float = START_SECONDS) -> int:
        """The exit status of a process that ends."""
        async with asyncio.timeout(within):
            return await self._running[name].wait()

    def log(self, name: str) -> str:
        """What the process printed so far."""
        return (self._folder / f"{name}.log").read_text(errors="replace")

    async def kill_all(self) -> None:
        """Kill whatever still runs."""
        for process in self._running.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


@asynccontextmanager
async def connected(
    plugin: Plugin, url: str, instance: str = "observer", *, prefix: str = "", tenants: Sequence[str] = ("acme-corp",)
) -> AsyncIterator[Runner]:
    """A plugin in this process, among the others."""
    transport = AmqpTransport(url, identity=plugin.id, instance=instance, insecure=True)
    async with plugin.connected(transport=transport, tenants=tenants, prefix=prefix) as runner:
        yield runner


async def answered(acme: TenantClient, service: str, path: str, within: float = START_SECONDS) -> None:
    """Wait until a GET is answered."""

    async def is_answered() -> bool:
        try:
            await acme.service(service).get(path, timeout=2)
        except CallError:
            return False
        return True

    await eventually(is_answered, within)

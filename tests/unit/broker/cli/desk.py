"""The command with a broker in this process: each invocation starts one anew on the same store."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import structlog
from typer.testing import CliRunner

from broker.bootstrap import Broker, running_broker
from broker.cli.app import app
from broker.settings import BrokerSettings
from contracts.names import OPERATOR_PLUGIN, SYSTEM_PLUGIN
from plugin_runtime import Plugin, RuntimeSettings
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.factories import Json

Beside = Callable[[Broker, MemoryTransport], Any]


class OwnBus(MemoryTransport):
    """A transport that brings a broker up when it opens, and what else a test wants there."""

    def __init__(self, store: Path, plugins: list[Plugin], beside: Beside | None, instance: str) -> None:
        super().__init__(MemoryVhost(), identity=OPERATOR_PLUGIN, instance=instance)
        self._store, self._plugins, self._beside = store, plugins, beside
        self._stack = AsyncExitStack()
        self._aside: asyncio.Task[None] | None = None

    async def open(self) -> None:
        settings = BrokerSettings(prefix="", auto_install=bool(self._plugins))
        own = MemoryTransport(self._vhost, identity=SYSTEM_PLUGIN, instance="broker")
        broker = await self._stack.enter_async_context(running_broker(settings, own, store=self._store))
        for plugin in self._plugins:
            transport = MemoryTransport(self._vhost, identity=plugin.id, instance=plugin.id)
            connected = plugin.connected(transport=transport, tenants=["acme-corp"], prefix="")
            await self._stack.enter_async_context(connected)
        await super().open()
        if self._beside is not None:
            self._aside = asyncio.create_task(self._beside(broker, self))

    async def close(self) -> None:
        if self._aside is not None:
            await self._aside
        await super().close()
        await self._stack.aclose()


class Answer:
    """What a command printed, and its exit status."""

    def __init__(self, result: Any) -> None:
        self.status: int = result.exit_code
        self.out: str = result.stdout
        self.err: str = result.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line."""
        return [line.split() for line in self.out.splitlines()]


@contextmanager
def own_logs() -> Iterator[None]:
    """A command configures the logs of its process; this one has other tests."""
    was_configured, before = structlog.is_configured(), structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        structlog.reset_defaults()
        if was_configured:
            structlog.configure(**before)
        root.handlers[:] = handlers
        root.setLevel(level)


class Desk:
    """An operator at a bus of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, *words: str, plugins: list[Plugin] | None = None, beside: Beside | None = None, keys: str = ""
    ) -> Answer:
        """Run ``plexica`` with these words; ``beside`` runs in the same process meanwhile."""

        def connect(settings: RuntimeSettings, instance: str) -> MemoryTransport:
            del settings
            return OwnBus(self.folder / "broker.db", plugins or [], beside, instance)

        with own_logs():
            return Answer(CliRunner().invoke(app, list(words), obj=connect, input=keys))

    def manifest(self, document: Json, name: str = "plugin.json") -> str:
        """A manifest's file."""
        place = self.folder / name
        place.write_text(json.dumps(document))
        return str(place)

    def has(self, *documents: Json, installed: bool = True) -> None:
        """A tenant, acme-corp, and these plugins in it."""
        self("tenant", "create", "acme-corp")
        for document in documents:
            assert self("plugin", "register", self.manifest(document)).status == 0
            if installed:
                done = self("install", document["id"], document["version"], "-t", "acme-corp")
                assert done.status == 0, done.err

"""Where the story plays: broker and plugins embedded in one process, over the memory transport."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

from broker.testing import Bus, bus
from examples import analytics, crm, invoicing, marketing
from plugin_runtime import Plugin

PLUGINS: dict[str, Callable[[], Plugin]] = {
    "plugin-crm": crm.create,
    "plugin-analytics": analytics.create,
    "plugin-marketing": marketing.create,
    "plugin-invoicing": invoicing.create,
}


def narrating_plugin() -> Plugin:
    """The plugin through which the narrator looks at the bus."""
    return Plugin.from_manifest(Path(__file__).with_name("plugin.json"))


class Stage(Protocol):
    """A bus on which the sample plugins can be started and stopped."""

    @property
    def name(self) -> str: ...

    @property
    def tenant(self) -> str:
        """The tenant in which the story plays; it has nothing of it before."""

    @property
    def runs_already(self) -> bool:
        """Whether the sample plugins run from the beginning, so that nobody has to start them."""

    @property
    def narrator(self) -> Plugin:
        """Connected already."""

    async def start(self, plugin: str) -> None:
        """Start a plugin; it registers when it is up."""

    async def stop(self, plugin: str) -> None:
        """Stop a plugin in order; it has deregistered when this returns."""


class EmbeddedStage:
    """Everything in one process."""

    name = "embedded in one process, memory transport"
    tenant = "acme-corp"
    runs_already = False

    def __init__(self, embedded_bus: Bus, narrator: Plugin) -> None:
        self.narrator = narrator
        self._bus = embedded_bus
        self._running: dict[str, AsyncExitStack] = {}

    async def start(self, plugin: str) -> None:
        """Bring the plugin up and wait for it."""
        stack = AsyncExitStack()
        await stack.enter_async_context(self._bus.connected(PLUGINS[plugin]()))
        self._running[plugin] = stack

    async def stop(self, plugin: str) -> None:
        """Bring the plugin down and wait for that."""
        await self._running.pop(plugin).aclose()

    async def stop_all(self) -> None:
        """Bring every plugin down that is still up."""
        for plugin in list(self._running):
            await self.stop(plugin)


@asynccontextmanager
async def embedded() -> AsyncIterator[EmbeddedStage]:
    """A bus in this process, with the narrator connected."""
    narrator = narrating_plugin()
    async with bus(operators=[narrator.id]) as embedded_bus, embedded_bus.connected(narrator):
        stage = EmbeddedStage(embedded_bus, narrator)
        try:
            yield stage
        finally:
            await stage.stop_all()

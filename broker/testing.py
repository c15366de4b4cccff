"""Broker and plugins in one process, over the memory transport: for tests and for trying things out.

``async with running(crm, analytics, tenants=["acme-corp"]): ...`` and every plugin is installed in every tenant.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from broker.bootstrap import Broker, running_broker
from broker.settings import BrokerSettings
from contracts.names import SYSTEM_PLUGIN
from plugin_runtime import Plugin, Runner
from plugin_runtime.context import new_instance
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost


class Bus:
    """A bus of its own.

    Attributes:
        vhost: What RabbitMQ would hold: exchanges, queues, bindings, messages.
        broker: The broker that runs on it.
    """

    def __init__(self, vhost: MemoryVhost, broker: Broker) -> None:
        self.vhost = vhost
        self.broker = broker

    @asynccontextmanager
    async def connected(self, plugin: Plugin, *, tenants: Iterable[str] = ()) -> AsyncIterator[Runner]:
        """Bring a plugin up for the length of the context; `Plugin.tenant` works meanwhile."""
        transport = MemoryTransport(self.vhost, identity=plugin.id, instance=new_instance())
        async with plugin.connected(transport=transport, tenants=tenants) as runner:
            yield runner


@asynccontextmanager
async def bus(*, auto_install: bool = False) -> AsyncIterator[Bus]:
    """A broker on an empty memory transport, with an empty store in memory.

    Args:
        auto_install: Install whatever registers in the tenants that it names, and create those.
    """
    vhost = MemoryVhost()
    settings = BrokerSettings(auto_install=auto_install, prefix="")
    transport = MemoryTransport(vhost, identity=SYSTEM_PLUGIN, instance="broker")
    async with running_broker(settings, transport, store=None) as broker:
        yield Bus(vhost, broker)


@asynccontextmanager
async def running(*plugins: Plugin, tenants: Iterable[str] = ("default",)) -> AsyncIterator[Bus]:
    """A broker and plugins, every plugin installed in every tenant, in the order given; dependencies first."""
    names = tuple(tenants)
    async with bus(auto_install=True) as made, AsyncExitStack() as stack:
        for plugin in plugins:
            await stack.enter_async_context(made.connected(plugin, tenants=names))
        await made.broker.drained()
        yield made

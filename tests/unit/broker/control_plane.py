"""A control plane on a store and a vhost in memory, with a clock of its own."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from broker.administration import Administration
from broker.control import Control, assemble
from broker.outbox.store import Outbox
from broker.provisioning.provisioner import Provisioner
from broker.registry.registration import Terms
from broker.storage.database import Database
from broker.tenants.store import Tenants
from contracts.dependencies import InstallRequest, UninstallRequest
from contracts.manifest import PluginManifest
from contracts.names import SYSTEM_PLUGIN
from contracts.registry import PROTOCOL, DeregisterRequest, RegisterAnswer, RegisterRequest, Subscription
from contracts.topology import Topology
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost


@dataclass
class Time:
    """Seconds since the epoch, turned by hand."""

    seconds: float = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Plane:
    """Everything a test looks at."""

    control: Control
    database: Database
    outbox: Outbox
    tenants: Tenants
    provisioner: Provisioner
    transport: MemoryTransport
    vhost: MemoryVhost
    time: Time
    topology: Topology = field(default_factory=Topology)

    def bindings(self, exchange: str) -> set[tuple[str, str]]:
        """Pairs of queue and routing key on an exchange, e.g. ``calls``."""
        return {
            (item.queue, item.routing_key) for item in self.vhost.bindings() if item.exchange == f"plexica.{exchange}"
        }

    def queues(self) -> set[str]:
        return {queue.name for queue in self.vhost.queues()}

    async def announced(self) -> list[tuple[str, dict[str, Any]]]:
        """What was announced since asked last: pairs of routing key and body."""
        found = await self.outbox.pending(1000)
        await self.outbox.mark_sent([entry.id for entry in found])
        return [(entry.routing_key, json.loads(entry.body)) for entry in found]

    async def announced_keys(self) -> list[str]:
        return [key for key, _ in await self.announced()]

    async def publish(self, *manifests: PluginManifest) -> None:
        for item in manifests:
            await self.control.manifests.publish(item, caller=item.id)

    async def install(self, *plugins: str, tenant: str = "acme-corp", range_: str = "*", force: bool = False) -> None:
        await self.tenants.create(tenant)
        for plugin in plugins:
            wanted = InstallRequest(plugin_id=plugin, version=range_, force=force)
            await self.control.lifecycle.install(tenant, wanted)

    async def uninstall(self, plugin: str, *, tenant: str = "acme-corp", **fields: Any) -> list[str]:
        wanted = UninstallRequest(plugin_id=plugin, **fields)
        return [item.version for item in (await self.control.lifecycle.uninstall(tenant, wanted)).installations]

    async def deregister(self, plugin: str, instance: str) -> None:
        await self.control.registry.deregister(plugin, DeregisterRequest(instance_id=instance))

    async def register(self, item: PluginManifest, instance: str = "one", **fields: Any) -> RegisterAnswer:
        return await self.control.registry.register(item.id, request(item, instance, **fields))


@asynccontextmanager
async def control_plane(*, auto_install: bool = False, operators: tuple[str, ...] = ()) -> AsyncIterator[Plane]:
    database = await Database.open(None)
    vhost, time = MemoryVhost(), Time()
    transport = MemoryTransport(vhost, identity=SYSTEM_PLUGIN)
    await transport.open()
    outbox, tenants = Outbox(database), Tenants(database)
    provisioner = Provisioner(transport, Topology())
    await provisioner.take_lock()
    await provisioner.declare_exchanges()
    control = assemble(
        database=database,
        outbox=outbox,
        tenants=tenants,
        provisioner=provisioner,
        terms=Terms(auto_install=auto_install),
        administration=Administration(operators=frozenset(operators), is_open=auto_install),
        now=time,
    )
    await control.grants.prepare()
    try:
        yield Plane(control, database, outbox, tenants, provisioner, transport, vhost, time)
    finally:
        await transport.close()
        await database.close()


def request(item: PluginManifest, instance: str = "one", **fields: Any) -> RegisterRequest:
    defaults: dict[str, Any] = {"protocol": PROTOCOL, "runtime_version": "0.1.0"}
    return RegisterRequest(manifest=item, instance_id=instance, **{**defaults, **fields})


def manifest(name: str, version: str = "1.0.0", *, needs: Any = (), services: Any = None, **api: Any) -> PluginManifest:
    """A manifest; ``services`` maps resources to versions, ``needs`` lists dependencies as JSON."""
    offered = [
        {"name": f"{name}.{resource}", "version": found, "endpoints": [{"method": "GET", "path": "/"}]}
        for resource, found in (services or {}).items()
    ]
    document = {
        "id": f"plugin-{name}",
        "name": name,
        "version": version,
        "api": {"services": offered, "dependencies": list(needs), **api},
    }
    return PluginManifest.load(document)


def need(name: str, range_: str = "*", **fields: Any) -> dict[str, Any]:
    return {"pluginId": f"plugin-{name}", "version": range_, **fields}


def heard(name: str, pattern: str, **fields: Any) -> Subscription:
    return Subscription(name=name, source=fields.pop("source", "events"), pattern=pattern, **fields)


CRM = manifest("crm", services={"contacts": "1.0.0"})
ANALYTICS = manifest(
    "analytics", needs=[need("crm", "^1.0.0", serviceName="crm.contacts")], services={"reports": "1.0.0"}
)

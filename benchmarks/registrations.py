"""How long a broker takes to serve again with thousands of registrations in its store."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.backdrops import broker
from benchmarks.peers.ours import offering
from broker.bootstrap import running_broker
from broker.settings import BrokerSettings
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import Topology
from plugin_runtime.registration import RemoteRegistrar
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.rabbitmq import RabbitMQNode

TENANT = "acme-corp"
LEASE_SECONDS = 600.0
"""Nobody stands behind the registrations; none may end while the broker is timed."""
COUNTED = ("instances", "service_instances")


MULTIPLY = """
WITH RECURSIVE places(place) AS (SELECT 1 UNION ALL SELECT place + 1 FROM places WHERE place < ?)
INSERT INTO instances
SELECT id || '-' || place, plugin_id, plugin_version, reported, state, last_heard FROM instances, places
WHERE plugin_id <> ? AND place < ?
"""
SERVE = """
INSERT INTO service_instances
SELECT instances.id, services.name, services.version FROM instances
JOIN services USING (plugin_id, plugin_version)
LEFT JOIN service_instances ON service_instances.instance_id = instances.id
WHERE service_instances.instance_id IS NULL
"""


async def fill(store: Path, plugins: int, instances: int) -> None:
    """Register an instance of so many plugins, over a RabbitMQ in memory, and multiply the rows.

    To register all of them would take minutes: each hears of all others, and here nobody listens.
    """
    vhost = MemoryVhost()
    settings = BrokerSettings(auto_install=True, prefix="", lease_seconds=LEASE_SECONDS)
    own = MemoryTransport(vhost, identity=SYSTEM_PLUGIN, instance="broker")
    async with running_broker(settings, own, store=store):
        for number in range(plugins):
            definition = offering(f"plugin-p{number}", f"p{number}.contacts").definition
            transport = MemoryTransport(vhost, identity=definition.manifest.id, instance=f"p{number}")
            await transport.open()
            registrar = RemoteRegistrar(
                transport, Topology(), definition, instance=f"p{number}", tenants=(TENANT,), strict=False
            )
            await registrar.register()
            await transport.close()
    with closing(sqlite3.connect(store)) as database, database:
        database.execute(MULTIPLY, (instances, SYSTEM_PLUGIN, instances))
        database.execute(SERVE)
        found, serving = (database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COUNTED)  # noqa: S608
    assert (found, serving) == (plugins * instances, plugins * instances), f"{found} rows, {serving} serve"


@contextmanager
def filled(plugins: int, instances: int) -> Iterator[Path]:
    """A store with so many instances of so many plugins."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "broker.db"
        asyncio.run(fill(store, plugins, instances))
        yield store


def start_seconds(node: RabbitMQNode, store: Path) -> tuple[float, float]:
    """Seconds until a new broker process serves: on an empty RabbitMQ, and on one that has all the queues."""
    address = node.url(node.create_vhost())  # stays: RabbitMQ takes a minute to remove so many queues
    return _timed(address, store), _timed(address, store)


def _timed(address: str, store: Path) -> float:
    began = time.monotonic()
    with broker(address, {"PLEXICA_LEASE_SECONDS": str(LEASE_SECONDS)}, store):
        return time.monotonic() - began

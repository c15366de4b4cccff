"""``plexica ping``: what a health check says of a plugin."""

from collections.abc import AsyncIterator

import pytest

from broker.cli.ping import problem_of, unserved
from contracts.errors import StartError
from contracts.manifest import PluginManifest
from contracts.topology import Topology
from plugin_runtime import RuntimeSettings
from plugin_runtime.transport.clock import VirtualClock
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.ports import free_port

TOPOLOGY = Topology("test.")
CRM = PluginManifest.load(
    {
        "id": "plugin-crm",
        "name": "CRM",
        "version": "1.0.0",
        "api": {
            "services": [
                {"name": name, "version": "1.0.0", "endpoints": [{"method": "GET", "path": "/"}]}
                for name in ("crm.contacts", "crm.deals")
            ]
        },
    }
)
SILENT = PluginManifest.load({"id": "plugin-silent", "name": "Silent", "version": "1.0.0", "api": {}})


@pytest.fixture
async def transport() -> AsyncIterator[MemoryTransport]:
    transport = MemoryTransport(MemoryVhost(VirtualClock()), identity="plugin-crm")
    await transport.open()
    yield transport
    await transport.close()


async def serve(transport: MemoryTransport, service: str) -> None:
    queue = TOPOLOGY.call_queue(service, "1.0.0")
    await transport.declare_queue(queue)
    await transport.consume(queue.name, lambda _: None, prefetch=1, role=service)


async def test_a_plugin_that_consumes_all_its_call_queues_is_well(transport: MemoryTransport) -> None:
    await serve(transport, "crm.contacts")
    await serve(transport, "crm.deals")

    assert await unserved(transport, TOPOLOGY, CRM) == []


async def test_a_queue_that_is_missing_is_served_by_nobody(transport: MemoryTransport) -> None:
    await serve(transport, "crm.contacts")

    assert await unserved(transport, TOPOLOGY, CRM) == ["crm.deals 1.0.0"]


async def test_a_queue_without_a_consumer_is_served_by_nobody(transport: MemoryTransport) -> None:
    await serve(transport, "crm.deals")
    await transport.declare_queue(TOPOLOGY.call_queue("crm.contacts", "1.0.0"))

    assert await unserved(transport, TOPOLOGY, CRM) == ["crm.contacts 1.0.0"]


async def test_a_rabbitmq_that_is_away_is_a_problem_and_not_a_wait() -> None:
    settings = RuntimeSettings(url=f"amqp://guest:hush@127.0.0.1:{free_port()}/")

    problem = await problem_of(CRM, settings, timeout=60.0)

    assert problem is not None
    assert problem.startswith("nobody listens at 127.0.0.1:")
    assert "hush" not in problem


async def test_a_plugin_without_services_cannot_be_judged() -> None:
    assert (
        await problem_of(SILENT, RuntimeSettings(), timeout=0.2) == "it offers no service by which it could be judged"
    )


async def test_an_identity_that_rabbitmq_cannot_check_is_refused_as_at_a_start() -> None:
    settings = RuntimeSettings(url="amqp://shared:secret@rabbitmq.example:5672/")

    with pytest.raises(StartError, match="cannot vouch for 'plugin-crm'"):
        await problem_of(CRM, settings, timeout=0.2)

"""RabbitMQ goes away in the middle and comes back: so do broker, plugins, registry and shared data."""

import asyncio
import contextlib
from collections.abc import Awaitable
from pathlib import Path

import pytest

from contracts.errors import CallError, TransportError
from plugin_runtime import Event, Plugin
from tests.rabbitmq import RabbitMQNode
from tests.reliability.processes import OBSERVER, Processes, answered, connected
from tests.waiting import eventually, eventually_blocking

RESTART_SECONDS = 60.0
CUT_SECONDS = 20.0
CALL_SECONDS = 20.0
"""More than a restart takes: what was called meanwhile is answered afterwards, unless the machine is very busy."""

HONEST = {"answered", "CALL_TIMEOUT", "SERVICE_NOT_FOUND", "SERVICE_UNAVAILABLE"}
"""How a GET may end while RabbitMQ restarts. SERVICE_NOT_FOUND: the plugin came back later than its short lease allows,
so the broker had called it UNAVAILABLE and unbound it; its next heartbeat takes that back."""


@pytest.mark.timeout(180)
async def test_after_a_restart_of_rabbitmq_calls_events_and_data_go_on(
    rabbitmq_node: RabbitMQNode, vhost_url: str, tmp_path: Path
) -> None:
    """Calls made meanwhile end in an answer or a coded error; later ones succeed; what was confirmed is there."""
    processes = Processes(vhost_url, tmp_path)
    broker = await processes.start_broker()
    crm = await processes.start("examples.crm")
    observer = Plugin.from_manifest(OBSERVER)
    heard: list[str] = []

    @observer.on("crm.events.contact.created")
    async def listen(event: Event) -> None:
        heard.append(event.data["contactId"])

    try:
        async with connected(observer, vhost_url) as runner:
            acme = runner.tenant("acme-corp")
            await answered(acme, "crm.contacts", "/contacts")
            revision = await acme.data.set("workflow.state", "approval", "pending")
            contacts = acme.service("crm.contacts")
            restart = asyncio.create_task(asyncio.to_thread(rabbitmq_node.restart))
            meanwhile = []
            while not restart.done():
                meanwhile.append(asyncio.create_task(outcome(contacts.get("/contacts", timeout=CALL_SECONDS))))
                await asyncio.sleep(0.05)
            await restart
            outcomes = await asyncio.gather(*meanwhile)
            await answered(acme, "crm.contacts", "/contacts", RESTART_SECONDS)
            made = await contacts.post("/contacts", body={"name": "Eve", "email": "eve@example.com"})
            await eventually(lambda: made["id"] in heard, RESTART_SECONDS)
            entry = await acme.data.entry("workflow.state", "approval")

            assert len(outcomes) > 20
            assert outcomes.count("answered") >= 1
            assert set(outcomes) <= HONEST
            assert entry is not None
            assert (entry.value, entry.revision) == ("pending", revision)
    finally:
        await processes.kill_all()
    for name in (broker, crm):
        assert "transport.lost" in processes.log(name)
        assert "transport.connected" in processes.log(name)


async def outcome(call: Awaitable[object]) -> str:
    """How a call ended, in one word."""
    try:
        await call
    except CallError as error:
        return error.code
    except TransportError as error:
        return type(error).__name__
    return "answered"


@pytest.mark.timeout(180)
async def test_the_broker_makes_a_lost_topology_anew(rabbitmq_node: RabbitMQNode, vhost: str, tmp_path: Path) -> None:
    """Somebody deletes every queue, then the connections break: broker and plugins make it whole again."""
    processes = Processes(rabbitmq_node.url(vhost), tmp_path)
    await processes.start_broker()
    await processes.start("examples.crm")
    try:
        async with connected(Plugin.from_manifest(OBSERVER), processes.url) as runner:
            acme = runner.tenant("acme-corp")
            await answered(acme, "crm.contacts", "/contacts")
            await asyncio.to_thread(delete_queues, rabbitmq_node, vhost)
            for prefix in ("plugin-system/", "plugin-crm/", "plugin-observer/"):
                await asyncio.to_thread(cut, rabbitmq_node, prefix)

            await answered(acme, "crm.contacts", "/contacts", RESTART_SECONDS)
    finally:
        await processes.kill_all()


def delete_queues(node: RabbitMQNode, vhost: str) -> None:
    for queue in node.queues(vhost):
        with contextlib.suppress(LookupError):  # an exclusive queue belongs to its connection
            node.delete_queue(vhost, queue["name"])


def cut(node: RabbitMQNode, prefix: str) -> None:
    """Close connections; the management API learns of them with a delay."""
    eventually_blocking(lambda: node.close_connections(prefix), CUT_SECONDS, f"no connection is named {prefix}...")

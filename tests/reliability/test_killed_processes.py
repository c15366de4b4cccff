"""SIGKILL at any time: callers are told, nothing that was acknowledged is lost, and what comes back is whole."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import OutcomeUnknownError, ServiceNotFoundError
from contracts.registry import ServiceAnnouncement
from plugin_runtime import Plugin
from tests.rabbitmq import RabbitMQNode
from tests.reliability.processes import (
    LEASE_SECONDS,
    OBSERVER,
    START_SECONDS,
    Processes,
    answered,
    connected,
)
from tests.waiting import eventually


@pytest.fixture
async def processes(vhost_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    started = Processes(vhost_url, tmp_path)
    yield started
    await started.kill_all()


async def test_callers_of_a_killed_plugin_are_told_within_its_lease(processes: Processes) -> None:
    """A POST that may have run is OUTCOME_UNKNOWN long before its deadline; the next call fails at once."""
    await processes.start_broker()
    plugin = await processes.start("tests.reliability.plugins.slow")
    observer = Plugin.from_manifest(OBSERVER)

    async with connected(observer, processes.url) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "slow.work", "/tasks/0")
        with acme.registry.watch("_.service.status.slow.work") as changes:
            pending = asyncio.create_task(acme.service("slow.work").post("/tasks/20"))
            await asyncio.sleep(0.3)  # the call is under way
            await processes.kill(plugin)
            began = time.monotonic()
            with pytest.raises(OutcomeUnknownError, match=r"slow.work 1.0.0 went away while it may have run POST"):
                await asyncio.wait_for(pending, 10)
            told = time.monotonic() - began
            change = await asyncio.wait_for(anext(changes), 10)
            while isinstance(change, ServiceAnnouncement) and change.service.status == "DEGRADED":
                change = await asyncio.wait_for(anext(changes), 10)
        with pytest.raises(ServiceNotFoundError, match=r"^Service slow.work not found or unavailable$"):
            await acme.service("slow.work").get("/tasks/0", timeout=5)

        assert told < LEASE_SECONDS + 1
        assert isinstance(change, ServiceAnnouncement)
        assert change.service.status == "UNAVAILABLE"


async def test_a_plugin_started_after_a_kill_serves_again(processes: Processes) -> None:
    await processes.start_broker()
    first = await processes.start("examples.crm")
    observer = Plugin.from_manifest(OBSERVER)

    async with connected(observer, processes.url) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "crm.contacts", "/contacts")
        await processes.kill(first)
        await processes.start("examples.crm")
        await answered(acme, "crm.contacts", "/contacts")

        result = await acme.service("crm.contacts").request("GET", "/contacts/cnt_1")

    assert result.data["name"] == "John Doe"


async def test_a_killed_broker_comes_back_with_everything(processes: Processes) -> None:
    """Registry, dependencies and shared data are intact; meanwhile the plugins go on calling each other."""
    broker = await processes.start_broker()
    await processes.start("examples.crm")
    await processes.start("examples.analytics")
    observer = Plugin.from_manifest({**OBSERVER, "api": {"dependencies": analytics_dependency()}})

    async with connected(observer, processes.url) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "analytics.reports", "/reports/pipeline")
        revision = await acme.data.set("workflow.state", "approval", {"by": "user_456"})
        before = {(item.service_name, item.version, item.status) for item in await acme.registry.list()}
        await processes.kill(broker)

        report = await acme.service("analytics.reports").get("/reports/pipeline", timeout=5)
        await processes.start_broker()
        entry = await acme.data.entry("workflow.state", "approval")
        resolution = await acme.dependencies.resolve("plugin-analytics")
        after = {(item.service_name, item.version, item.status) for item in await acme.registry.list()}

        assert report["total"] == 427000
        assert entry is not None
        assert (entry.value, entry.revision) == ({"by": "user_456"}, revision)
        assert list(resolution.install_order) == ["plugin-crm", "plugin-analytics"]
        assert after == before
        await asyncio.sleep(LEASE_SECONDS * 1.5)  # heartbeats reach the new broker, or leases would run out now
        healthy = {item.service_name for item in await acme.registry.list(status="HEALTHY")}
        assert healthy == {"analytics.reports", "crm.contacts", "crm.deals"}


async def test_a_plugin_starts_though_the_broker_was_killed_over_its_registration(
    processes: Processes, rabbitmq_node: RabbitMQNode, vhost: str
) -> None:
    """RabbitMQ hands the unacknowledged request to the next broker, which must do it rather than refuse it."""
    broker = await processes.start_broker()
    processes.freeze(broker)
    plugin = await processes.start("examples.crm")
    await eventually(lambda: asyncio.to_thread(is_unacknowledged, rabbitmq_node, vhost), START_SECONDS)
    await processes.kill(broker)
    await processes.start_broker()

    await eventually(lambda: "plugin.started" in processes.log(plugin), START_SECONDS)
    assert "may have been run before" not in processes.log(plugin)


async def test_plugins_call_each_other_though_the_broker_was_killed_after_an_install(processes: Processes) -> None:
    """The installation makes what they know stale; the last they knew is good enough while nobody can be asked."""
    broker = await processes.start_broker()
    await processes.start("examples.crm")
    observer = Plugin.from_manifest(OBSERVER)

    async with connected(observer, processes.url) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "crm.contacts", "/contacts")
        with acme.registry.watch("acme-corp.plugin.installed.plugin-crm") as announcements:
            await acme.dependencies.uninstall("plugin-crm", force=True)
            await acme.dependencies.install("plugin-crm")
            await asyncio.wait_for(anext(announcements), START_SECONDS)
            await processes.kill(broker)
        contacts = await acme.service("crm.contacts").get("/contacts", timeout=15)

    assert len(contacts) == 4


async def test_a_second_broker_is_refused(processes: Processes, tmp_path: Path) -> None:
    """It has a store of its own; it ends with a sentence that names the lock and says what to do, the first goes on."""
    await processes.start_broker()
    second = await processes.start("broker", PLEXICA_STORE=str(tmp_path / "second.db"))

    status = await processes.ended(second)

    assert status == 1
    assert "another broker holds queue 'broker.lock': stop that one" in processes.log(second)
    async with connected(Plugin.from_manifest(OBSERVER), processes.url) as runner:
        assert await runner.platform.tenants() == ["acme-corp"]


async def test_sigterm_lets_a_call_under_way_finish(processes: Processes) -> None:
    await processes.start_broker()
    plugin = await processes.start("tests.reliability.plugins.slow")

    async with connected(Plugin.from_manifest(OBSERVER), processes.url) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "slow.work", "/tasks/0")
        pending = asyncio.create_task(acme.service("slow.work").post("/tasks/1"))
        await asyncio.sleep(0.3)  # the call is under way
        status = await processes.terminate(plugin)

        assert await pending == "done"
        assert status == 0
        with pytest.raises(ServiceNotFoundError):
            await acme.service("slow.work").get("/tasks/0", timeout=5)


async def test_sigterm_ends_a_plugin_that_still_waits_for_the_broker(processes: Processes) -> None:
    plugin = await processes.start("examples.crm")
    await eventually(lambda: "broker.waiting" in processes.log(plugin))

    assert await processes.terminate(plugin) == 0


async def test_the_broker_stops_on_sigterm_and_leaves_the_plugins_running(processes: Processes) -> None:
    broker = await processes.start_broker()
    await processes.start("examples.crm")

    async with connected(Plugin.from_manifest(OBSERVER), processes.url) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "crm.contacts", "/contacts")
        status = await processes.terminate(broker)
        contacts = await acme.service("crm.contacts").get("/contacts", timeout=5)
        await processes.start_broker()

    assert status == 0
    assert len(contacts) == 4


def is_unacknowledged(node: RabbitMQNode, vhost: str) -> bool:
    """Whether somebody holds a call to the registry and has not answered it."""
    return any(
        queue["name"] == "calls.system.registry.1.0.0" and queue.get("messages_unacknowledged", 0) > 0
        for queue in node.queues(vhost)
    )


def analytics_dependency() -> list[dict[str, object]]:
    name, service = "plugin-analytics", "analytics.reports"
    return [{"pluginId": name, "serviceName": service, "version": "^1.0.0", "required": False}]

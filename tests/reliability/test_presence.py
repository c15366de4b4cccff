"""Whoever dies is announced at once where RabbitMQ tells of it, and soon after the broker came back otherwise."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import OutcomeUnknownError, ServiceUnavailableError
from contracts.registry import PresenceAnnouncement, ServiceStatus
from plugin_runtime import Plugin, TenantClient
from tests.rabbitmq import RabbitMQNode
from tests.reliability.processes import OBSERVER, START_SECONDS, Processes, answered, connected
from tests.waiting import eventually

LEASE_SECONDS = 6.0
LONG_LEASE_SECONDS = 60.0
AT_ONCE_SECONDS = 1.0
RECONCILED_SECONDS = 10.0
"""Within this after the broker serves again, it has looked at everybody: 6 s, and what two busy cores add."""

RESTART_SECONDS = 60.0
SLOW = "tests.reliability.plugins.slow"


@pytest.fixture
async def told(rabbitmq_node: RabbitMQNode, tmp_path: Path) -> AsyncIterator[Processes]:
    """A bus in the vhost in which RabbitMQ tells of itself, under a prefix of its own."""
    started = Processes(
        rabbitmq_node.url("%2F"), tmp_path, prefix=f"{tmp_path.name[:30]}.", lease_seconds=LEASE_SECONDS
    )
    yield started
    await started.kill_all()


@pytest.fixture
async def untold(vhost_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    """A bus that hears nothing from RabbitMQ, with a lease so long that it never explains an announcement."""
    started = Processes(vhost_url, tmp_path, lease_seconds=LONG_LEASE_SECONDS)
    yield started
    await started.kill_all()


async def test_the_death_of_the_last_instance_is_announced_within_a_second(told: Processes) -> None:
    """A POST that may have run is OUTCOME_UNKNOWN, a GET is SERVICE_UNAVAILABLE, both long before their deadlines."""
    broker = await told.start_broker()
    plugin = await told.start(SLOW)

    async with connected(Plugin.from_manifest(OBSERVER), told.url, prefix=told.prefix) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "slow.work", "/tasks/0")
        await reconciled(told, broker)
        with acme.registry.watch("_.presence.slow.work") as announced:
            work = acme.service("slow.work")
            calls = [asyncio.create_task(call("/tasks/20")) for call in (work.post, work.get)]
            await asyncio.sleep(0.3)  # the calls are under way
            began = time.monotonic()
            await told.kill(plugin)
            change = await asyncio.wait_for(anext(announced), LEASE_SECONDS * 2)
            seconds = time.monotonic() - began
            outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert seconds < AT_ONCE_SECONDS
        assert time.monotonic() - began < AT_ONCE_SECONDS
        assert isinstance(change, PresenceAnnouncement)
        assert [type(outcome) for outcome in outcomes] == [OutcomeUnknownError, ServiceUnavailableError]
        assert await status_of(acme) == "UNAVAILABLE"


async def test_of_two_instances_one_dies_and_the_service_stays_healthy(told: Processes) -> None:
    broker = await told.start_broker()
    first, second = await told.start(SLOW), await told.start(SLOW)

    async with connected(Plugin.from_manifest(OBSERVER), told.url, prefix=told.prefix) as runner:
        acme = runner.tenant("acme-corp")
        for plugin in (first, second):
            await eventually(lambda name=plugin: "plugin.started" in told.log(name), START_SECONDS)
        await reconciled(told, broker)
        with acme.registry.watch("_.presence.slow.work") as announced:
            await told.kill(first)
            await eventually(lambda: "instance.gone" in told.log(broker), AT_ONCE_SECONDS)

            assert await status_of(acme) == "HEALTHY"
            assert await acme.service("slow.work").get("/tasks/0", timeout=5) == "looked"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(announced), AT_ONCE_SECONDS)


async def test_who_died_while_the_broker_was_away_is_announced_after_its_return(untold: Processes) -> None:
    broker = await untold.start_broker()
    plugin = await untold.start(SLOW)

    async with connected(Plugin.from_manifest(OBSERVER), untold.url) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "slow.work", "/tasks/0")
        await untold.kill(broker)
        await untold.kill(plugin)
        with acme.registry.watch("_.presence.slow.work") as announced:
            await untold.start_broker()
            change = await asyncio.wait_for(anext(announced), RECONCILED_SECONDS)

        assert isinstance(change, PresenceAnnouncement)
        assert (change.service_name, change.version) == ("slow.work", "1.0.0")


@pytest.mark.timeout(180)
async def test_a_restart_of_rabbitmq_leaves_nobody_unavailable(rabbitmq_node: RabbitMQNode, told: Processes) -> None:
    """All lose their consumers, and the broker hears of each; whoever comes back is HEALTHY again."""
    broker = await told.start_broker()
    await told.start(SLOW)

    async with connected(Plugin.from_manifest(OBSERVER), told.url, prefix=told.prefix) as runner:
        acme = runner.tenant("acme-corp")
        await answered(acme, "slow.work", "/tasks/0")
        await reconciled(told, broker)
        await asyncio.to_thread(rabbitmq_node.restart)
        await reconciled(told, broker, times=2)
        await answered(acme, "slow.work", "/tasks/0", RESTART_SECONDS)

        assert await status_of(acme) == "HEALTHY"


async def test_without_the_event_exchange_the_broker_says_once_how_to_get_it(untold: Processes) -> None:
    broker = await untold.start_broker()
    await reconciled(untold, broker)

    assert untold.log(broker).count("presence.by_lease_only") == 1
    assert "event_exchange.vhost = test-" in untold.log(broker)


async def reconciled(processes: Processes, broker: str, times: int = 1) -> None:
    """Wait until the broker has looked at everybody: before that it heeds no single death."""
    await eventually(lambda: processes.log(broker).count("presence.reconciled") >= times, RESTART_SECONDS)


async def status_of(acme: TenantClient) -> ServiceStatus:
    (service,) = [item for item in await acme.registry.list() if item.service_name == "slow.work"]
    return service.status

"""A plugin is upgraded under load, one process after the other: no caller notices.

``PLEXICA_TEST_UPGRADE_SECONDS`` is how long the traffic flows before, between and after the steps of the upgrade.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from plugin_runtime import Plugin, TenantClient
from tests.reliability.processes import Processes, answered, connected
from tests.traffic import SERVICE, Traffic

CRM = "tests.reliability.plugins.versioned"
INSTANCES = 3
UNHURRIED = {"PLEXICA_LEASE_SECONDS": "15", "PLEXICA_HEARTBEAT_SECONDS": "5"}
"""Nobody dies here: on a busy machine no lease runs out either."""

STEP_SECONDS = float(os.environ.get("PLEXICA_TEST_UPGRADE_SECONDS", "0.5"))


@pytest.fixture
async def processes(vhost_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    started = Processes(vhost_url, tmp_path)
    yield started
    await started.kill_all()


def make_caller(name: str, range_: str) -> Plugin:
    needs = {"pluginId": "plugin-crm", "serviceName": SERVICE, "version": range_, "required": False}
    return Plugin.from_manifest(
        {"id": f"plugin-{name}", "name": name, "version": "1.0.0", "api": {"dependencies": [needs]}}
    )


def read(record: str) -> list[str]:
    """The ids of the POSTs that were run."""
    return Path(record).read_text(encoding="utf-8").split()


async def connect_callers(stack: AsyncExitStack, processes: Processes, ranges: Sequence[str]) -> list[TenantClient]:
    """A caller for each range, which has found its service."""
    callers = []
    for number, range_ in enumerate(ranges):
        plugin = make_caller(f"caller-{number}", range_)
        runner = await stack.enter_async_context(connected(plugin, processes.url, f"caller-{number}"))
        callers.append(runner.tenant("acme-corp"))
        await answered(callers[-1], SERVICE, "/contacts")
    return callers


@pytest.mark.timeout(120 + 12 * STEP_SECONDS)
async def test_rolling_upgrade_under_load_is_not_noticed_by_any_caller(processes: Processes, tmp_path: Path) -> None:
    """200 calls a second, a third of them POSTs; three processes of 1.4.0 give way to three of 1.5.0."""
    record, traffic = str(tmp_path / "record"), Traffic()
    await processes.start_broker(**UNHURRIED)
    old = await processes.start_plugins(CRM, INSTANCES, CRM_VERSION="1.4.0", CRM_RECORD=record)

    async with AsyncExitStack() as stack:
        callers = await connect_callers(stack, processes, ["^1.4.0"] * 4)
        async with traffic.flowing(callers):
            await asyncio.sleep(STEP_SECONDS)
            await processes.start_plugins(CRM, INSTANCES, CRM_VERSION="1.5.0", CRM_RECORD=record)
            for name in old:
                await asyncio.sleep(STEP_SECONDS)
                assert await processes.terminate(name) == 0
            await asyncio.sleep(STEP_SECONDS)

    ran = Counter(await asyncio.to_thread(read, record))
    assert traffic.failures == Counter()
    assert set(ran.values()) == {1}, "no POST ran twice"
    assert ran.keys() == traffic.posted, "every POST that ran was answered, and every one that was answered ran"
    assert traffic.answers[0] == "1.4.0"
    assert traffic.answers[-1] == "1.5.0"
    assert set(traffic.answers) == {"1.4.0", "1.5.0"}


async def test_a_canary_shares_its_queue_with_the_tenant_that_stays(processes: Processes, tmp_path: Path) -> None:
    """1.4.0 and 1.5.0 of the plugin offer one version of the service: each process takes the calls of both tenants."""
    shared = {"CRM_RECORD": str(tmp_path / "record"), "CRM_SERVICE_VERSION": "1.0.0"}
    await processes.start_broker(**UNHURRIED)
    for tenant in ("acme-corp", "globex"):
        await processes.start_plugins(CRM, 1, CRM_VERSION="1.4.0", PLEXICA_TENANT=tenant, **shared)
    plugin, canary, other = make_caller("caller", "^1.0.0"), Traffic(), Traffic()

    async with connected(plugin, processes.url, tenants=["acme-corp", "globex"]) as caller:
        acme, globex = caller.tenant("acme-corp"), caller.tenant("globex")
        for tenant in (acme, globex):
            await answered(tenant, SERVICE, "/contacts")
        async with canary.flowing([acme]), other.flowing([globex]):
            await processes.start_plugins(CRM, 1, CRM_VERSION="1.5.0", PLEXICA_TENANT="acme-corp", **shared)
            await asyncio.sleep(STEP_SECONDS)

    assert (canary.failures, other.failures) == (Counter(), Counter())
    assert set(other.answers) == {"1.4.0", "1.5.0"}


async def test_two_majors_serve_their_own_callers_in_one_tenant(processes: Processes, tmp_path: Path) -> None:
    record, first, second = str(tmp_path / "record"), Traffic(), Traffic()
    await processes.start_broker(**UNHURRIED)
    for version in ("1.4.0", "2.0.0"):
        await processes.start_plugins(CRM, 1, CRM_VERSION=version, CRM_RECORD=record)

    async with AsyncExitStack() as stack:
        one, two = await connect_callers(stack, processes, ["^1.4.0", "^2.0.0"])
        async with first.flowing([one]), second.flowing([two]):
            await asyncio.sleep(STEP_SECONDS)

    assert first.failures + second.failures == Counter()
    assert (set(first.answers), set(second.answers)) == ({"1.4.0"}, {"2.0.0"})

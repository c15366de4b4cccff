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

"""A broker that stood still while another took its place: it notices before it does anything, and goes."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import CallError
from plugin_runtime import Plugin, TenantClient
from tests.reliability.processes import OBSERVER, Processes, connected
from tests.waiting import eventually

HEARTBEAT_SECONDS = 2
NOTICED_SECONDS = 30.0
GONE_SECONDS = 60.0
WRITES = 60


@pytest.fixture
async def first(vhost_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    """Processes on connections that RabbitMQ gives up after a few seconds of silence."""
    (tmp_path / "first").mkdir()
    started = Processes(f"{vhost_url}?heartbeat={HEARTBEAT_SECONDS}", tmp_path / "first")
    yield started
    await started.kill_all()


@pytest.fixture
async def second(vhost_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    """Processes with a store of their own, which tells who wrote."""
    (tmp_path / "second").mkdir()
    started = Processes(vhost_url, tmp_path / "second")
    yield started
    await started.kill_all()


@pytest.mark.timeout(240)
async def test_a_broker_that_wakes_finds_its_place_taken_and_serves_nothing(
    first: Processes, second: Processes, tmp_path: Path
) -> None:
    """Every write that is acknowledged while both run is in the store of the one that holds the lock."""
    frozen = await first.start_broker()
    async with connected(Plugin.from_manifest(OBSERVER), second.url) as runner:
        acme = runner.tenant("acme-corp")
        await acme.data.set("observer.seen", "before", 1)
        first.freeze(frozen)
        await second.start_broker_when_free(NOTICED_SECONDS)
        await eventually(lambda: is_written(acme, "between"), NOTICED_SECONDS)
        first.thaw(frozen)
        written = [key for key in [f"k{number}" for number in range(WRITES)] if await is_written(acme, key)]
        status = await first.ended(frozen, GONE_SECONDS)
        await acme.data.set("observer.seen", "after", 1)

    kept = keys_in(tmp_path / "second" / "broker.db")
    assert written
    assert set(written) | {"between", "after"} <= kept
    assert not keys_in(tmp_path / "first" / "broker.db") & set(written)
    assert status == 1
    assert "another broker holds queue 'broker.lock'" in first.log(frozen)


async def is_written(acme: TenantClient, key: str) -> bool:
    """Whether a write is acknowledged; it takes its time, so that many of them last for some seconds."""
    try:
        await acme.data.set("observer.seen", key, 1)
    except CallError:
        return False
    finally:
        await asyncio.sleep(0.1)
    return True


def keys_in(store: Path) -> set[str]:
    with sqlite3.connect(store) as database:
        found = {row[0] for row in database.execute("SELECT key FROM shared_values")}
    database.close()
    return found

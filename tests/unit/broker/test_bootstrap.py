"""A broker whose connection is lost: it goes on if the lock is still free, and goes if it is not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker import lock
from broker.bootstrap import running_broker
from broker.provisioning.provisioner import Provisioner
from broker.settings import BrokerSettings
from contracts.errors import BrokerLockedError
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import Topology
from plugin_runtime import Plugin
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost

SETTINGS = BrokerSettings(prefix="", auto_install=True)
CRM = {"id": "plugin-crm", "name": "CRM", "version": "1.0.0"}


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "TAKE_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(lock, "GIVE_UP_SECONDS", 0.05)


@pytest.fixture
def vhost() -> MemoryVhost:
    return MemoryVhost()


@pytest.fixture
def transport(vhost: MemoryVhost) -> MemoryTransport:
    return MemoryTransport(vhost, identity=SYSTEM_PLUGIN, instance="first")


@pytest.fixture
async def rival(vhost: MemoryVhost) -> AsyncIterator[Provisioner]:
    """Another broker's hand on RabbitMQ."""
    other = MemoryTransport(vhost, identity=SYSTEM_PLUGIN, instance="second")
    await other.open()
    yield Provisioner(other, Topology())
    await other.close()


async def test_a_broker_whose_lock_was_taken_meanwhile_ends(transport: MemoryTransport, rival: Provisioner) -> None:
    async def lose() -> None:
        async with running_broker(SETTINGS, transport, store=None):
            transport.drop_connection(down_seconds=0.01)
            await rival.take_lock()
            await asyncio.sleep(10)

    with pytest.raises(ExceptionGroup) as caught:
        await lose()

    assert caught.group_contains(BrokerLockedError)


async def test_a_broker_whose_lock_is_still_free_serves_on(transport: MemoryTransport, vhost: MemoryVhost) -> None:
    crm = Plugin.from_manifest(CRM)
    own = MemoryTransport(vhost, identity=crm.id, instance="one")
    async with (
        running_broker(SETTINGS, transport, store=None),
        crm.connected(transport=own, tenants=["acme-corp"], prefix="") as runner,
    ):
        transport.drop_connection(down_seconds=0.01)

        assert await runner.platform.tenants() == ["acme-corp"]


async def test_two_brokers_never_hold_one_lock(transport: MemoryTransport, rival: Provisioner) -> None:
    async with running_broker(SETTINGS, transport, store=None):
        with pytest.raises(BrokerLockedError, match="stop that one"):
            await rival.take_lock()


async def test_two_brokers_never_share_one_store(transport: MemoryTransport, tmp_path: Path) -> None:
    """Another vhost and another prefix do not help: the rows are the same."""
    store = tmp_path / "broker.db"
    elsewhere = MemoryTransport(MemoryVhost(), identity=SYSTEM_PLUGIN, instance="second")
    settings = BrokerSettings(prefix="other.")
    async with running_broker(SETTINGS, transport, store=store):
        with pytest.raises(BrokerLockedError, match=r"broker\.db' is used by another broker \(process \d+ on "):
            async with running_broker(settings, elsewhere, store=store):
                pytest.fail("the second one runs")

    async with running_broker(settings, elsewhere, store=store) as broker:
        assert broker.subjects.data is not None


async def test_two_brokers_with_a_store_each_never_share_one_bus(
    transport: MemoryTransport, vhost: MemoryVhost, tmp_path: Path
) -> None:
    second = MemoryTransport(vhost, identity=SYSTEM_PLUGIN, instance="second")
    async with running_broker(SETTINGS, transport, store=tmp_path / "first.db"):
        with pytest.raises(BrokerLockedError, match=r"another broker holds queue 'broker\.lock'"):
            async with running_broker(SETTINGS, second, store=tmp_path / "second.db"):
                pytest.fail("the second one runs")

"""RabbitMQ is made to fit the rows, and to fit them again."""

import pytest

from broker.provisioning.provisioner import Provisioner
from broker.provisioning.reconcile import reconcile
from broker.provisioning.store import known_queues
from contracts.dependencies import InstallRequest
from contracts.errors import BrokerLockedError, InvalidRequestError, PermissionDeniedError, TransportError
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import Binding, Topology
from plugin_runtime.transport.memory import MemoryTransport
from tests.unit.broker.control_plane import CRM, control_plane, heard


async def test_a_second_broker_is_told_what_to_do() -> None:
    async with control_plane() as plane:
        second = MemoryTransport(plane.vhost, identity=SYSTEM_PLUGIN)
        await second.open()

        with pytest.raises(BrokerLockedError, match="stop that one"):
            await Provisioner(second, Topology()).take_lock()
        await second.close()


async def test_the_brokers_own_services_are_bound_for_every_tenant() -> None:
    async with control_plane() as plane:
        await plane.provisioner.prepare_system([("system.registry", "1.0.0")])

        assert plane.bindings("calls") == {("calls.system.registry.1.0.0", "*.system.registry.1.0.0")}


async def test_the_brokers_own_queues_outlive_any_absence() -> None:
    """Calls to a broker that is away for an hour wait for it, rather than vanish with an idle queue."""
    async with control_plane() as plane:
        await plane.register(CRM)
        await plane.provisioner.prepare_system([("system.registry", "1.0.0")])

        expiries = {queue.name: queue.expires_seconds for queue in plane.vhost.queues()}
        assert expiries["calls.system.registry.1.0.0"] is None
        assert expiries["calls.crm.contacts.1.0.0"] is not None


async def test_a_topology_that_was_lost_comes_back_the_same() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"], subscriptions=[heard("welcome", "a.#"), heard("x", "b")])
        await plane.control.watches.watch("acme-corp", "plugin-crm", "one", "crm.cache.#")
        before = (set(plane.vhost.queues()), set(plane.vhost.bindings()))
        for queue in await known_queues(plane.database):
            await plane.transport.delete_queue(queue)
        assert await reconcile(plane.database, plane.provisioner) == 1

        assert (set(plane.vhost.queues()), set(plane.vhost.bindings())) == before


async def test_everything_ever_declared_can_be_removed() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"], subscriptions=[heard("welcome", "a.#")])
        await plane.provisioner.remove_everything(await known_queues(plane.database))

        assert plane.queues() == {"broker.lock"}
        assert plane.vhost.exchanges() == ()


async def test_a_watch_binds_the_instance_and_ends() -> None:
    async with control_plane() as plane:
        await plane.register(CRM)
        watches = plane.control.watches
        await watches.watch("acme-corp", "plugin-crm", "one", "crm.cache.#")
        assert plane.bindings("data") == {("instance.plugin-crm.one", "acme-corp.crm.cache.#")}

        await watches.unwatch("acme-corp", "plugin-crm", "one", "crm.cache.#")
        await watches.unwatch("acme-corp", "plugin-crm", "one", "crm.cache.#")
        assert plane.bindings("data") == set()


async def test_the_end_of_a_watch_leaves_a_broadcast_of_the_same_pattern_alone() -> None:
    async with control_plane(auto_install=True) as plane:
        broadcast = heard("cache", "crm.cache.#", source="data", broadcast=True)
        await plane.register(CRM, tenants=["acme-corp"], subscriptions=[broadcast])
        await plane.control.watches.watch("acme-corp", "plugin-crm", "one", "crm.cache.#")
        await plane.control.watches.unwatch("acme-corp", "plugin-crm", "one", "crm.cache.#")

        assert plane.bindings("data") == {("instance.plugin-crm.one", "acme-corp.crm.cache.#")}


async def test_nobody_watches_with_what_is_not_his() -> None:
    async with control_plane() as plane:
        await plane.register(CRM)

        with pytest.raises(PermissionDeniedError):
            await plane.control.watches.watch("acme-corp", "plugin-evil", "one", "crm.#")
        with pytest.raises(InvalidRequestError, match="not registered"):
            await plane.control.watches.watch("acme-corp", "plugin-crm", "nobody", "crm.#")


async def test_what_rabbitmq_refuses_is_not_committed_and_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_plane() as plane:
        await plane.register(CRM, subscriptions=[heard("welcome", "a.#")])
        await plane.tenants.create("acme-corp")
        bind = plane.transport.bind

        async def bind_calls_only(binding: Binding) -> None:
            if binding.exchange == "plexica.events":
                raise TransportError("refused")
            await bind(binding)

        monkeypatch.setattr(plane.transport, "bind", bind_calls_only)
        with pytest.raises(TransportError, match="refused"):
            await plane.control.lifecycle.install("acme-corp", InstallRequest(plugin_id="plugin-crm"))
        monkeypatch.undo()
        assert (await plane.control.lifecycle.installations("acme-corp")).installations == ()
        assert plane.bindings("calls") != set()

        await plane.control.sweeper.sweep()
        assert plane.bindings("calls") == set()

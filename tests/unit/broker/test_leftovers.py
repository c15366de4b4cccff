"""Queues that nothing asks for any more."""

import pytest

from contracts.errors import NotConnectedError
from contracts.manifest import PluginManifest
from plugin_runtime.transport.base import Delivery, Message
from plugin_runtime.transport.memory import MemoryTransport
from tests.unit.broker.control_plane import CRM, Plane, control_plane, heard, manifest

WELCOME = heard("welcome", "billing.events.#")
SUBSCRIPTION = {"events.plugin-crm.welcome", *(f"delay.plugin-crm.welcome.{step}" for step in (1, 2, 3, 4))}


def ignore(_delivery: Delivery) -> None:
    """Keep it unsettled."""


async def emit(plane: Plane) -> None:
    """An event that the subscription hears."""
    billing = MemoryTransport(plane.vhost, identity="plugin-billing")
    await billing.open()
    message = Message(body=b"{}", type="event", message_id="one")
    await billing.publish(message, exchange="plexica.events", routing_key="acme-corp.billing.events.paid")
    await billing.close()


async def consume(plane: Plane, *queues: str) -> MemoryTransport:
    """An instance of the CRM at work."""
    instance = MemoryTransport(plane.vhost, identity="plugin-crm")
    await instance.open()
    for queue in queues:
        await instance.consume(queue, ignore, prefetch=1, role="test")
    return instance


async def hearing(plane: Plane, item: PluginManifest = CRM, instance: str = "one") -> None:
    await plane.register(item, instance, subscriptions=[WELCOME])


async def test_after_the_last_uninstall_and_the_last_instance_nothing_is_left_but_dead_letters() -> None:
    async with control_plane() as plane:
        await hearing(plane)
        await plane.install("plugin-crm")
        await plane.deregister("plugin-crm", "one")
        kept = plane.queues()
        await plane.uninstall("plugin-crm")

        assert kept >= SUBSCRIPTION | {"calls.crm.contacts.1.0.0"}
        assert plane.queues() & (SUBSCRIPTION | {"calls.crm.contacts.1.0.0"}) == set()
        assert "dead.plugin-crm" in plane.queues()


async def test_what_another_tenant_still_uses_stays() -> None:
    async with control_plane() as plane:
        await hearing(plane)
        await plane.install("plugin-crm")
        await plane.install("plugin-crm", tenant="globex")
        await plane.deregister("plugin-crm", "one")
        await plane.uninstall("plugin-crm")

        assert plane.queues() >= SUBSCRIPTION
        assert plane.bindings("events") == {("events.plugin-crm.welcome", "globex.billing.events.#")}


async def test_an_instance_that_runs_keeps_its_queues_and_loses_its_tenants() -> None:
    async with control_plane() as plane:
        await hearing(plane)
        await plane.install("plugin-crm")
        await plane.uninstall("plugin-crm")
        meanwhile = plane.queues()
        await plane.deregister("plugin-crm", "one")
        await plane.control.sweeper.sweep()

        assert meanwhile >= SUBSCRIPTION | {"calls.crm.contacts.1.0.0"}
        assert (plane.bindings("calls"), plane.bindings("events")) == (set(), set())
        assert plane.queues() & SUBSCRIPTION == set()


async def test_a_queue_that_somebody_still_consumes_is_not_taken_from_under_him() -> None:
    """An instance that has deregistered works until its queue is empty."""
    async with control_plane() as plane:
        await hearing(plane)
        instance = await consume(plane, "calls.crm.contacts.1.0.0", "events.plugin-crm.welcome")
        await plane.deregister("plugin-crm", "one")
        await plane.control.sweeper.sweep()
        meanwhile = plane.queues()
        await instance.close()
        await plane.control.sweeper.sweep()

        assert meanwhile >= SUBSCRIPTION | {"calls.crm.contacts.1.0.0"}
        assert plane.queues() & (SUBSCRIPTION | {"calls.crm.contacts.1.0.0"}) == set()


async def test_a_dropped_subscription_goes_with_its_delays() -> None:
    async with control_plane() as plane:
        await hearing(plane)
        await plane.install("plugin-crm")
        await plane.register(CRM)
        bound = plane.bindings("events")
        await plane.control.sweeper.sweep()

        assert bound == set()
        assert plane.queues() & SUBSCRIPTION == set()


async def test_a_dropped_subscription_that_holds_events_waits_for_its_author_to_think_again() -> None:
    async with control_plane() as plane:
        await hearing(plane)
        await plane.install("plugin-crm")
        await emit(plane)
        await plane.register(CRM)
        await plane.control.sweeper.sweep()
        kept = plane.queues()
        await hearing(plane)
        await plane.control.sweeper.sweep()

        assert kept >= SUBSCRIPTION
        assert (await plane.transport.depth("events.plugin-crm.welcome")).messages == 1
        assert await plane.database.rows("SELECT * FROM leftover_queues") == []


async def test_events_of_a_plugin_that_is_installed_nowhere_are_dropped() -> None:
    async with control_plane() as plane:
        await hearing(plane)
        await plane.install("plugin-crm")
        await plane.deregister("plugin-crm", "one")
        await emit(plane)
        await plane.uninstall("plugin-crm")

        assert plane.queues() & SUBSCRIPTION == set()


async def test_a_version_that_went_leaves_no_call_queue() -> None:
    async with control_plane() as plane:
        await plane.register(manifest("crm", "1.0.0", services={"contacts": "1.0.0"}), "old")
        await plane.install("plugin-crm")
        await plane.register(manifest("crm", "1.1.0", services={"contacts": "1.1.0"}), "new")
        await plane.install("plugin-crm")
        await plane.deregister("plugin-crm", "old")
        await plane.control.sweeper.sweep()

        assert {name for name in plane.queues() if name.startswith("calls.crm")} == {"calls.crm.contacts.1.1.0"}


async def test_what_rabbitmq_does_not_delete_now_is_deleted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_plane() as plane:
        await hearing(plane)
        await plane.install("plugin-crm")
        await plane.deregister("plugin-crm", "one")

        async def fail(_name: str) -> None:
            raise NotConnectedError("gone")

        monkeypatch.setattr(plane.transport, "delete_queue", fail)
        gone = await plane.uninstall("plugin-crm")
        monkeypatch.undo()
        meanwhile = plane.queues()
        await plane.control.sweeper.sweep()

        assert (gone, meanwhile >= SUBSCRIPTION) == (["1.0.0"], True)
        assert plane.queues() & SUBSCRIPTION == set()


async def test_a_plugin_installed_again_gets_its_queues_again() -> None:
    async with control_plane() as plane:
        await hearing(plane)
        await plane.install("plugin-crm")
        await plane.deregister("plugin-crm", "one")
        await plane.uninstall("plugin-crm")
        await plane.install("plugin-crm")
        await plane.control.sweeper.sweep()

        assert plane.queues() >= SUBSCRIPTION
        assert plane.bindings("events") == {("events.plugin-crm.welcome", "acme-corp.billing.events.#")}


async def test_uninstalling_ends_what_instances_follow_in_the_tenant() -> None:
    async with control_plane() as plane:
        await plane.register(CRM)
        await plane.install("plugin-crm")
        await plane.install("plugin-crm", tenant="globex")
        for tenant in ("acme-corp", "globex"):
            await plane.control.watches.watch(tenant, "plugin-crm", "one", "crm.cache.#")
        await plane.uninstall("plugin-crm")

        assert plane.bindings("data") == {("instance.plugin-crm.one", "globex.crm.cache.#")}


async def test_removing_a_tenant_ends_what_strangers_follow_there() -> None:
    async with control_plane() as plane:
        await plane.register(CRM)
        await plane.tenants.create("acme-corp")
        await plane.control.watches.watch("acme-corp", "plugin-crm", "one", "crm.cache.#")
        await plane.tenants.remove("acme-corp")

        assert plane.bindings("data") == set()

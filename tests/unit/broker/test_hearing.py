"""What a plugin hears: all its instances together, whoever of them registers last."""

import pytest

from broker.registry.hearing import Hearing, heard_now
from broker.registry.leases import FORGET_AFTER_SECONDS
from contracts.manifest import PluginManifest
from contracts.registry import Subscription
from tests.unit.broker.control_plane import CRM, Plane, control_plane, heard, manifest

WELCOME, GREET = heard("welcome", "shop.events.order.placed"), heard("greet", "shop.events.#")
PLACED, ANY = ("events.plugin-crm.welcome", "acme-corp.shop.events.order.placed"), "acme-corp.shop.events.#"
LISTING = manifest("crm", services={"contacts": "1.0.0"}, events={"subscribes": ["shop.events.#"]})
SILENT = manifest("crm")
TENANTS = ("acme-corp",)


async def register(plane: Plane, item: PluginManifest, instance: str, *subscriptions: Subscription) -> None:
    await plane.register(item, instance, tenants=TENANTS, subscriptions=subscriptions)


async def silence(plane: Plane, *others: str) -> None:
    """Let everybody but these be silent for so long that they are forgotten."""
    plane.time.seconds += FORGET_AFTER_SECONDS
    for instance in others:
        plane.control.registry._heard[instance] = plane.time.seconds
    await plane.control.sweeper.sweep()
    await plane.control.sweeper.sweep()


# The rule


@pytest.mark.parametrize(
    ("before", "instances", "now"),
    [
        ({WELCOME}, [], {WELCOME}),
        ({WELCOME}, [Hearing()], {WELCOME}),
        ({WELCOME}, [Hearing(is_serving=True)], set()),
        ({WELCOME}, [Hearing(is_serving=True, listed=("shop.events.#",))], {WELCOME}),
        ({GREET}, [Hearing(is_serving=True, listed=("shop.events.order.placed",))], set()),
        ({WELCOME}, [Hearing(is_serving=True), Hearing(subscriptions=frozenset({WELCOME}))], {WELCOME}),
        ({WELCOME}, [Hearing(is_serving=True), Hearing(is_serving=True, listed=("#",))], {WELCOME}),
        ({WELCOME}, [Hearing(), Hearing(subscriptions=frozenset({GREET}))], {GREET}),
        (
            {WELCOME},
            [Hearing(subscriptions=frozenset({heard("renamed", WELCOME.pattern)}), listed=("#",))],
            {heard("renamed", WELCOME.pattern)},
        ),
        (
            {WELCOME},
            [Hearing(subscriptions=frozenset({heard("welcome", "shop.events.a")}), listed=("#",))],
            {heard("welcome", "shop.events.a")},
        ),
        (
            {heard("cache", "shop.events.a", source="data")},
            [Hearing(is_serving=True, listed=("#",))],
            set(),
        ),
    ],
    ids=[
        "nobody-is-there",
        "a-script-says-nothing",
        "dropped",
        "listed-all-the-same",
        "listed-in-part",
        "another-hears-it",
        "another-lists-it",
        "a-script-keeps-nothing",
        "renamed",
        "another-pattern",
        "data-is-listed-nowhere",
    ],
)
def test_what_a_major_hears(before: set[Subscription], instances: list[Hearing], now: set[Subscription]) -> None:
    assert heard_now(frozenset(before), instances) == now


# Beside others


@pytest.mark.parametrize("item", [CRM, LISTING, SILENT], ids=["serving", "listing", "neither"])
async def test_an_instance_without_the_handler_takes_it_from_nobody(item: PluginManifest) -> None:
    async with control_plane(auto_install=True) as plane:
        await register(plane, item, "service", WELCOME)
        await register(plane, item, "script")
        while_it_ran = plane.bindings("events")
        await plane.deregister("plugin-crm", "script")

        assert while_it_ran == plane.bindings("events") == {PLACED}


@pytest.mark.parametrize("item", [LISTING, SILENT], ids=["listing", "without-handlers"])
async def test_a_script_that_comes_after_the_service_drops_nothing(item: PluginManifest) -> None:
    async with control_plane(auto_install=True) as plane:
        await register(plane, item, "service", WELCOME)
        await plane.deregister("plugin-crm", "service")
        stopped = plane.bindings("events")
        await register(plane, item, "script")

        assert stopped == plane.bindings("events") == {PLACED}


async def test_what_was_dropped_is_heard_until_the_last_who_hears_it_has_gone() -> None:
    """A rolling upgrade: the old instance registers again in the middle of it, as after every reconnect."""
    newer = manifest("crm", "1.1.0", services={"contacts": "1.1.0"})
    async with control_plane(auto_install=True) as plane:
        await register(plane, CRM, "old", WELCOME)
        await register(plane, newer, "new", GREET)
        await register(plane, CRM, "old", WELCOME)
        meanwhile = plane.bindings("events")
        await plane.deregister("plugin-crm", "old")

        assert meanwhile == {PLACED, ("events.plugin-crm.greet", ANY)}
        assert plane.bindings("events") == {("events.plugin-crm.greet", ANY)}


async def test_an_instance_that_died_is_waited_for_until_it_is_forgotten() -> None:
    async with control_plane(auto_install=True) as plane:
        await register(plane, CRM, "dead", WELCOME)
        plane.time.seconds += 20
        await plane.control.sweeper.sweep()
        await register(plane, CRM, "new")
        meanwhile = plane.bindings("events")
        await silence(plane, "new")

        assert meanwhile == {PLACED}
        assert plane.bindings("events") == set()


async def test_the_last_that_dies_leaves_what_it_heard() -> None:
    async with control_plane(auto_install=True) as plane:
        await register(plane, CRM, "one", WELCOME)
        await silence(plane)

        assert await plane.database.rows("SELECT id FROM instances") == []
        assert plane.bindings("events") == {PLACED}


async def test_a_pattern_that_changes_while_instances_roll_is_heard_both_ways() -> None:
    async with control_plane(auto_install=True) as plane:
        await register(plane, LISTING, "old", WELCOME)
        await register(plane, LISTING, "new", heard("welcome", "shop.events.#"))
        both = plane.bindings("events")
        await plane.deregister("plugin-crm", "old")

        assert both == {PLACED, ("events.plugin-crm.welcome", ANY)}
        assert plane.bindings("events") == {("events.plugin-crm.welcome", ANY)}


async def test_a_broadcast_comes_only_to_the_instances_that_hear_it() -> None:
    async with control_plane(auto_install=True) as plane:
        await register(plane, CRM, "one", heard("all", "shop.events.#", broadcast=True))
        await register(plane, CRM, "two")

        assert plane.bindings("events") == {("instance.plugin-crm.one", ANY)}


async def test_another_major_hears_for_itself() -> None:
    async with control_plane(auto_install=True) as plane:
        await register(plane, CRM, "old", WELCOME)
        await plane.deregister("plugin-crm", "old")
        await register(plane, manifest("crm", "2.0.0", services={"contacts": "2.0.0"}), "new")

        assert plane.bindings("events") == {PLACED}


async def test_a_removed_version_no_longer_hears() -> None:
    newer = manifest("crm", "1.1.0", services={"contacts": "1.1.0"})
    async with control_plane() as plane:
        await register(plane, CRM, "dead", WELCOME)
        await register(plane, newer, "new")
        plane.time.seconds += 20
        plane.control.registry._heard["new"] = plane.time.seconds
        await plane.control.sweeper.sweep()
        await plane.control.removal.remove("plugin-crm", version="1.0.0")

        assert await plane.database.rows("SELECT name FROM subscriptions") == []

"""Installing, upgrading, taking out and removing plugins, while others go on calling them."""

import asyncio
from typing import Any

import pytest

from contracts.dependencies import Installation
from contracts.errors import (
    CodedError,
    InvalidRequestError,
    NotConnectedError,
    PermissionDeniedError,
    PluginNotFoundError,
    ServiceUnavailableError,
    StillRequiredError,
    UnresolvableError,
    VersionMismatchError,
)
from contracts.manifest import PluginManifest
from contracts.registry import PluginAnnouncement
from contracts.topology import Binding
from plugin_runtime import Runner, TenantClient
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import Ears, make_crm, make_plugin, manifest, need
from tests.acceptance.test_managing_dependencies import deploying
from tests.acceptance.world import ACME, GLOBEX, World
from tests.rabbitmq_management import Management
from tests.waiting import eventually

SERVICE = "crm.contacts"


def crm(version: str) -> PluginManifest:
    return make_crm(version=version).manifest


async def answered_by(acme: TenantClient, range_: str | None = None) -> str:
    """The version that answers a call now."""
    return (await acme.service(SERVICE, range_).request("GET", "/contacts")).metadata.version


def is_answered_by(acme: TenantClient, version: str, range_: str | None = None) -> Any:
    """For `eventually`: announcements arrive a moment after the change."""

    async def holds() -> bool:
        try:
            return await answered_by(acme, range_) == version
        except CodedError:
            return False

    return holds


async def installed(acme: TenantClient) -> list[str]:
    """E.g. ``crm 1.0.0``; an asterisk for what lingers."""
    found = await acme.dependencies.installations()
    return [
        f"{item.plugin_id.removeprefix('plugin-')} {item.version}{'*' if item.superseded else ''}" for item in found
    ]


async def serving(
    open_world: OpenWorld, version: str, *known: PluginManifest
) -> tuple[World, Runner, TenantClient, Runner]:
    """A world with that version of the CRM installed and served; world, console, tenant and the instance."""
    world, console, acme = await deploying(open_world, *known)
    instance = await world.connect(make_crm(version, version=version))
    await acme.dependencies.install("plugin-crm", version)
    await world.settled()
    return world, console, acme, instance


# Upgrading


async def test_rolling_upgrade_goes_over_when_the_new_version_is_served(open_world: OpenWorld) -> None:
    world, _, acme, old = await serving(open_world, "1.4.0", crm("1.5.0"))
    done = await acme.dependencies.upgrade("plugin-crm", "^1.5.0")
    between = [await answered_by(acme) for _ in range(5)]
    await world.connect(make_crm("1.5.0", version="1.5.0"))
    await eventually(is_answered_by(acme, "1.5.0"))
    await world.stop(old)

    assert (done.replaced, done.lingering, set(between)) == (("1.4.0",), ("1.4.0",), {"1.4.0"})
    assert await answered_by(acme) == "1.5.0"
    assert await installed(acme) == ["crm 1.5.0"]
    with pytest.raises(VersionMismatchError):
        await answered_by(acme, "~1.4.0")


async def test_two_majors_serve_their_own_callers(open_world: OpenWorld) -> None:
    world, _, acme, _ = await serving(open_world, "1.4.0")
    await world.connect(make_crm(version="2.0.0"))
    await acme.dependencies.install("plugin-crm", "2.0.0")
    await eventually(is_answered_by(acme, "2.0.0", "^2.0.0"))

    assert await installed(acme) == ["crm 1.4.0", "crm 2.0.0"]
    assert [await answered_by(acme, range_) for range_ in ("^1.0.0", "^2.0.0", "*")] == ["1.4.0", "2.0.0", "2.0.0"]


async def test_upgrade_to_another_major_keeps_the_old_one_for_whoever_asks_for_it(open_world: OpenWorld) -> None:
    shop = manifest("shop", needs=(need("crm", "^1.0.0"),))
    world, _, acme, _ = await serving(open_world, "1.4.0", shop)
    await acme.dependencies.install("plugin-shop")
    await world.connect(make_crm(version="2.0.0"))
    with pytest.raises(UnresolvableError, match=r"plugin-crm@2\.0\.0 does not satisfy \^1\.0\.0"):
        await acme.dependencies.upgrade("plugin-crm")
    done = await acme.dependencies.upgrade("plugin-crm", force=True)
    await eventually(is_answered_by(acme, "2.0.0"))

    assert done.lingering == ("1.4.0",)
    assert await answered_by(acme, "^1.0.0") == "1.4.0"
    await acme.dependencies.uninstall("plugin-shop")
    assert await installed(acme) == ["crm 2.0.0"]


async def test_rollback_to_a_version_that_still_runs(open_world: OpenWorld) -> None:
    world, _, acme, _ = await serving(open_world, "1.4.0")
    await world.connect(make_crm(version="1.5.0"))
    await acme.dependencies.upgrade("plugin-crm", "1.5.0")
    await eventually(is_answered_by(acme, "1.5.0"))
    back = await acme.dependencies.upgrade("plugin-crm", "1.4.0")
    await eventually(is_answered_by(acme, "1.4.0"))

    assert (back.installation.version, back.replaced) == ("1.4.0", ("1.5.0",))
    assert await installed(acme) == ["crm 1.4.0"]


async def test_events_are_heard_all_through_an_upgrade(open_world: OpenWorld) -> None:
    world, console, acme = await deploying(open_world)
    old, new = make_crm(version="1.4.0"), make_crm(version="2.0.0")
    ears = [Ears().on(plugin, "console.events.#") for plugin in (old, new)]
    first = await world.connect(old)
    await acme.dependencies.install("plugin-crm")
    await acme.dependencies.install("plugin-console")
    await console.platform.publish_manifest(new.manifest)
    await acme.emit("console.events.before", 1)
    await acme.dependencies.upgrade("plugin-crm", "2.0.0")
    await acme.emit("console.events.between", 2)
    await world.stop(first)
    await acme.emit("console.events.alone", 3)
    await world.connect(new)
    await acme.emit("console.events.after", 4)

    await eventually(lambda: len(ears[0].heard) + len(ears[1].heard) == 4)
    assert sorted(found.data for ear in ears for found in ear.heard) == [1, 2, 3, 4]


async def test_what_if_foretells_what_the_upgrade_then_refuses(open_world: OpenWorld) -> None:
    shop = manifest("shop", needs=(need("crm", "^1.0.0"),))
    _, console, acme, _ = await serving(open_world, "1.4.0", crm("2.0.0"), shop)
    await console.platform.create_tenant(GLOBEX)
    await console.tenant(GLOBEX).dependencies.install("plugin-crm", "1.4.0")
    await acme.dependencies.install("plugin-shop")
    found = await console.platform.what_if("plugin-crm", "^2.0.0")

    assert [(item.tenant, item.valid, item.breaks) for item in found.tenants] == [
        (ACME, False, ("plugin-shop",)),
        (GLOBEX, True, ()),
    ]
    with pytest.raises(UnresolvableError) as caught:
        await acme.dependencies.upgrade("plugin-crm", "^2.0.0")
    assert caught.value.details["errors"] == list(found.tenants[0].errors)
    assert (await console.tenant(GLOBEX).dependencies.upgrade("plugin-crm")).installation.version == "2.0.0"


# Force


async def test_what_force_overrode_is_recorded_and_announced(open_world: OpenWorld) -> None:
    reason = "Missing dependency: plugin-crm (required by plugin-shop)"
    _, _, acme = await deploying(open_world, manifest("shop", needs=(need("crm"),)))
    with acme.registry.watch(f"{ACME}.plugin.installed.*") as announcements:
        await acme.dependencies.install("plugin-shop", force=True)
        announced = await asyncio.wait_for(anext(announcements), 5)

    assert isinstance(announced, PluginAnnouncement)
    assert (announced.forced, announced.reasons) == (True, (reason,))
    assert await acme.dependencies.installations() == [
        Installation(tenant=ACME, plugin_id="plugin-shop", version="1.0.0", overridden=(reason,))
    ]


# Once is enough


async def test_what_is_done_already_is_done_again_without_a_word(open_world: OpenWorld) -> None:
    _, _, acme, _ = await serving(open_world, "1.4.0")
    with acme.registry.watch(f"{ACME}.#") as announcements:
        await acme.dependencies.install("plugin-crm")
        await acme.dependencies.upgrade("plugin-crm")
        gone = [await acme.dependencies.uninstall("plugin-crm") for _ in range(2)]
        announced = await asyncio.wait_for(anext(announcements), 5)

        assert [[item.version for item in found] for found in gone] == [["1.4.0"], []]
        assert isinstance(announced, PluginAnnouncement)
        assert announced.change == "uninstalled"


# All or nothing


async def test_an_upgrade_that_rabbitmq_breaks_off_leaves_everything_as_it_was(
    open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _, acme, _ = await serving(open_world, "1.4.0")
    await world.connect(make_crm(version="1.5.0"))

    async def fail(_binding: Binding) -> None:
        raise NotConnectedError("RabbitMQ went away in the middle")

    with monkeypatch.context() as patched:
        patched.setattr(world.broker._transport, "unbind", fail)
        with pytest.raises(ServiceUnavailableError, match="RabbitMQ went away in the middle"):
            await acme.dependencies.upgrade("plugin-crm", "1.5.0")

    assert await installed(acme) == ["crm 1.4.0"]
    assert await answered_by(acme) == "1.4.0"
    await acme.dependencies.upgrade("plugin-crm", "1.5.0")
    await eventually(is_answered_by(acme, "1.5.0"))


# Leaving nothing behind


async def test_uninstalling_and_stopping_leaves_nothing_in_rabbitmq(
    open_world: OpenWorld, request: pytest.FixtureRequest
) -> None:
    world, console, acme = await deploying(open_world)
    before = holds(world, request)
    plugin = make_crm(version="1.4.0")
    Ears().on(plugin, "console.events.#")
    Ears().on_data(plugin, "crm.cache.*", name="data")
    instance = await world.connect(plugin)
    await acme.dependencies.install("plugin-crm")
    meanwhile = holds(world, request)
    await acme.dependencies.uninstall("plugin-crm")
    with_instance = holds(world, request)
    await world.stop(instance)

    def is_gone() -> bool:
        # What an instance hears for itself, its own queue and the key of what is taken back there, expires with it.
        left = holds(world, request) - before - {plugin.id}
        return all("plugin-crm" not in name or instance.instance in name for name in left) and not any(
            "crm.contacts" in name for name in left
        )

    assert {"calls.crm.contacts.1.4.0", "events.plugin-crm.ears", "delay.plugin-crm.data.4"} <= meanwhile - before
    assert not any(name.startswith(f"{ACME}.") for name in with_instance)
    await eventually(lambda: is_gone() or "dead.plugin-crm" in holds(world, request) - before)
    await console.platform.remove_plugin("plugin-crm")
    await eventually(is_gone)


def holds(world: World, request: pytest.FixtureRequest) -> set[str]:
    """The names of all queues, and the routing keys of all bindings."""
    if isinstance(world._place, MemoryVhost):
        keys = {item.routing_key for item in world._place.bindings()}
        return keys | {queue.name for queue in world._place.queues()}
    api = Management(request.getfixturevalue("rabbitmq_node").management_url)
    vhost = request.getfixturevalue("vhost")
    bindings = api.call("GET", "bindings", vhost)
    keys = {item["routing_key"] for item in bindings if item["source"]}
    return keys | {queue["name"] for queue in api.call("GET", "queues", vhost)}


async def test_a_removed_plugin_is_known_no_more(open_world: OpenWorld) -> None:
    _, console, acme = await deploying(open_world, crm("1.4.0"), crm("1.5.0"))
    await acme.dependencies.install("plugin-crm")
    with pytest.raises(StillRequiredError, match=r"1\.5\.0 is installed in tenant acme-corp"):
        await console.platform.remove_plugin("plugin-crm")
    one = await console.platform.remove_plugin("plugin-crm", version="1.4.0")
    rest = await console.platform.remove_plugin("plugin-crm", force=True)

    assert (one.versions, rest.versions) == (("1.4.0",), ("1.5.0",))
    assert await installed(acme) == []
    with pytest.raises(PluginNotFoundError):
        await console.platform.remove_plugin("plugin-crm")
    with pytest.raises(PluginNotFoundError):
        await acme.dependencies.install("plugin-crm")


async def test_a_plugin_that_runs_is_not_removed(open_world: OpenWorld) -> None:
    _, console, _, instance = await serving(open_world, "1.4.0")

    with pytest.raises(StillRequiredError, match=rf"instance {instance.instance} of 1\.4\.0 runs: stop it first"):
        await console.platform.remove_plugin("plugin-crm", force=True)


async def test_uninstalling_removes_the_plugins_data_when_asked_to(open_world: OpenWorld) -> None:
    _, _, acme, instance = await serving(open_world, "1.4.0")
    await instance.tenant(ACME).data.set("crm.cache", "count", 1)
    await acme.dependencies.uninstall("plugin-crm")
    kept = await acme.data.get("crm.cache", "count")
    await acme.dependencies.uninstall("plugin-crm", remove_data=True)

    assert kept == 1
    assert await acme.data.get("crm.cache", "count", default=None) is None


# Who may


async def test_only_operators_administer(open_world: OpenWorld) -> None:
    world, _, installing = await deploying(open_world, crm("1.4.0"))
    shop = await world.connect(make_plugin("shop"))
    await installing.dependencies.install("plugin-shop")
    acme, platform = shop.tenant(ACME).dependencies, shop.platform
    asked = {
        "create tenant globex": platform.create_tenant(GLOBEX),
        "remove tenant acme-corp": platform.remove_tenant(ACME, force=True),
        "install plugin-crm in tenant acme-corp": acme.install("plugin-crm"),
        "upgrade plugin-crm in tenant acme-corp": acme.upgrade("plugin-crm"),
        "uninstall plugin-crm from tenant acme-corp": acme.uninstall("plugin-crm", force=True),
        "remove plugin-crm": platform.remove_plugin("plugin-crm", force=True),
        "publish the manifest of plugin-mail": platform.publish_manifest(manifest("mail")),
        "ask what an upgrade of plugin-crm would do in every tenant": platform.what_if("plugin-crm"),
    }
    for what, asking in asked.items():
        with pytest.raises(PermissionDeniedError, match=f"Plugin plugin-shop may not {what}: name it in PLEXICA_OPER"):
            await asking

    assert [(item.id, item.version) for item in await platform.plugins()] == [
        ("plugin-console", "1.0.0"),
        ("plugin-crm", "1.4.0"),
        ("plugin-shop", "1.0.0"),
    ]
    assert await platform.tenants() == [ACME]


async def test_everybody_publishes_his_own_manifest_and_reads_those_of_others(open_world: OpenWorld) -> None:
    world, _, _ = await deploying(open_world, crm("1.4.0"), crm("1.5.0"), crm("2.0.0"))
    shop = await world.connect(make_plugin("shop"))
    await shop.platform.publish_manifest(manifest("shop", "1.1.0"))

    assert await shop.platform.manifest("plugin-crm", "^1.0.0") == crm("1.5.0")
    with pytest.raises(VersionMismatchError, match=r"no version in \^3\.0\.0: known are 1\.4\.0, 1\.5\.0, 2\.0\.0"):
        await shop.platform.manifest("plugin-crm", "^3.0.0")
    with pytest.raises(PluginNotFoundError, match="did you mean 'plugin-crm'"):
        await shop.platform.manifest("plugin-crn")


async def test_names_and_ranges_are_checked_where_they_enter(open_world: OpenWorld) -> None:
    _, console, acme = await deploying(open_world, crm("1.4.0"))
    for asking, text in (
        (console.platform.what_if("crm"), "plugin: plugin id 'crm' is not valid"),
        (console.platform.what_if("plugin-crm", "banana"), "version: range 'banana' is not an npm version range"),
        (console.platform.manifest("plugin-crm", ">>1"), "version: range '>>1' is not an npm version range"),
        (console.platform.remove_plugin("plugin-crm", version="1"), r"version: version '1' is not semver 2\.0\.0"),
        (console.platform.remove_plugin("../crm"), "plugin: plugin id '../crm' is not valid"),
    ):
        with pytest.raises(InvalidRequestError, match=text):
            await asking

    assert await installed(acme) == []

"""Upgrade: what is superseded lingers until nobody needs it; what force overrides is recorded."""

from typing import Any

import pytest

from broker.dependencies import installations
from broker.grants.permissions import Permissions
from contracts.dependencies import InstallRequest, Upgrade, UpgradeRequest
from contracts.errors import NotConnectedError, PluginNotFoundError, UnresolvableError
from contracts.manifest import Dependency, PluginManifest
from tests.unit.broker.control_plane import Plane, control_plane, heard, manifest, need

ACME = "acme-corp"


def crm(version: str, **fields: Any) -> PluginManifest:
    """A CRM whose service carries the plugin's version."""
    return manifest("crm", version, services={"contacts": version}, **fields)


async def install(plane: Plane, plugin: str, range_: str = "*", **fields: Any) -> None:
    await plane.tenants.create(ACME)
    await plane.control.lifecycle.install(ACME, InstallRequest(plugin_id=plugin, version=range_, **fields))


async def upgrade(plane: Plane, range_: str = "*", **fields: Any) -> Upgrade:
    wanted = UpgradeRequest(plugin_id="plugin-crm", version=range_, **fields)
    return await plane.control.lifecycle.upgrade(ACME, wanted)


async def installed(plane: Plane) -> list[str]:
    """E.g. ``crm@1.0.0``; an asterisk for what lingers."""
    found = await plane.control.lifecycle.installations(ACME)
    return [
        f"{item.plugin_id.removeprefix('plugin-')}@{item.version}{'*' if item.superseded else ''}"
        for item in found.installations
    ]


async def test_the_old_version_is_bound_until_the_new_one_is_served() -> None:
    async with control_plane() as plane:
        await plane.register(crm("1.4.0"), "old")
        await install(plane, "plugin-crm")
        await plane.publish(crm("1.5.0"))
        done = await upgrade(plane, "^1.5.0")

        assert (done.installation.version, done.replaced, done.lingering) == ("1.5.0", ("1.4.0",), ("1.4.0",))
        assert await installed(plane) == ["crm@1.4.0*", "crm@1.5.0"]
        assert plane.bindings("calls") == {("calls.crm.contacts.1.4.0", "acme-corp.crm.contacts.1.4.0")}
        await plane.announced()
        await plane.register(crm("1.5.0"), "new")
        assert await installed(plane) == ["crm@1.5.0"]
        assert plane.bindings("calls") == {("calls.crm.contacts.1.5.0", "acme-corp.crm.contacts.1.5.0")}
        gone = [body for key, body in await plane.announced() if key == "acme-corp.plugin.uninstalled.plugin-crm"]
        assert [(body["version"], body["remaining"]) for body in gone] == [("1.4.0", ["1.5.0"])]


async def test_an_upgrade_supersedes_every_other_version_and_an_install_only_its_major() -> None:
    async with control_plane() as plane:
        for version in ("1.0.0", "1.1.0", "2.0.0", "3.0.0"):
            await plane.publish(crm(version))
        await install(plane, "plugin-crm", "1.0.0")
        await install(plane, "plugin-crm", "2.0.0")
        await install(plane, "plugin-crm", "1.1.0")
        beside = await installed(plane)
        done = await upgrade(plane, "3.0.0")

        assert beside == ["crm@1.1.0", "crm@2.0.0"]
        assert (await installed(plane), done.replaced) == (["crm@3.0.0"], ("1.1.0", "2.0.0"))


async def test_a_lower_version_is_a_rollback() -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"), crm("1.5.0"))
        await install(plane, "plugin-crm", "1.5.0")
        done = await upgrade(plane, "1.4.0")

        assert (done.installation.version, done.replaced) == ("1.4.0", ("1.5.0",))
        assert await installed(plane) == ["crm@1.4.0"]


async def test_a_rollback_to_a_version_that_lingers_makes_it_current_again() -> None:
    async with control_plane() as plane:
        await plane.register(crm("1.4.0"), "old")
        await install(plane, "plugin-crm")
        await plane.publish(crm("1.5.0"))
        await upgrade(plane, "1.5.0")
        await upgrade(plane, "1.4.0")

        assert await installed(plane) == ["crm@1.4.0"]


async def test_upgrading_to_what_is_there_changes_and_announces_nothing() -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"))
        await install(plane, "plugin-crm")
        await plane.announced()
        done = await upgrade(plane)

        assert (done.installation.version, done.replaced, done.lingering) == ("1.4.0", (), ())
        assert await plane.announced() == []


async def test_what_is_not_installed_cannot_be_upgraded() -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"))
        await plane.tenants.create(ACME)

        with pytest.raises(PluginNotFoundError, match=r"plugin-crm is not installed in tenant acme-corp: install it"):
            await upgrade(plane)


async def test_an_upgrade_that_breaks_somebody_is_refused_and_changes_nothing() -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"), crm("2.0.0"), manifest("shop", needs=[need("crm", "^1.0.0")]))
        await install(plane, "plugin-crm", "1.4.0")
        await install(plane, "plugin-shop")
        await plane.announced()

        with pytest.raises(UnresolvableError) as caught:
            await upgrade(plane)
        assert caught.value.details["errors"] == ["Version mismatch: plugin-crm@2.0.0 does not satisfy ^1.0.0"]
        cause = caught.value.details["causes"][0]
        assert cause["chain"] == ["plugin-shop", "plugin-crm"]
        assert [(step["pluginId"], step["range"]) for step in cause["steps"]] == [("plugin-shop", "^1.0.0")]
        assert cause["exists"] != []
        assert (await installed(plane), await plane.announced()) == (["crm@1.4.0", "shop@1.0.0"], [])


async def test_the_new_versions_own_requirements_refuse_it_too() -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"), crm("1.5.0", needs=[need("mail")]))
        await install(plane, "plugin-crm", "1.4.0")

        with pytest.raises(UnresolvableError, match=r"Missing dependency: plugin-mail \(required by plugin-crm\)"):
            await upgrade(plane)


async def test_force_is_recorded_and_what_it_would_break_keeps_its_version() -> None:
    reason = "Version mismatch: plugin-crm@2.0.0 does not satisfy ^1.0.0"
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"), crm("2.0.0"), manifest("shop", needs=[need("crm", "^1.0.0")]))
        await install(plane, "plugin-crm", "1.4.0")
        await install(plane, "plugin-shop")
        await plane.announced()
        done = await upgrade(plane, force=True)

        assert (done.broken, done.lingering) == ((reason,), ("1.4.0",))
        ((key, body),) = await plane.announced()
        assert (key, body["forced"], body["reasons"]) == ("acme-corp.plugin.upgraded.plugin-crm", True, [reason])
        recorded = (await plane.control.lifecycle.installations(ACME)).installations
        assert [(item.version, item.overridden) for item in recorded[:2]] == [("1.4.0", ()), ("2.0.0", (reason,))]
        row = await plane.database.row("SELECT forced_at FROM installations WHERE version = '2.0.0'")
        assert row is not None
        assert row["forced_at"].endswith("Z")
        assert (await plane.control.lifecycle.resolve(ACME, "plugin-shop")).valid


async def test_force_that_overrides_nothing_is_not_recorded() -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"))
        await install(plane, "plugin-crm", force=True)

        ((_, body),) = [found for found in await plane.announced() if ".plugin.installed." in found[0]]
        assert (body["forced"], body["reasons"]) == (False, [])


@pytest.mark.parametrize("way", ["declare", "uninstall", "publish"])
async def test_a_version_that_lingers_for_somebody_goes_once_that_one_needs_it_no_more(way: str) -> None:
    shop = manifest("shop", needs=[need("crm", "^1.0.0")])
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"), crm("2.0.0"), shop)
        await install(plane, "plugin-crm", "1.4.0")
        await install(plane, "plugin-shop")
        await upgrade(plane, force=True)
        before = await installed(plane)
        if way == "declare":
            wanted = [Dependency(plugin_id="plugin-crm", version="^2.0.0")]
            await plane.control.declarations.declare("plugin-shop", wanted)
        elif way == "publish":
            await plane.publish(manifest("shop", needs=[need("crm", ">=1.0.0")]))
        else:
            await plane.uninstall("plugin-shop")

        assert before == ["crm@1.4.0*", "crm@2.0.0", "shop@1.0.0"]
        assert "crm@1.4.0*" not in await installed(plane)


async def test_events_reach_the_old_major_until_the_new_one_says_what_it_hears() -> None:
    async with control_plane() as plane:
        await plane.register(crm("1.4.0"), "old", subscriptions=[heard("welcome", "shop.events.#")])
        await install(plane, "plugin-crm")
        await plane.publish(crm("2.0.0"))
        await upgrade(plane)
        await plane.deregister("plugin-crm", "old")
        before = plane.bindings("events")
        await plane.register(crm("2.0.0"), "new", subscriptions=[heard("greet", "shop.events.#")])

        assert before == {("events.plugin-crm.welcome", "acme-corp.shop.events.#")}
        assert plane.bindings("events") == {("events.plugin-crm.greet", "acme-corp.shop.events.#")}


async def test_an_upgrade_in_very_many_tenants_ends_in_several_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installations, "TENANTS_AT_ONCE", 2)
    async with control_plane() as plane:
        await plane.register(crm("1.4.0"), "old")
        for number in range(5):
            await plane.install("plugin-crm", tenant=f"tenant-{number}")
        await plane.publish(crm("1.5.0"))
        for number in range(5):
            await plane.install("plugin-crm", tenant=f"tenant-{number}")
        await plane.register(crm("1.5.0"), "new")
        left = [len({key for _, key in plane.bindings("calls") if key.endswith("1.4.0")})]
        for _ in range(2):
            await plane.control.sweeper.sweep()
            left.append(len({key for _, key in plane.bindings("calls") if key.endswith("1.4.0")}))

        assert left == [3, 1, 0]


async def test_an_old_version_whose_last_instance_leaves_goes() -> None:
    async with control_plane() as plane:
        await plane.register(crm("1.4.0"), "old")
        await install(plane, "plugin-crm")
        await plane.publish(crm("1.5.0"))
        await upgrade(plane)
        await plane.deregister("plugin-crm", "old")

        assert await installed(plane) == ["crm@1.5.0"]


async def test_nothing_changes_where_rabbitmq_fails_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_plane() as plane:
        await plane.register(crm("1.4.0"), "old")
        await plane.register(crm("1.5.0"), "new")
        await install(plane, "plugin-crm", "1.4.0")
        await plane.announced()
        bound = plane.bindings("calls")

        async def fail(_binding: Any) -> None:
            raise NotConnectedError("gone")

        monkeypatch.setattr(plane.transport, "unbind", fail)
        with pytest.raises(NotConnectedError):
            await upgrade(plane)
        monkeypatch.undo()
        await plane.control.sweeper.sweep()
        assert (await installed(plane), await plane.announced()) == (["crm@1.4.0"], [])
        assert plane.bindings("calls") == bound


async def test_what_if_says_for_each_tenant_what_an_upgrade_would_break() -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"), crm("2.0.0"))
        await plane.publish(
            manifest("shop", needs=[need("crm", "^1.0.0")]), manifest("fan", needs=[need("crm", "1.x")])
        )
        for tenant in ("acme-corp", "globex", "tech-co"):
            await plane.install("plugin-crm", tenant=tenant, range_="1.4.0")
        await plane.install("plugin-shop", "plugin-fan", tenant="globex")
        await plane.install("plugin-crm", tenant="tech-co")
        await plane.announced()
        found = await plane.control.lifecycle.what_if("plugin-crm", "^2.0.0")

        assert (found.version, found.valid) == ("2.0.0", False)
        assert [(item.tenant, item.valid, item.breaks) for item in found.tenants] == [
            ("acme-corp", True, ()),
            ("globex", False, ("plugin-fan", "plugin-shop")),
            ("tech-co", True, ()),
        ]
        assert found.tenants[1].errors[0] == "Version mismatch: plugin-crm@2.0.0 does not satisfy 1.x"
        assert await plane.announced() == []


async def test_what_if_warns_of_optional_requirements() -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"), crm("2.0.0"), manifest("fan", needs=[need("crm", "1.x", required=False)]))
        await install(plane, "plugin-crm", "1.4.0")
        await install(plane, "plugin-fan")
        (found,) = (await plane.control.lifecycle.what_if("plugin-crm")).tenants

        assert (found.valid, found.breaks) == (True, ())
        assert found.warnings == ("Version mismatch: plugin-crm@2.0.0 does not satisfy 1.x",)


async def test_only_whom_a_change_can_affect_is_resolved_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []
    async with control_plane() as plane:
        await plane.publish(crm("1.4.0"), manifest("mail"), manifest("shop", needs=[need("crm")]))
        await plane.publish(manifest("fan", needs=[need("shop")]), manifest("post", needs=[need("mail")]))
        await plane.install("plugin-crm", "plugin-mail", "plugin-shop", "plugin-fan", "plugin-post")
        await plane.publish(crm("1.5.0"))
        real = installations.resolve

        def noting(plugin: str, **fields: Any) -> Any:
            resolved.append(plugin)
            return real(plugin, **fields)

        monkeypatch.setattr(installations, "resolve", noting)
        await upgrade(plane, "1.5.0")
        assert set(resolved) == {"plugin-shop", "plugin-fan"}


READ, WRITE = "plugin.crm.contacts.read", "plugin.crm.contacts.write"


async def declare(plane: Plane, *permissions: str) -> None:
    asked = need("crm", serviceName="crm.contacts", required=False, permissions=list(permissions))
    await plane.control.declarations.declare("plugin-analytics", [Dependency.parse(asked)])
    await plane.announced()


async def granted(plane: Plane) -> tuple[str, ...]:
    return await Permissions().of(plane.database, ACME, "plugin-analytics")


async def again(plane: Plane, how: str) -> None:
    """Install or upgrade what is there already."""
    request = {"install": InstallRequest, "upgrade": UpgradeRequest}[how](plugin_id="plugin-analytics")
    await getattr(plane.control.lifecycle, how)(ACME, request)


@pytest.mark.parametrize("how", ["install", "upgrade"])
async def test_new_permissions_are_granted_when_the_version_that_is_there_is_put_again(how: str) -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.0.0"), manifest("analytics"))
        await install(plane, "plugin-crm")
        await install(plane, "plugin-analytics")
        await declare(plane, READ, WRITE)
        before = await granted(plane)
        await again(plane, how)

        assert (before, await granted(plane)) == ((), (READ, WRITE))
        assert await plane.announced_keys() == ["acme-corp.plugin.upgraded.plugin-analytics"]
        await declare(plane, WRITE)
        await again(plane, how)
        assert await granted(plane) == (WRITE,)


@pytest.mark.parametrize("how", ["install", "upgrade"])
async def test_to_put_again_what_asks_for_nothing_new_is_silent(how: str) -> None:
    async with control_plane() as plane:
        await plane.publish(crm("1.0.0"), manifest("analytics"))
        await install(plane, "plugin-analytics")
        await declare(plane, READ)
        await again(plane, how)
        await plane.announced()
        await again(plane, how)

        assert await plane.announced() == []
        assert await granted(plane) == (READ,)

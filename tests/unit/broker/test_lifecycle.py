"""Install and uninstall, declare, and who needs whom."""

from typing import Any

import pytest

from contracts.dependencies import InstallRequest, UninstallRequest
from contracts.errors import (
    InvalidRequestError,
    PermissionDeniedError,
    PluginNotFoundError,
    StillRequiredError,
    TenantNotFoundError,
    UnresolvableError,
    VersionMismatchError,
)
from contracts.manifest import Dependency
from tests.unit.broker.control_plane import ANALYTICS, CRM, Plane, control_plane, heard, manifest, need


async def install(plane: Plane, plugin: str, range_: str = "*", tenant: str = "acme-corp", **fields: bool) -> str:
    wanted = InstallRequest(plugin_id=plugin, version=range_, **fields)
    return (await plane.control.lifecycle.install(tenant, wanted)).version


async def uninstall(plane: Plane, plugin: str, **fields: Any) -> None:
    await plane.control.lifecycle.uninstall("acme-corp", UninstallRequest(plugin_id=plugin, **fields))


async def test_installing_binds_and_announces_in_the_tenant() -> None:
    async with control_plane() as plane:
        await plane.register(CRM, subscriptions=[heard("welcome", "billing.events.#")])
        await plane.tenants.create("acme-corp")
        await plane.announced()
        await plane.install("plugin-crm")

        ((key, body),) = await plane.announced()
        assert key == "acme-corp.plugin.installed.plugin-crm"
        assert body["version"] == "1.0.0"
        assert plane.bindings("calls") == {("calls.crm.contacts.1.0.0", "acme-corp.crm.contacts.1.0.0")}
        assert plane.bindings("events") == {("events.plugin-crm.welcome", "acme-corp.billing.events.#")}


async def test_installing_twice_changes_nothing() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.install("plugin-crm")
        await plane.announced()
        await plane.install("plugin-crm")

        assert await plane.announced() == []


async def test_an_unmet_requirement_refuses_with_the_whole_resolution() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, ANALYTICS)

        with pytest.raises(UnresolvableError) as caught:
            await plane.install("plugin-analytics")
        assert caught.value.message == "Missing dependency: plugin-crm (required by plugin-analytics)"
        assert caught.value.details["installOrder"] == ["plugin-crm", "plugin-analytics"]


async def test_force_installs_in_spite_of_unmet_requirements() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, ANALYTICS)
        await plane.install("plugin-analytics", force=True)

        found = await plane.control.lifecycle.installations("acme-corp")
        assert [item.plugin_id for item in found.installations] == ["plugin-analytics"]


async def test_an_unknown_plugin_or_tenant_or_version_is_refused() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.tenants.create("acme-corp")

        with pytest.raises(PluginNotFoundError, match="did you mean 'plugin-crm'"):
            await install(plane, "plugin-crn")
        with pytest.raises(TenantNotFoundError):
            await install(plane, "plugin-crm", tenant="nobody")
        with pytest.raises(VersionMismatchError, match=r"known are 1\.0\.0"):
            await install(plane, "plugin-crm", "^2.0.0")


async def test_a_version_of_the_same_major_replaces_and_another_major_stands_beside() -> None:
    async with control_plane() as plane:
        await plane.tenants.create("acme-corp")
        for version in ("1.0.0", "1.1.0", "2.0.0"):
            await plane.publish(manifest("crm", version))
        await install(plane, "plugin-crm", "1.0.0")
        await plane.announced()
        await install(plane, "plugin-crm", "1.1.0")
        await install(plane, "plugin-crm", "2.0.0")

        assert await plane.announced_keys() == [
            "acme-corp.plugin.upgraded.plugin-crm",
            "acme-corp.plugin.uninstalled.plugin-crm",
            "acme-corp.plugin.installed.plugin-crm",
        ]
        found = await plane.control.lifecycle.installations("acme-corp")
        assert [item.version for item in found.installations] == ["1.1.0", "2.0.0"]


async def test_an_upgrade_moves_the_call_keys() -> None:
    async with control_plane() as plane:
        old = manifest("crm", "1.0.0", services={"contacts": "1.0.0"})
        new = manifest("crm", "1.1.0", services={"contacts": "1.1.0"})
        await plane.register(old, "old")
        await plane.install("plugin-crm")
        await plane.register(new, "new")
        await plane.install("plugin-crm")

        assert plane.bindings("calls") == {("calls.crm.contacts.1.1.0", "acme-corp.crm.contacts.1.1.0")}


async def test_an_upgrade_that_would_break_somebody_is_refused() -> None:
    async with control_plane() as plane:
        await plane.publish(manifest("crm", "1.0.0"), manifest("shop", needs=[need("crm", "~1.0.0")]))
        await plane.install("plugin-crm", "plugin-shop")
        await plane.publish(manifest("crm", "1.1.0"))

        with pytest.raises(UnresolvableError, match=r"plugin-crm@1\.1\.0 does not satisfy ~1\.0\.0"):
            await plane.install("plugin-crm")


async def test_a_required_plugin_stays_unless_forced() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, ANALYTICS)
        await plane.install("plugin-crm", "plugin-analytics")
        await plane.announced()

        with pytest.raises(StillRequiredError) as caught:
            await uninstall(plane, "plugin-crm")
        assert caught.value.details["blockedBy"] == [{"pluginId": "plugin-analytics", "reason": "Required dependency"}]
        await uninstall(plane, "plugin-crm", force=True)
        assert await plane.announced_keys() == ["acme-corp.plugin.uninstalled.plugin-crm"]


async def test_uninstalling_unbinds() -> None:
    async with control_plane() as plane:
        await plane.register(CRM, subscriptions=[heard("welcome", "billing.events.#")])
        await plane.install("plugin-crm")
        await uninstall(plane, "plugin-crm")

        assert plane.bindings("calls") == set()
        assert plane.bindings("events") == set()


async def two_majors(plane: Plane) -> None:
    for version in ("1.0.0", "2.0.0"):
        await plane.register(manifest("crm", version, services={"contacts": version}), f"crm-{version[0]}")
        await plane.install("plugin-crm", range_=version)
    await plane.announced()


async def test_one_version_is_uninstalled_and_the_other_serves_on() -> None:
    async with control_plane() as plane:
        await two_majors(plane)
        gone = await plane.uninstall("plugin-crm", version="1.0.0")
        again = await plane.uninstall("plugin-crm", version="1.0.0")

        assert (gone, again) == (["1.0.0"], [])
        assert plane.bindings("calls") == {("calls.crm.contacts.2.0.0", "acme-corp.crm.contacts.2.0.0")}
        [(key, body)] = await plane.announced()
        assert (key, body["version"], body["remaining"]) == (
            "acme-corp.plugin.uninstalled.plugin-crm",
            "1.0.0",
            ["2.0.0"],
        )


async def test_a_version_goes_unless_the_ones_that_stay_would_fail_somebody() -> None:
    async with control_plane() as plane:
        await two_majors(plane)
        await plane.publish(ANALYTICS, manifest("any", needs=[need("crm")]))
        await plane.install("plugin-analytics", "plugin-any")
        with pytest.raises(StillRequiredError, match=r"plugin-crm@1\.x .*: required by plugin-analytics$"):
            await plane.uninstall("plugin-crm", version="1.x")

        assert await plane.uninstall("plugin-crm", version="2.0.0") == ["2.0.0"]
        with pytest.raises(StillRequiredError, match=r"required by plugin-analytics, plugin-any$"):
            await plane.uninstall("plugin-crm", version="1.0.0")


async def test_data_stays_as_long_as_a_version_does() -> None:
    async with control_plane() as plane:
        await two_majors(plane)
        with pytest.raises(InvalidRequestError, match=r"2\.0\.0 would stay"):
            await plane.uninstall("plugin-crm", version="1.0.0", remove_data=True)

        assert await plane.uninstall("plugin-crm", version=">=1.0.0", remove_data=True) == ["1.0.0", "2.0.0"]


async def test_uninstalling_what_is_not_installed_changes_nothing_unless_nobody_knows_it() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.tenants.create("acme-corp")
        await plane.announced()
        gone = await plane.control.lifecycle.uninstall("acme-corp", UninstallRequest(plugin_id="plugin-crm"))

        assert gone.installations == ()
        assert await plane.announced() == []
        with pytest.raises(PluginNotFoundError, match="did you mean 'plugin-crm'"):
            await uninstall(plane, "plugin-crn")


async def test_only_required_dependents_in_the_tenant_block() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, ANALYTICS, manifest("shop", needs=[need("crm", required=False)]))
        await plane.install("plugin-crm", "plugin-shop")
        await plane.install("plugin-crm", "plugin-analytics", tenant="tech-co")

        lifecycle = plane.control.lifecycle
        assert (await lifecycle.can_uninstall("acme-corp", "plugin-crm")).can_uninstall
        blocked = (await lifecycle.can_uninstall("tech-co", "plugin-crm")).blocked_by
        assert [(item.plugin_id, item.reason) for item in blocked] == [("plugin-analytics", "Required dependency")]


async def test_declaring_replaces_the_whole_set_and_is_announced() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, ANALYTICS)
        await plane.announced()
        asked = [Dependency(plugin_id="plugin-shop", version="^1.0.0")]
        await plane.control.declarations.declare("plugin-analytics", asked)

        found = await plane.control.declarations.dependencies("plugin-analytics")
        assert [edge.dependency.plugin_id for edge in found.edges] == ["plugin-shop"]
        assert await plane.announced_keys() == ["_.dependency.declared.plugin-analytics"]
        await plane.control.declarations.declare("plugin-analytics", [])
        assert (await plane.control.declarations.dependencies("plugin-analytics")).edges == ()


async def test_a_version_declares_for_itself_alone() -> None:
    async with control_plane() as plane:
        newer = manifest("analytics", "2.0.0", needs=[need("crm")])
        await plane.publish(CRM, ANALYTICS, newer)
        await plane.register(newer)
        await plane.announced()
        answer = await plane.control.declarations.declare("plugin-analytics", [], version="1.0.0")
        ((_, body),) = await plane.announced()
        later = await plane.register(newer, "two")

        assert (answer.edges, body["version"], body["dependencies"]) == ((), "1.0.0", [])
        assert [item.plugin_id for item in later.dependencies] == ["plugin-crm"]


async def test_a_version_that_nobody_knows_cannot_declare() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, ANALYTICS)

        with pytest.raises(VersionMismatchError, match=r"plugin-analytics has no version 9\.0\.0 .* known are 1\.0\.0"):
            await plane.control.declarations.declare("plugin-analytics", [], version="9.0.0")
        with pytest.raises(PluginNotFoundError):
            await plane.control.declarations.declare("plugin-shop", [], version="1.0.0")


async def test_what_was_declared_survives_the_same_manifest() -> None:
    async with control_plane() as plane:
        await plane.publish(ANALYTICS)
        await plane.control.declarations.declare("plugin-analytics", [])
        await plane.publish(ANALYTICS)

        assert (await plane.control.declarations.dependencies("plugin-analytics")).edges == ()


async def test_a_plugin_may_not_depend_on_itself() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)

        with pytest.raises(InvalidRequestError, match=r"dependencies\.0\.pluginId: .* itself"):
            await plane.control.declarations.declare("plugin-crm", [Dependency(plugin_id="plugin-crm", version="*")])


async def test_recursion_ends_on_circles() -> None:
    async with control_plane() as plane:
        await plane.publish(manifest("a", needs=[need("b")]), manifest("b", needs=[need("a")]))

        down = await plane.control.declarations.dependencies("plugin-a", recursive=True)
        up = await plane.control.declarations.dependents("plugin-a", recursive=True)
        assert [edge.plugin_id for edge in down.edges] == ["plugin-a", "plugin-b"]
        assert [edge.plugin_id for edge in up.edges] == ["plugin-a", "plugin-b"]
        assert len((await plane.control.declarations.dependents("plugin-a")).edges) == 1


async def test_dependencies_of_an_unknown_plugin_are_not_found() -> None:
    async with control_plane() as plane:
        with pytest.raises(PluginNotFoundError):
            await plane.control.declarations.dependencies("plugin-crm")


async def test_removing_a_tenant_uninstalls_and_unbinds_and_is_announced_last() -> None:
    async with control_plane() as plane:
        await plane.register(CRM)
        await plane.install("plugin-crm")
        before = (await plane.announced())[-1][1]["revision"]
        await plane.tenants.remove("acme-corp", force=True)

        announced = await plane.announced()
        assert plane.bindings("calls") == set()
        assert [key for key, _ in announced] == [
            "acme-corp.plugin.uninstalled.plugin-crm",
            "acme-corp.tenant.removed",
        ]
        assert announced[1][1] == {"change": "removed", "revision": before + 2, "tenant": "acme-corp"}


async def test_a_tenant_is_announced_when_it_is_made_and_only_then() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.tenants.create("acme-corp")
        await plane.tenants.create("acme-corp")
        await plane.register(CRM, tenants=["acme-corp", "globex"])

        made = [body["tenant"] for key, body in await plane.announced() if key.endswith(".tenant.created")]
        assert made == ["acme-corp", "globex"]


async def test_only_the_plugin_itself_replaces_its_manifest() -> None:
    """An operator makes versions known; what is known of a version, its own plugin says."""
    other = manifest("crm", services={"deals": "1.0.0"})
    async with control_plane(operators=("plugin-cli",)) as plane:
        manifests = plane.control.manifests
        await manifests.publish(CRM, caller="plugin-cli")
        await manifests.publish(CRM, caller="plugin-cli")
        with pytest.raises(PermissionDeniedError, match=r"plugin-cli may not .* plugin-crm@1\.0\.0") as caught:
            await manifests.publish(other, caller="plugin-cli")
        await manifests.publish(manifest("crm", "1.1.0"), caller="plugin-cli")
        await manifests.publish(other, caller="plugin-crm")

        assert caught.value.details == {"missing": "plugin-crm"}
        assert [item.version for item in (await manifests.list()).plugins] == ["1.0.0", "1.1.0"]


async def test_a_manifest_published_with_other_content_replaces_the_known_one() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, manifest("crm", services={"deals": "1.0.0"}))
        await plane.install("plugin-crm")

        assert (await plane.control.registry.versions("acme-corp", "crm.contacts")).services == ()
        assert len((await plane.control.registry.versions("acme-corp", "crm.deals")).services) == 1


async def test_a_namespace_belongs_to_the_installed_plugin_that_declares_it() -> None:
    async with control_plane() as plane:
        await plane.publish(manifest("crm", sharedData=[{"namespace": "crm.cache", "write": "owner"}]))
        await plane.tenants.create("tech-co")
        await plane.install("plugin-crm")

        manifests = plane.control.manifests
        rule = await manifests.rules_for(plane.database, "acme-corp", "crm.cache")
        assert rule is not None
        assert (rule.owner, rule.declared.write) == ("plugin-crm", "owner")
        assert await manifests.rules_for(plane.database, "tech-co", "crm.cache") is None

"""Managing dependencies: what is declared, what is missing, and what may be installed or go."""

import asyncio
import time
from typing import Any

import pytest

from contracts.dependencies import Blocker
from contracts.errors import (
    InvalidManifestError,
    InvalidRequestError,
    PluginNotFoundError,
    ServiceNotFoundError,
    StillRequiredError,
    TenantNotFoundError,
    UnresolvableError,
    VersionMismatchError,
)
from contracts.manifest import Dependency, PluginManifest
from contracts.registry import DependencyAnnouncement, PluginAnnouncement
from plugin_runtime import Runner, TenantClient
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import Ears, make_caller, make_crm, make_plugin, manifest, need
from tests.acceptance.world import ACME, GLOBEX, World, short, status_is
from tests.waiting import eventually

SERVICE = "crm.contacts"
MISSING_CRM = "Missing dependency: plugin-crm (required by plugin-analytics)"


async def deploying(open_world: OpenWorld, *manifests: PluginManifest) -> tuple[World, Runner, TenantClient]:
    """A world in which nothing installs itself, and a plugin that installs; these manifests are known."""
    world = await open_world(auto_install=False, operators=("plugin-console",))
    console = await world.connect(make_caller(name="console"))
    await console.platform.create_tenant(ACME)
    for item in manifests:
        await console.platform.publish_manifest(item)
    return world, console, console.tenant(ACME)


def analytics(crm: str = "^1.0.0", **fields: Any) -> PluginManifest:
    """Analytics, which requires the CRM."""
    return manifest("analytics", needs=(need("crm", crm, **fields),))


# Declaring


async def test_declared_dependencies_are_announced(world: World) -> None:
    acme = await world.tenant()
    with acme.registry.watch("_.dependency.declared.plugin-analytics") as announcements:
        await acme.dependencies.declare([Dependency(plugin_id="plugin-crm", version="^1.0.0", reason="Reports")])
        announced = await asyncio.wait_for(anext(announcements), 5)

    assert isinstance(announced, DependencyAnnouncement)
    assert announced.plugin_id == "plugin-analytics"
    assert [(item.plugin_id, item.version) for item in announced.dependencies] == [("plugin-crm", "^1.0.0")]


async def test_declaring_replaces_the_whole_set(world: World) -> None:
    acme = await world.tenant(make_plugin("analytics", needs=(need("crm"), need("billing"))))
    before = await acme.dependencies.dependencies("plugin-analytics")
    await acme.dependencies.declare([Dependency(plugin_id="plugin-marketing", version="*")])
    after = await acme.dependencies.dependencies("plugin-analytics")
    await acme.dependencies.declare([])

    assert [edge.dependency.plugin_id for edge in before] == ["plugin-billing", "plugin-crm"]
    assert [edge.dependency.plugin_id for edge in after] == ["plugin-marketing"]
    assert await acme.dependencies.dependencies("plugin-analytics") == []


async def test_plugin_may_not_depend_on_itself(world: World) -> None:
    acme = await world.tenant()

    with pytest.raises(InvalidRequestError, match="plugin 'plugin-analytics' cannot depend on itself"):
        await acme.dependencies.declare([Dependency(plugin_id="plugin-analytics", version="*")])
    with pytest.raises(InvalidManifestError, match="cannot depend on itself"):
        manifest("analytics", needs=(need("analytics"),))


async def test_dependency_listed_twice_is_refused_and_the_old_set_stays(world: World) -> None:
    acme = await world.tenant(make_plugin("analytics", needs=(need("crm"),)))
    twice = [Dependency(plugin_id="plugin-billing", version=version) for version in ("^1.0.0", "^2.0.0")]

    with pytest.raises(InvalidRequestError, match="dependency on plugin-billing is listed twice"):
        await acme.dependencies.declare(twice)

    edges = await acme.dependencies.dependencies("plugin-analytics")
    assert [edge.dependency.plugin_id for edge in edges] == ["plugin-crm"]


async def test_edges_are_followed_in_both_directions(world: World) -> None:
    acme = await world.tenant(make_plugin("crm", needs=(need("billing"),)))
    await world.tenant(make_plugin("analytics", needs=(need("crm"),)))
    found = [
        await asking(
            "plugin-analytics" if asking == acme.dependencies.dependencies else "plugin-billing", recursive=deep
        )
        for asking in (acme.dependencies.dependencies, acme.dependencies.dependents)
        for deep in (False, True)
    ]
    lines = [[f"{edge.plugin_id} > {edge.dependency.plugin_id}" for edge in edges] for edges in found]
    both = ["plugin-analytics > plugin-crm", "plugin-crm > plugin-billing"]

    assert lines == [both[:1], both, both[1:], both]


# Resolving: the guide's own words


async def test_missing_dependency_is_told(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, analytics())
    found = await acme.dependencies.resolve("plugin-analytics")

    assert (found.valid, found.errors, found.warnings) == (False, (MISSING_CRM,), ())
    assert found.causes[0].chain == ("plugin-analytics", "plugin-crm")


async def test_version_mismatch_is_told(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, manifest("crm", "1.5.0"), analytics("^2.0.0"))
    await acme.dependencies.install("plugin-crm")
    found = await acme.dependencies.resolve("plugin-analytics")

    assert found.errors == ("Version mismatch: plugin-crm@1.5.0 does not satisfy ^2.0.0",)


async def test_circle_is_told(open_world: OpenWorld) -> None:
    circle = [manifest("a", needs=(need("b"),)), manifest("b", needs=(need("a"),))]
    _, _, acme = await deploying(open_world, *circle)
    found = await acme.dependencies.resolve("plugin-b")

    assert "Circular dependency detected: plugin-a → plugin-b → plugin-a" in found.errors
    assert not found.valid
    with pytest.raises(UnresolvableError, match="Circular dependency detected: plugin-a → plugin-b → plugin-a"):
        await acme.dependencies.install("plugin-a")


async def test_optional_dependency_that_is_missing_is_a_warning(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, analytics(required=False))
    found = await acme.dependencies.resolve("plugin-analytics")

    assert (found.valid, found.errors) == (True, ())
    assert found.warnings == ("Missing dependency: plugin-crm (optional for plugin-analytics)",)
    assert (await acme.dependencies.install("plugin-analytics")).version == "1.0.0"


async def test_service_that_the_plugin_does_not_offer_is_told(open_world: OpenWorld) -> None:
    crm = make_plugin("crm", "GET /deals", service="deals").manifest
    _, _, acme = await deploying(open_world, crm, analytics(service=SERVICE))
    await acme.dependencies.install("plugin-crm")
    (error,) = (await acme.dependencies.resolve("plugin-analytics")).errors

    assert "crm.contacts" in error
    assert "plugin-crm" in error


async def test_range_of_a_service_is_held_against_the_services_version(open_world: OpenWorld) -> None:
    crm = make_plugin("crm", "GET /contacts", version="3.0.0", service_version="1.2.0").manifest
    _, _, acme = await deploying(open_world, crm, analytics(service=SERVICE))
    await acme.dependencies.install("plugin-crm")

    assert (await acme.dependencies.resolve("plugin-analytics")).valid


async def test_install_order_puts_dependencies_first(open_world: OpenWorld) -> None:
    shared = manifest("shared")
    crm = manifest("crm", needs=(need("shared"),))
    both = manifest("analytics", needs=(need("shared"), need("crm")))
    _, _, acme = await deploying(open_world, both, crm, shared)
    found = await acme.dependencies.resolve("plugin-analytics")

    assert found.install_order == ("plugin-shared", "plugin-crm", "plugin-analytics")
    for plugin in found.install_order:
        await acme.dependencies.install(plugin)
    assert (await acme.dependencies.resolve("plugin-analytics")).valid


async def test_resolving_what_nobody_knows_says_what_may_be_meant(open_world: OpenWorld) -> None:
    _, console, acme = await deploying(open_world, manifest("crm"))

    with pytest.raises(PluginNotFoundError, match="Plugin plugin-crn is not known; did you mean 'plugin-crm'"):
        await acme.dependencies.resolve("plugin-crn")
    with pytest.raises(TenantNotFoundError, match="Tenant 'nowhere' not found"):
        await console.tenant("nowhere").dependencies.resolve("plugin-crm")
    with pytest.raises(InvalidRequestError, match="plugin"):
        await acme.dependencies.resolve("crm")


# Installing


async def test_install_is_refused_with_the_answer_of_resolve(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, analytics(), manifest("crm"))

    with pytest.raises(UnresolvableError) as caught:
        await acme.dependencies.install("plugin-analytics")

    assert caught.value.message == MISSING_CRM
    assert caught.value.details["installOrder"] == ["plugin-crm", "plugin-analytics"]
    installed = await acme.dependencies.installations()
    assert installed == []


async def test_install_is_announced_and_may_be_repeated(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, manifest("crm", "1.0.0"), manifest("crm", "1.1.0"))
    with acme.registry.watch(f"{ACME}.plugin.#") as announcements:
        first, again = [await acme.dependencies.install("plugin-crm") for _ in range(2)]
        await acme.dependencies.uninstall("plugin-crm")
        announced = [await asyncio.wait_for(anext(announcements), 5) for _ in range(2)]

    assert first == again
    assert [(one.change, one.plugin_id, one.version) for one in announced if isinstance(one, PluginAnnouncement)] == [
        ("installed", "plugin-crm", "1.1.0"),
        ("uninstalled", "plugin-crm", "1.1.0"),
    ]


async def test_install_takes_the_highest_version_in_the_range(open_world: OpenWorld) -> None:
    versions = [manifest("crm", version) for version in ("1.0.0", "1.4.0", "2.0.0")]
    _, _, acme = await deploying(open_world, *versions)

    assert (await acme.dependencies.install("plugin-crm", "^1.0.0")).version == "1.4.0"
    with pytest.raises(VersionMismatchError, match=r"Plugin plugin-crm has no version in \^3\.0\.0"):
        await acme.dependencies.install("plugin-crm", "^3.0.0")


async def test_install_that_would_break_another_plugin_is_refused(open_world: OpenWorld) -> None:
    one, two = (
        make_plugin("crm", *lines, version=version).manifest
        for lines, version in ((("GET /contacts",), "1.0.0"), ((), "1.1.0"))
    )
    _, _, acme = await deploying(open_world, one, two, analytics(service=SERVICE))
    await acme.dependencies.install("plugin-crm", "1.0.0")
    await acme.dependencies.install("plugin-analytics")

    with pytest.raises(UnresolvableError, match=r"crm\.contacts"):
        await acme.dependencies.install("plugin-crm", "1.1.0")

    assert [item.version for item in await acme.dependencies.installations()] == ["1.0.0", "1.0.0"]


async def test_versions_of_different_majors_stand_side_by_side(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, *(manifest("crm", version) for version in ("1.0.0", "1.1.0", "2.0.0")))
    for version in ("1.0.0", "2.0.0", "1.1.0"):
        await acme.dependencies.install("plugin-crm", version)

    assert [item.version for item in await acme.dependencies.installations()] == ["1.1.0", "2.0.0"]


async def test_installing_in_an_unknown_tenant_or_what_nobody_knows_is_refused(open_world: OpenWorld) -> None:
    _, console, acme = await deploying(open_world, manifest("crm"))

    with pytest.raises(TenantNotFoundError, match="Tenant 'nowhere' not found"):
        await console.tenant("nowhere").dependencies.install("plugin-crm")
    with pytest.raises(PluginNotFoundError, match="Plugin plugin-billing is not known"):
        await acme.dependencies.install("plugin-billing")
    with pytest.raises(InvalidRequestError, match="version: range 'not a range' is not an npm version range"):
        await acme.dependencies.install("plugin-crm", "not a range")


async def test_plugin_id_that_is_none_is_refused_everywhere(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, manifest("crm"))
    operations = acme.dependencies

    for name in ("crm", "plugin-CRM", "plugin-a/b", "plugin-a?b", "plugin-%"):
        for ask in (operations.install, operations.uninstall, operations.resolve, operations.can_uninstall):
            with pytest.raises(InvalidRequestError, match="plugin id"):
                await ask(name)
        for ask_edges in (operations.dependencies, operations.dependents):
            with pytest.raises(InvalidRequestError, match="plugin id"):
                await ask_edges(name)


async def test_plugin_answers_a_tenant_as_soon_as_it_is_installed_there(open_world: OpenWorld) -> None:
    """The call may overtake the announcement of the installation: they come by different queues."""
    world, console, _ = await deploying(open_world)
    await world.connect(make_crm())
    for number in range(10):
        await console.platform.create_tenant(f"tenant-{number}")
        tenant = console.tenant(f"tenant-{number}")
        await tenant.dependencies.install("plugin-crm")

        assert await tenant.service(SERVICE).get("/contacts") == "served"


# Uninstalling


async def test_plugin_that_others_require_may_not_go(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, manifest("crm"), analytics())
    for plugin in ("plugin-crm", "plugin-analytics"):
        await acme.dependencies.install(plugin)
    answer = await acme.dependencies.can_uninstall("plugin-crm")

    assert (answer.can_uninstall, answer.blocked_by) == (
        False,
        (Blocker(plugin_id="plugin-analytics", reason="Required dependency"),),
    )
    with pytest.raises(StillRequiredError, match="required by plugin-analytics") as caught:
        await acme.dependencies.uninstall("plugin-crm")
    assert caught.value.details["blockedBy"] == [{"pluginId": "plugin-analytics", "reason": "Required dependency"}]


async def test_plugin_may_go_once_nobody_requires_it(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(
        open_world, manifest("crm"), analytics(), manifest("audit", needs=(need("crm", required=False),))
    )
    for plugin in ("plugin-crm", "plugin-analytics", "plugin-audit"):
        await acme.dependencies.install(plugin)
    await acme.dependencies.uninstall("plugin-analytics")

    assert (await acme.dependencies.can_uninstall("plugin-crm")).can_uninstall
    await acme.dependencies.uninstall("plugin-crm")
    assert [item.plugin_id for item in await acme.dependencies.installations()] == ["plugin-audit"]


async def test_only_what_is_installed_in_the_tenant_blocks(open_world: OpenWorld) -> None:
    _, console, acme = await deploying(open_world, manifest("crm"), analytics())
    await console.platform.create_tenant(GLOBEX)
    globex = console.tenant(GLOBEX)
    await acme.dependencies.install("plugin-crm")
    await globex.dependencies.install("plugin-crm")
    await globex.dependencies.install("plugin-analytics")

    assert (await acme.dependencies.can_uninstall("plugin-crm")).can_uninstall
    assert not (await globex.dependencies.can_uninstall("plugin-crm")).can_uninstall


async def test_forced_uninstall_degrades_who_required_it(world: World) -> None:
    await world.connect(make_crm())
    plugin = make_plugin("analytics", "GET /reports", service="reports", needs=(need("crm"),))
    plugin.service("analytics.reports").get("/reports")(_nothing)
    acme = await world.tenant(plugin)
    await acme.dependencies.uninstall("plugin-crm", force=True)

    await eventually(status_is(acme, "analytics.reports", "DEGRADED"))
    assert (await acme.dependencies.resolve("plugin-analytics")).errors == (MISSING_CRM,)


async def test_what_one_tenant_lacks_moves_no_caller_of_another(world: World) -> None:
    """The one caller follows by announcements: to the version that is well in its tenant, and back."""
    both = [ACME, GLOBEX]
    await world.connect(make_plugin("mail"), tenants=both)
    await world.connect(make_crm("one", version="1.0.0"), tenants=both)
    await world.connect(make_crm("two", version="2.0.0", needs=(need("mail"),)), tenants=both)
    caller = await world.connect(make_caller(), tenants=both)
    acme, globex = caller.tenant(ACME), caller.tenant(GLOBEX)
    before = await answers(acme, globex)

    await acme.dependencies.uninstall("plugin-mail", force=True)
    await eventually(lambda: is_answered(acme, "one"))
    lacking = await answers(acme, globex)
    shown = [found.status for tenant in (acme, globex) for found in await tenant.registry.list(plugin="plugin-crm")]
    await acme.dependencies.install("plugin-mail")
    await eventually(lambda: is_answered(acme, "two"))

    assert (before, lacking) == (["two", "two"], ["one", "two"])
    assert shown == ["HEALTHY", "DEGRADED", "HEALTHY", "HEALTHY"]


async def answers(*tenants: TenantClient) -> list[Any]:
    return [await tenant.service(SERVICE).get("/contacts") for tenant in tenants]


async def is_answered(tenant: TenantClient, by: str) -> bool:
    return await answers(tenant) == [by]


async def test_calls_and_events_to_an_uninstalled_plugin_end_at_once(world: World) -> None:
    crm = make_crm()
    ears = Ears().on(crm, "analytics.events.#")
    await world.connect(crm)
    acme = await world.tenant()
    assert await acme.service(SERVICE).get("/contacts") == "served"
    await acme.dependencies.uninstall("plugin-crm")
    began = time.monotonic()

    with pytest.raises(ServiceNotFoundError, match=r"Service crm\.contacts not found or unavailable"):
        await acme.service(SERVICE).get("/contacts", timeout=30)
    assert time.monotonic() - began < 1
    await acme.emit("analytics.events.report.made", {})
    assert ears.heard == []


async def test_other_tenants_keep_what_one_uninstalls(world: World) -> None:
    await world.connect(make_crm(), tenants=[ACME, GLOBEX])
    runner = await world.connect(make_caller(), tenants=[ACME, GLOBEX])
    await runner.tenant(ACME).dependencies.uninstall("plugin-crm")

    assert await runner.tenant(GLOBEX).service(SERVICE).get("/contacts") == "served"


async def test_uninstalled_plugin_can_be_installed_again(world: World) -> None:
    await world.connect(make_crm())
    acme = await world.tenant()
    await acme.dependencies.uninstall("plugin-crm")
    await acme.dependencies.install("plugin-crm")

    assert await acme.service(SERVICE).get("/contacts") == "served"


async def test_uninstalling_what_is_not_installed_is_no_error(open_world: OpenWorld) -> None:
    _, _, acme = await deploying(open_world, manifest("crm"))

    assert await acme.dependencies.uninstall("plugin-crm") == []
    with pytest.raises(PluginNotFoundError, match="Plugin plugin-crn is not known; did you mean 'plugin-crm'"):
        await acme.dependencies.uninstall("plugin-crn")
    with pytest.raises(PluginNotFoundError, match="Plugin plugin-billing is not known"):
        await acme.dependencies.can_uninstall("plugin-billing")


# Starting without a dependency


async def _nothing(_call: Any) -> None: ...


def needy() -> Any:
    """Analytics with a service, which requires the CRM."""
    plugin = make_plugin("analytics", "GET /reports", service="reports", needs=(need("crm", service=SERVICE),))
    plugin.service("analytics.reports").get("/reports")(_nothing)
    return plugin


async def test_plugin_starts_degraded_without_a_required_dependency_and_says_why(world: World) -> None:
    runner = await world.connect(needy())
    answer = runner.answer

    assert answer is not None
    assert (answer.status, answer.reasons) == ("DEGRADED", (MISSING_CRM,))
    (found,) = await runner.tenant(ACME).registry.list()
    assert short(found) == ("analytics.reports", "1.0.0", "DEGRADED")


async def test_degraded_plugin_still_answers(world: World) -> None:
    runner = await world.connect(needy())

    assert await runner.tenant(ACME).service("analytics.reports").get("/reports") is None


async def test_degraded_plugin_turns_healthy_when_the_dependency_appears(world: World) -> None:
    acme = await world.tenant(needy())
    with acme.registry.watch("_.service.status.analytics.reports") as announcements:
        await world.connect(make_crm())
        announced: Any = await asyncio.wait_for(anext(announcements), 5)

    assert announced.service.status == "HEALTHY"
    await eventually(status_is(acme, "analytics.reports", "HEALTHY"))


async def test_strict_plugin_refuses_to_start_without_its_dependency(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXICA_STRICT", "yes")

    with pytest.raises(UnresolvableError) as caught:
        await world.connect(needy())
    assert caught.value.message == MISSING_CRM
    monkeypatch.delenv("PLEXICA_STRICT")
    acme = await world.tenant(make_plugin("console"))
    assert await acme.registry.list() == []


async def test_strict_plugin_starts_once_its_dependency_is_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.connect(make_crm())
    monkeypatch.setenv("PLEXICA_STRICT", "yes")
    runner = await world.connect(needy())

    assert runner.answer is not None
    assert runner.answer.status == "HEALTHY"


# Tenants


async def test_tenants_are_created_listed_and_removed(open_world: OpenWorld) -> None:
    _, console, _ = await deploying(open_world)
    await console.platform.create_tenant(GLOBEX)
    await console.platform.create_tenant(GLOBEX)
    both = await console.platform.tenants()
    await console.platform.remove_tenant(GLOBEX)

    assert (both, await console.platform.tenants()) == ([ACME, GLOBEX], [ACME])
    with pytest.raises(TenantNotFoundError):
        await console.platform.remove_tenant(GLOBEX)


async def test_tenant_with_plugins_is_removed_by_force_only_and_its_data_go(world: World) -> None:
    await world.connect(make_crm(), tenants=[ACME, GLOBEX])
    console = await world.connect(make_caller(name="console"), tenants=[GLOBEX])
    acme = console.tenant(ACME)
    await acme.data.set("crm.cache", "count", 1)

    with pytest.raises(StillRequiredError, match="plugin-crm"):
        await console.platform.remove_tenant(ACME)
    await console.platform.remove_tenant(ACME, force=True)
    with pytest.raises((TenantNotFoundError, ServiceNotFoundError)):
        await acme.service(SERVICE).get("/contacts", timeout=5)
    await console.platform.create_tenant(ACME)
    assert await acme.data.keys("crm.cache") == []


async def test_tenant_name_that_is_none_is_refused(open_world: OpenWorld) -> None:
    _, console, _ = await deploying(open_world)
    names: list[Any] = ["", "_", "ACME", "acme_corp", "a" * 41, "acme.corp", "*", "#", "acme-", 7, None]

    for name in names:
        with pytest.raises(InvalidRequestError, match="id: "):
            await console.platform.create_tenant(name)
    with pytest.raises(InvalidRequestError, match="id: tenant 'a/b' is not valid"):
        await console.platform.remove_tenant("a/b")
    assert await console.platform.tenants() == [ACME]

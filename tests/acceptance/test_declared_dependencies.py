"""A plugin calls what it declares, at the versions it declares, and nothing else."""

import re
import time

import pytest

from contracts.errors import UndeclaredDependencyError, VersionMismatchError
from plugin_runtime import TenantClient
from tests.acceptance.plugins import make_caller, make_crm, make_plugin, need
from tests.acceptance.world import ACME, World
from tests.waiting import eventually

SERVICE = "crm.contacts"


async def test_undeclared_service_is_refused_before_any_call(world: World) -> None:
    """The line to add names the version that is there; the broker may be asked for it, the callee hears nothing."""
    await world.connect(make_crm(version="1.5.0"))
    runner = await world.connect(make_plugin("analytics"))
    acme = runner.tenant(ACME)
    line = '{"pluginId": "plugin-crm", "serviceName": "crm.contacts", "version": "^1.5.0"}'

    with world.sent_by(runner) as sent:
        for _ in range(3):
            with pytest.raises(UndeclaredDependencyError, match=f"add {re.escape(line)} to api.dependencies") as caught:
                await acme.service(SERVICE).get("/contacts")

    assert caught.value.details == {"caller": "plugin-analytics", "service": SERVICE, "line": line}
    assert [one.routing_key for one in sent] == [f"{ACME}.system.registry.1.0.0"]


async def test_undeclared_service_is_refused_at_once_while_the_broker_is_away(world: World) -> None:
    acme = await world.tenant(make_plugin("analytics"))
    await world.stop_broker()
    began = time.monotonic()

    for _ in range(5):
        with pytest.raises(UndeclaredDependencyError, match=r'"version": "\*"'):
            await acme.service(SERVICE).get("/contacts")

    assert time.monotonic() - began < 1
    await world.start_broker()


async def test_plugin_as_a_whole_covers_its_services_by_its_own_version(world: World) -> None:
    """The services' versions have nothing to do with it."""
    await world.connect(make_crm("one", version="1.4.0", service_version="7.0.0"))
    await world.connect(make_crm("two", version="2.0.0", service_version="8.0.0"))
    first = await world.tenant(make_plugin("analytics", needs=(need("crm", "^1.0.0"),)))
    latest = await world.tenant(make_plugin("marketing", needs=(need("crm", "*"),)))
    nobody = await world.tenant(make_plugin("billing", needs=(need("crm", "^3.0.0", required=False),)))

    assert await first.service(SERVICE).get("/contacts") == "one"
    assert await latest.service(SERVICE).get("/contacts") == "two"
    with pytest.raises(VersionMismatchError, match=r"from plugin-crm in \^3\.0\.0; installed: 7\.0\.0, 8\.0\.0"):
        await nobody.service(SERVICE).get("/contacts")


async def test_declared_dependencies_hold_for_every_instance_of_the_version(world: World) -> None:
    """At once where they are declared, with the announcement elsewhere, from the start for who comes later."""
    await world.connect(make_crm())
    first, second = [await world.tenant(make_plugin("analytics")) for _ in range(2)]
    (asked,) = make_caller().manifest.api.dependencies
    await first.dependencies.declare([asked])

    assert await first.service(SERVICE).get("/contacts") == "served"
    await eventually(lambda: is_allowed(second))
    third = await world.tenant(make_plugin("analytics"))
    assert await third.service(SERVICE).get("/contacts") == "served"
    await first.dependencies.declare([])
    with pytest.raises(UndeclaredDependencyError):
        await first.service(SERVICE).get("/contacts")


async def test_what_an_old_instance_declares_leaves_the_new_version_alone(world: World) -> None:
    """Dependencies belong to a plugin at a version; for who comes later, too."""
    await world.connect(make_crm())
    old, new = [
        await world.tenant(make_plugin("analytics", version=version, calls=(SERVICE,)))
        for version in ("1.0.0", "2.0.0")
    ]
    await old.dependencies.declare([])
    later = await world.tenant(make_plugin("analytics", version="2.0.0", calls=(SERVICE,)))

    assert [await tenant.service(SERVICE).get("/contacts") for tenant in (new, later)] == ["served"] * 2
    assert [edge.version for edge in await new.dependencies.dependencies("plugin-analytics")] == ["2.0.0"]
    with pytest.raises(UndeclaredDependencyError):
        await old.service(SERVICE).get("/contacts")


async def is_allowed(acme: TenantClient) -> bool:
    try:
        return bool(await acme.service(SERVICE).get("/contacts"))
    except UndeclaredDependencyError:
        return False

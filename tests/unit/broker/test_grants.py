"""Who gets a grant, with which permissions, and the life of the keys that sign them."""

import asyncio
from typing import Any

import pytest

from broker.grants import service
from broker.grants.rules import DAY_SECONDS, SigningKey, is_worn
from broker.storage import schema
from contracts.dependencies import UninstallRequest
from contracts.errors import PermissionDeniedError, TenantNotFoundError
from contracts.grants import TENANTS_UP_FRONT, Grant
from contracts.manifest import Dependency
from contracts.names import OPERATOR_PLUGIN
from plugin_runtime.keys import KeyRing
from tests.unit.broker.control_plane import CRM, Plane, control_plane, manifest, need
from tests.waiting import eventually

READ, WRITE = "plugin.crm.contacts.read", "plugin.crm.contacts.write"
ACME = "acme-corp"


def asking(*permissions: str, version: str = "1.0.0") -> Any:
    """Analytics at a version that asks the CRM for permissions."""
    return manifest("analytics", version, needs=[need("crm", permissions=list(permissions))])


async def grant_of(plane: Plane, plugin: str = "plugin-analytics", tenant: str = ACME) -> Grant:
    (token,) = (await plane.control.grants.issue(plugin, [tenant])).grants
    return KeyRing(plane.control.grants.keys).verify(token.token)


async def permissions_of(plane: Plane) -> tuple[str, ...]:
    return (await grant_of(plane)).perms


# Who


async def test_a_plugin_gets_a_grant_where_it_is_installed() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.install("plugin-crm")

        grant = await grant_of(plane, "plugin-crm")

        assert (grant.sub, grant.ten, grant.perms, grant.admin) == ("plugin-crm", ACME, (), False)
        assert (grant.iat, grant.exp) == (plane.time.seconds, plane.time.seconds + 300)


async def test_a_plugin_gets_none_where_it_is_not_installed() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.tenants.create(ACME)

        with pytest.raises(
            PermissionDeniedError,
            match=r"^Plugin plugin-crm is not installed in tenant acme-corp: plexica install plugin-crm -t acme-corp$",
        ) as no:
            await grant_of(plane, "plugin-crm")
        assert no.value.details["tenant"] == ACME
        assert "dependencies.install('plugin-crm')" in no.value.details["hint"]


async def test_nobody_gets_one_in_a_tenant_that_is_not_there() -> None:
    async with control_plane() as plane:
        for plugin in ("plugin-crm", OPERATOR_PLUGIN):
            with pytest.raises(
                TenantNotFoundError, match=r"^Tenant 'acme-corp' not found: plexica tenant create acme-corp$"
            ):
                await grant_of(plane, plugin)


async def test_the_command_line_administers_every_tenant() -> None:
    async with control_plane() as plane:
        await plane.tenants.create(ACME)

        assert (await grant_of(plane, OPERATOR_PLUGIN)).admin


async def test_an_operator_gets_grants_everywhere_but_no_permission_by_that() -> None:
    async with control_plane(operators=["plugin-console"]) as plane:
        await plane.tenants.create(ACME)
        grant = await grant_of(plane, "plugin-console")

        assert (grant.admin, grant.perms) == (False, ())


async def test_one_tenant_that_is_refused_refuses_all() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.install("plugin-crm")

        with pytest.raises(TenantNotFoundError):
            await plane.control.grants.issue("plugin-crm", [ACME, "globex"])


async def test_a_registration_brings_the_keys_and_the_first_grants() -> None:
    tenants = [f"tenant-{number:02}" for number in range(TENANTS_UP_FRONT + 1)]
    async with control_plane(auto_install=True) as plane:
        answer = await plane.register(CRM, tenants=tenants)

        assert answer.keys == plane.control.grants.keys
        assert [grant.tenant for grant in answer.grants] == tenants[:TENANTS_UP_FRONT]


# Permissions


async def test_what_a_plugin_asks_for_is_granted_when_it_is_installed() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, asking(WRITE, READ))
        await plane.install("plugin-crm", "plugin-analytics")

        assert await permissions_of(plane) == (READ, WRITE)


async def test_what_is_declared_later_is_not_granted_by_itself() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, asking(READ))
        await plane.install("plugin-crm", "plugin-analytics")
        later = Dependency(plugin_id="plugin-crm", version="*", permissions=(READ, WRITE))
        await plane.control.declarations.declare("plugin-analytics", [later])

        assert await permissions_of(plane) == (READ,)


async def test_what_is_declared_later_is_not_granted_by_the_installation_of_another_version() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, asking(READ))
        await plane.install("plugin-crm", "plugin-analytics")
        later = Dependency(plugin_id="plugin-crm", version="*", permissions=(WRITE,))
        await plane.control.declarations.declare("plugin-analytics", [later])
        await plane.publish(asking(version="2.0.0"))
        await plane.install("plugin-analytics")

        assert await permissions_of(plane) == (READ,)


async def test_an_upgrade_grants_what_the_new_version_asks_for_and_no_more() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, asking(READ))
        await plane.install("plugin-crm", "plugin-analytics")
        await plane.publish(asking(WRITE, version="1.1.0"))
        await plane.install("plugin-analytics")

        assert await permissions_of(plane) == (WRITE,)


async def test_versions_side_by_side_have_what_either_was_granted() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, asking(READ))
        await plane.install("plugin-crm", "plugin-analytics")
        await plane.publish(asking(WRITE, version="2.0.0"))
        await plane.install("plugin-analytics")

        assert await permissions_of(plane) == (READ, WRITE)


async def test_nothing_granted_is_left_by_an_uninstall_or_a_removed_tenant() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, asking(READ))
        await plane.install("plugin-crm", "plugin-analytics")
        await plane.install("plugin-crm", "plugin-analytics", tenant="globex")
        await uninstall(plane)
        await plane.tenants.remove("globex", force=True)

        assert await plane.database.rows("SELECT * FROM permissions") == []


async def test_a_manifest_that_its_author_changed_is_granted_anew_where_whatever_registers_is_installed() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=[ACME])
        await plane.register(asking(READ), instance="two", tenants=[ACME])
        await plane.register(asking(WRITE), instance="two", tenants=[ACME])

        assert await permissions_of(plane) == (WRITE,)


async def uninstall(plane: Plane) -> None:
    for plugin in ("plugin-analytics", "plugin-crm"):
        await plane.control.lifecycle.uninstall(ACME, UninstallRequest(plugin_id=plugin))


# Keys


async def test_a_key_is_made_once_and_kept() -> None:
    async with control_plane() as plane:
        before = plane.control.grants.signing.id
        await plane.control.grants.prepare()

        assert plane.control.grants.signing.id == before
        assert await plane.announced() == []


async def test_a_key_is_replaced_after_30_days_and_that_is_announced() -> None:
    async with control_plane() as plane:
        old = plane.control.grants.signing
        plane.time.seconds += 30 * DAY_SECONDS
        await plane.control.grants.prepare()
        ((key, body),) = await plane.announced()

        assert plane.control.grants.signing.id != old.id
        assert key == "_.grants.keys"
        assert [found["id"] for found in body["keys"]] == [plane.control.grants.signing.id, old.id]


async def test_a_retired_key_still_checks_for_90_days_and_signs_no_more() -> None:
    async with control_plane() as plane:
        old = plane.control.grants.signing
        plane.time.seconds += 30 * DAY_SECONDS
        await plane.control.grants.prepare()
        rows = await plane.database.rows("SELECT private FROM signing_keys WHERE id = :id", {"id": old.id})
        assert [row["private"] for row in rows] == [None]

        for days, there in ((90, True), (1, False)):
            plane.time.seconds += days * DAY_SECONDS
            await plane.control.grants.prepare()
            assert (old.id in {key.id for key in plane.control.grants.keys}) is there


async def test_a_grant_signed_before_a_rotation_is_good_after_it() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.install("plugin-crm")
        (token,) = (await plane.control.grants.issue("plugin-crm", [ACME])).grants
        plane.time.seconds += 30 * DAY_SECONDS
        await plane.control.grants.prepare()

        assert KeyRing(plane.control.grants.keys).verify(token.token).sub == "plugin-crm"


def test_a_clock_that_was_set_back_wears_no_key() -> None:
    assert not is_worn(created_at=1_000_000.0, now=0.0)


def test_a_key_shows_nothing_of_itself() -> None:
    key = SigningKey.generate(0.0)

    assert key.private.private_bytes_raw().hex() not in repr(key)
    assert repr(key.private.private_bytes_raw()) not in repr(key)


async def test_grants_that_were_not_prepared_say_so() -> None:
    async with control_plane() as plane:
        plane.control.grants._signing = None

        with pytest.raises(RuntimeError, match="prepare"):
            _ = plane.control.grants.signing


# The store


async def test_what_was_installed_before_there_were_grants_keeps_what_it_declares() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, asking(READ))
        await plane.install("plugin-crm", "plugin-analytics")
        script = next(iter(step for step in schema.load() if step.name == "0005_grants")).statements[-1]
        async with plane.database.transaction() as transaction:
            await transaction.execute("DELETE FROM permissions")
            await transaction.execute(script)

        assert await permissions_of(plane) == (READ,)


async def test_the_age_of_the_key_is_looked_at_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOOK_SECONDS", 0.001)
    async with control_plane() as plane:
        grants = plane.control.grants
        looking = asyncio.create_task(grants.run())
        for _ in range(2):
            before, plane.time.seconds = grants.signing.id, plane.time.seconds + 30 * DAY_SECONDS
            await eventually(lambda before=before: grants.signing.id != before)  # type: ignore[misc]
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)

        assert len(grants.keys) == 3

"""Tenants: who there is, and what must be gone before one goes."""

import pytest

from broker.outbox.store import Outbox
from broker.storage.database import Database, Transaction
from broker.tenants.store import Tenants
from contracts.errors import InvalidRequestError, StillRequiredError, TenantNotFoundError

VALUE = "INSERT INTO shared_values VALUES ('acme-corp', 'crm.cache', 'a', '1', 'plugin-crm', 1, NULL)"
INSTALL = (
    "INSERT INTO plugins (id, version, name, manifest) VALUES (:plugin, :version, :plugin, '{}')",
    "INSERT INTO installations (tenant, plugin_id, major, version) VALUES (:tenant, :plugin, :major, :version)",
)
REVISION = "INSERT INTO data_revisions VALUES ('acme-corp', 'crm.cache', 7)"


async def install(database: Database, plugin_id: str = "plugin-crm", version: str = "1.0.0") -> None:
    row = {"tenant": "acme-corp", "plugin": plugin_id, "version": version, "major": int(version[0])}
    async with database.transaction() as transaction:
        for statement in INSTALL:
            await transaction.execute(statement, row)


async def test_creating_twice_is_no_error(tenants: Tenants) -> None:
    assert await tenants.create("acme-corp") is True
    assert await tenants.create("acme-corp") is False
    assert await tenants.list() == ("acme-corp",)


async def test_tenants_are_listed_in_ascending_order(tenants: Tenants) -> None:
    for name in ("techco", "acme-corp", "global"):
        await tenants.create(name)

    assert await tenants.list() == ("acme-corp", "global", "techco")


async def test_an_unknown_tenant_is_named_with_a_hint(database: Database, tenants: Tenants) -> None:
    with pytest.raises(
        TenantNotFoundError, match=r"^Tenant 'acme-corp' not found: plexica tenant create acme-corp$"
    ) as caught:
        await tenants.require(database, "acme-corp")

    assert caught.value.details == {
        "tenant": "acme-corp",
        "hint": "create it with platform.create_tenant('acme-corp'), or start the broker with PLEXICA_AUTO_INSTALL=yes",
    }


async def test_a_message_without_a_tenant_is_refused(database: Database, tenants: Tenants) -> None:
    with pytest.raises(InvalidRequestError, match=r"^Tenant ID required$"):
        await tenants.require(database, "_")


async def test_a_tenant_ensured_in_a_transaction_exists_within_it(database: Database, tenants: Tenants) -> None:
    async with database.transaction() as transaction:
        await tenants.ensure(transaction, "acme-corp")
        await tenants.require(transaction, "acme-corp")


async def test_a_removed_tenant_is_gone_with_its_data_but_not_its_revisions(
    database: Database, tenants: Tenants
) -> None:
    await tenants.create("acme-corp")
    async with database.transaction() as transaction:
        await transaction.execute(VALUE)
        await transaction.execute(REVISION)
    await tenants.remove("acme-corp")

    assert await tenants.list() == ()
    assert await database.rows("SELECT * FROM shared_values") == []
    assert [row["revision"] for row in await database.rows("SELECT * FROM data_revisions")] == [7]


async def test_removing_an_unknown_tenant_is_an_error(tenants: Tenants) -> None:
    with pytest.raises(TenantNotFoundError):
        await tenants.remove("acme-corp")


async def test_a_tenant_with_plugins_stays_and_they_are_named(database: Database, tenants: Tenants) -> None:
    await tenants.create("acme-corp")
    await install(database, "plugin-crm", "1.0.0")
    await install(database, "plugin-crm", "2.0.0")

    with pytest.raises(StillRequiredError, match=r"plugin-crm@1\.0\.0, plugin-crm@2\.0\.0") as caught:
        await tenants.remove("acme-corp")
    assert caught.value.details["blockedBy"] == [{"pluginId": "plugin-crm", "reason": "Installed in the tenant"}]
    assert await tenants.list() == ("acme-corp",)


async def test_force_removes_a_tenant_with_its_installations(database: Database, tenants: Tenants) -> None:
    await tenants.create("acme-corp")
    await install(database)
    await tenants.remove("acme-corp", force=True)

    assert await tenants.list() == ()
    assert await database.rows("SELECT * FROM installations") == []


async def test_a_hook_announces_within_the_removal(outbox: Outbox, tenants: Tenants) -> None:
    async def announce(transaction: Transaction, tenant: str) -> None:
        await outbox.add(transaction, exchange="registry", routing_key="a", type="x", tenant=tenant, body={})

    await tenants.create("acme-corp")
    tenants.before_removal(announce)
    await tenants.remove("acme-corp")

    assert [entry.tenant for entry in await outbox.pending(10)] == ["acme-corp"]


async def test_a_hook_that_raises_stops_the_removal(tenants: Tenants) -> None:
    async def refuse(transaction: Transaction, tenant: str) -> None:
        raise ZeroDivisionError(transaction, tenant)

    await tenants.create("acme-corp")
    tenants.before_removal(refuse)

    with pytest.raises(ZeroDivisionError):
        await tenants.remove("acme-corp")
    assert await tenants.list() == ("acme-corp",)

"""Shared data: every operation, and that row and announcement stand or fall together."""

from typing import Any

import pytest

from broker.outbox.store import Outbox
from broker.storage.database import Transaction
from contracts.errors import (
    InvalidRequestError,
    NotOwnerError,
    QuotaExceededError,
    StaleRevisionError,
    TenantNotFoundError,
)
from contracts.shared_data import SetRequest
from tests.unit.broker.shared import ANALYTICS, CRM, NAMESPACE, TENANT, Bench


@pytest.mark.parametrize("value", [None, 0, False, "", [], {"a": {"b": [1, 2.5, "ö"]}}, 2**70])
async def test_any_json_value_comes_back_as_it_was(bench: Bench, value: Any) -> None:
    await bench.set("a", value)

    assert await bench.get("a") == value


async def test_an_absent_value_is_told_apart_from_null(bench: Bench) -> None:
    await bench.set("a", None)

    assert (await bench.data.get(TENANT, NAMESPACE, "a", caller=CRM)) is not None
    assert (await bench.data.get(TENANT, NAMESPACE, "b", caller=CRM)) is None


async def test_a_value_is_answered_with_all_that_belongs_to_it(bench: Bench) -> None:
    await bench.set("a", 1250, ttl=60.0)
    bench.time += 10
    entry = await bench.data.get(TENANT, NAMESPACE, "a", caller=ANALYTICS)

    assert entry is not None
    assert entry.to_json() == {
        "namespace": "crm.cache",
        "key": "a",
        "value": 1250,
        "ownerId": "plugin-crm",
        "revision": 1,
        "expiresAt": 1060.0,
        "expiresIn": 50.0,
    }


async def test_the_revision_grows_by_one_with_every_change_in_the_namespace(bench: Bench) -> None:
    revisions = [await bench.set("a"), await bench.set("b"), await bench.set("a")]
    await bench.data.delete(TENANT, NAMESPACE, "b", caller=CRM)
    other = await bench.data.set(TENANT, "crm.other", "a", SetRequest(value=1), caller=CRM)

    assert (revisions, await bench.set("b"), other) == ([1, 2, 3], 5, 1)


async def test_a_write_is_announced_with_its_revision(bench: Bench) -> None:
    await bench.set("a", 1, ttl=60.0)
    await bench.set("a", 2, caller=ANALYTICS)
    (_, entry) = await bench.outbox.pending(10)

    assert (entry.exchange, entry.routing_key, entry.type, entry.tenant) == (
        "data",
        "acme-corp.crm.cache.a",
        "data.set",
        "acme-corp",
    )
    assert (await bench.announced())[1] == {
        "kind": "set",
        "namespace": "crm.cache",
        "key": "a",
        "value": 2,
        "valueOmitted": False,
        "ownerId": "plugin-analytics",
        "callerId": "plugin-analytics",
        "revision": 2,
        "oldRevision": 1,
        "expiresIn": None,
    }


async def test_overwriting_replaces_owner_value_and_expiry(bench: Bench) -> None:
    await bench.set("a", 1, ttl=60.0)
    await bench.set("a", 2, caller=ANALYTICS)
    bench.time += 1000
    entry = await bench.data.get(TENANT, NAMESPACE, "a", caller=CRM)

    assert entry is not None
    assert (entry.value, entry.owner_id, entry.expires_at) == (2, ANALYTICS, None)


async def test_a_value_beyond_32_kib_is_announced_as_a_note_to_fetch_it(bench: Bench) -> None:
    await bench.set("fits", "x" * (32 * 1024 - 2))
    await bench.set("large", "x" * (32 * 1024 - 1))
    fits, large = await bench.announced()

    assert (len(fits["value"]), fits["valueOmitted"]) == (32 * 1024 - 2, False)
    assert (large["value"], large["valueOmitted"]) == (None, True)
    assert len(await bench.get("large")) == 32 * 1024 - 1


async def test_a_write_that_fails_after_the_row_leaves_neither_row_nor_announcement(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "add", fail)
        with pytest.raises(ZeroDivisionError):
            await bench.set("a")

    assert await bench.data.get(TENANT, NAMESPACE, "a", caller=CRM) is None
    assert await bench.announced() == []
    assert await bench.set("a") == 1


async def test_a_write_that_fails_after_the_announcement_leaves_neither(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Outbox.add

    async def add_and_fail(self: Outbox, transaction: Transaction, **fields: Any) -> None:
        await real(self, transaction, **fields)
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "add", add_and_fail)
        with pytest.raises(ZeroDivisionError):
            await bench.set("a")

    assert await bench.data.get(TENANT, NAMESPACE, "a", caller=CRM) is None
    assert await bench.announced() == []


async def test_compare_and_set_writes_at_the_expected_revision(bench: Bench) -> None:
    first = await bench.set("a", 1, if_revision=0)
    second = await bench.set("a", 2, if_revision=first)

    assert (second, await bench.get("a")) == (2, 2)


async def test_a_lost_compare_and_set_changes_nothing(bench: Bench) -> None:
    await bench.set("a", 1)
    await bench.set("a", 2)

    with pytest.raises(StaleRevisionError) as caught:
        await bench.set("a", 3, if_revision=1)
    assert caught.value.details == {"expected": 1, "found": 2}
    assert await bench.get("a") == 2
    assert len(await bench.announced()) == 2


async def test_only_if_absent_is_refused_where_something_is(bench: Bench) -> None:
    await bench.set("a", None)

    with pytest.raises(StaleRevisionError):
        await bench.set("a", 1, if_revision=0)


async def test_expiry_is_exact_on_read(bench: Bench) -> None:
    await bench.set("a", 1, ttl=0.5)
    bench.time += 0.49
    assert await bench.get("a") == 1

    bench.time = 1000.5
    with pytest.raises(KeyError):
        await bench.get("a")


async def test_an_expired_value_that_is_read_is_announced_once(bench: Bench) -> None:
    await bench.set("a", 1, ttl=5.0)
    bench.time += 5
    for _ in range(2):
        await bench.data.get(TENANT, NAMESPACE, "a", caller=ANALYTICS)
    expired = (await bench.announced())[1]

    assert await bench.told() == [("set", "a", 1), ("expired", "a", 2)]
    assert (expired["ownerId"], expired["callerId"], expired["oldRevision"]) == (CRM, None, 1)


async def test_an_expired_value_that_is_overwritten_is_announced_before_the_new_one(bench: Bench) -> None:
    await bench.set("a", 1, ttl=5.0)
    bench.time += 5
    await bench.set("a", 2, if_revision=0)

    assert await bench.told() == [("set", "a", 1), ("expired", "a", 2), ("set", "a", 3)]
    assert (await bench.announced())[2]["oldRevision"] is None


async def test_the_namespaces_own_ttl_holds_where_the_writer_says_nothing(bench: Bench) -> None:
    bench.namespaces.declare(ttl=60.0)
    await bench.set("a", 1)
    await bench.set("b", 1, ttl=5.0)

    assert [change["expiresIn"] for change in await bench.announced()] == [60.0, 5.0]


async def test_delete_says_whether_there_was_something(bench: Bench) -> None:
    await bench.set("a", 1)
    found = [await bench.data.delete(TENANT, NAMESPACE, "a", caller=ANALYTICS) for _ in range(2)]
    deleted = (await bench.announced())[1]

    assert found == [True, False]
    assert (deleted["kind"], deleted["ownerId"], deleted["callerId"]) == ("deleted", CRM, ANALYTICS)


async def test_deleting_an_expired_value_is_false_and_announces_the_expiry(bench: Bench) -> None:
    await bench.set("a", 1, ttl=5.0)
    bench.time += 5

    assert await bench.data.delete(TENANT, NAMESPACE, "a", caller=CRM) is False
    assert await bench.told() == [("set", "a", 1), ("expired", "a", 2)]


async def test_keys_come_ascending_without_expired_ones(bench: Bench) -> None:
    for key in ("b", "a", "B", "a.c", "a_b"):
        await bench.set(key)
    await bench.set("gone", ttl=5.0)
    bench.time += 5
    page = await bench.data.keys(TENANT, NAMESPACE, caller=CRM)

    assert (page.keys, page.next) == (("B", "a", "a.c", "a_b", "b"), None)


async def test_keys_are_chosen_by_owner_and_prefix(bench: Bench) -> None:
    for key, caller in (("a.1", CRM), ("a.2", ANALYTICS), ("A.3", CRM), ("axb", CRM), ("b", CRM)):
        await bench.set(key, caller=caller)
    page = await bench.data.keys(TENANT, NAMESPACE, caller=CRM, owner_id=CRM, prefix="a.")

    assert page.keys == ("a.1",)


async def test_pages_follow_one_another_without_gap_or_repetition(bench: Bench) -> None:
    for key in "abcde":
        await bench.set(key)
    pages, after = [], ""
    while True:
        page = await bench.data.keys(TENANT, NAMESPACE, caller=CRM, after=after, limit=2)
        pages.append("".join(page.keys))
        if page.next is None:
            break
        after = page.next

    assert pages == ["ab", "cd", "e"]


async def test_clear_deletes_one_owners_values_and_counts_them(bench: Bench) -> None:
    for key, caller, ttl in (("a", CRM, None), ("b", ANALYTICS, None), ("c", CRM, 5.0), ("d", CRM, None)):
        await bench.set(key, caller=caller, ttl=ttl)
    bench.time += 5
    count = await bench.data.clear(TENANT, NAMESPACE, caller=ANALYTICS, owner_id=CRM)

    assert count == 2
    assert (await bench.told())[4:] == [("deleted", "a", 5), ("expired", "c", 6), ("deleted", "d", 7)]
    assert (await bench.data.keys(TENANT, NAMESPACE, caller=CRM)).keys == ("b",)


async def test_clear_without_an_owner_empties_the_namespace_alone(bench: Bench) -> None:
    await bench.set("a")
    await bench.data.set(TENANT, "crm.other", "a", SetRequest(value=1), caller=CRM)

    assert await bench.data.clear(TENANT, NAMESPACE, caller=CRM) == 1
    assert await bench.data.clear(TENANT, NAMESPACE, caller=CRM) == 0
    assert (await bench.data.keys(TENANT, "crm.other", caller=CRM)).keys == ("a",)


async def test_tenants_do_not_see_each_other(bench: Bench) -> None:
    await bench.tenants.create("techco")
    await bench.set("a", 1)

    assert await bench.data.get("techco", NAMESPACE, "a", caller=CRM) is None
    assert await bench.data.set("techco", NAMESPACE, "a", SetRequest(value=2), caller=CRM) == 1
    assert await bench.get("a") == 1


@pytest.mark.parametrize(("tenant", "error"), [("nobody", TenantNotFoundError), ("_", InvalidRequestError)])
async def test_no_operation_works_without_an_existing_tenant(bench: Bench, tenant: str, error: type[Exception]) -> None:
    place = (tenant, NAMESPACE)
    for operation in (
        lambda: bench.data.set(*place, "a", SetRequest(value=1), caller=CRM),
        lambda: bench.data.get(*place, "a", caller=CRM),
        lambda: bench.data.delete(*place, "a", caller=CRM),
        lambda: bench.data.keys(*place, caller=CRM),
        lambda: bench.data.clear(*place, caller=CRM),
        lambda: bench.data.check_watch(tenant, "crm.#", caller=CRM),
    ):
        with pytest.raises(error):
            await operation()


async def test_who_may_not_write_changes_nothing(bench: Bench) -> None:
    bench.namespaces.declare(write="owner")
    await bench.set("a", 1)
    place = (TENANT, NAMESPACE)
    for operation in (
        lambda: bench.set("a", 2, caller=ANALYTICS),
        lambda: bench.data.delete(*place, "a", caller=ANALYTICS),
        lambda: bench.data.clear(*place, caller=ANALYTICS),
    ):
        with pytest.raises(NotOwnerError):
            await operation()

    assert await bench.get("a") == 1
    assert len(await bench.announced()) == 1


async def test_who_may_not_read_neither_gets_lists_nor_watches(bench: Bench) -> None:
    bench.namespaces.declare(read="owner")
    await bench.set("a", 1, caller=ANALYTICS)
    for operation in (
        lambda: bench.data.get(TENANT, NAMESPACE, "a", caller=ANALYTICS),
        lambda: bench.data.keys(TENANT, NAMESPACE, caller=ANALYTICS),
        lambda: bench.data.check_watch(TENANT, "crm.cache.*", caller=ANALYTICS),
    ):
        with pytest.raises(NotOwnerError):
            await operation()

    await bench.data.check_watch(TENANT, "crm.cache.*", caller=CRM)


async def test_a_value_that_is_too_large_is_refused(bench: Bench) -> None:
    with pytest.raises(QuotaExceededError):
        await bench.set("a", "x" * 1024 * 1024)

    assert await bench.announced() == []


async def test_a_tenant_created_anew_does_not_go_back_to_old_revisions(bench: Bench) -> None:
    await bench.set("a")
    await bench.tenants.remove(TENANT)
    await bench.tenants.create(TENANT)

    assert await bench.set("a") == 2


async def test_what_a_plugin_wrote_last_goes_with_it(bench: Bench) -> None:
    await bench.set("a", caller=ANALYTICS)
    await bench.set("b", caller=CRM)
    await bench.data.set(TENANT, "crm.other", "c", SetRequest(value=1), caller=ANALYTICS)
    async with bench.database.transaction() as transaction:
        await bench.data.remove_written_by(transaction, TENANT, ANALYTICS)

    assert (await bench.told())[3:] == [("deleted", "a", 3), ("deleted", "c", 2)]
    assert (await bench.announced())[3]["callerId"] == "plugin-system"
    assert await bench.get("b") == 1

"""Sharing data: values that the plugins of a tenant write, read, follow and guard."""

import asyncio
import time
from typing import Any

import pytest

from broker.data import endpoints
from contracts.codec import encode
from contracts.errors import (
    CodedError,
    InvalidRequestError,
    NotOwnerError,
    QuotaExceededError,
    StaleRevisionError,
    TenantNotFoundError,
)
from contracts.shared_data import LARGEST_VALUE_BYTES
from plugin_runtime import Change, TenantClient
from plugin_runtime.data.client import DataClient
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import Ears, make_plugin
from tests.acceptance.world import ACME, GLOBEX, World, call_bytes, reply_of
from tests.waiting import eventually

CACHE = "crm.cache"
PRIVATE = {"namespace": "crm.private", "write": "owner", "read": "owner"}
SHOWN = {"namespace": "crm.shown", "write": "owner"}
LENT = {"namespace": "crm.lent", "write": ["plugin-marketing"], "read": ["plugin-marketing"]}
BRIEF = {"namespace": "crm.brief", "ttl": 0.3}


async def guarded(world: World) -> tuple[DataClient, DataClient, DataClient]:
    """Shared data as the owner of the namespaces, a plugin it trusts and any other plugin see it."""
    crm = make_plugin("crm", shared=(PRIVATE, SHOWN, LENT, BRIEF))
    clients = [await world.tenant(plugin) for plugin in (crm, make_plugin("marketing"), make_plugin("mallory"))]
    return clients[0].data, clients[1].data, clients[2].data


async def all_kinds(data: DataClient) -> None:
    """Set, delete and expire."""
    await data.set(CACHE, "a", 1)
    await data.delete(CACHE, "a")
    await data.set(CACHE, "b", 2, ttl=0.1)


def kinds(changes: list[Any]) -> list[tuple[str, str]]:
    return [(change.kind, change.key) for change in changes]


ALL_KINDS = [("set", "a"), ("deleted", "a"), ("set", "b"), ("expired", "b")]


# Set, get, delete, keys


async def test_value_is_read_by_another_plugin_as_it_was_written(world: World) -> None:
    crm, analytics = await world.tenant(make_plugin("crm")), await world.tenant()
    values: list[Any] = [1250, 0, 1.5, False, "", "é", [], {}, [None, {"deep": [0]}], None]
    for value in values:
        await crm.data.set(CACHE, "contact_count", value)
        found = await analytics.data.get(CACHE, "contact_count", "absent")

        assert (found, type(found)) == (value, type(value))


async def test_null_is_told_from_absence(world: World) -> None:
    acme = await world.tenant()
    await acme.data.set(CACHE, "empty", None)
    entry = await acme.data.entry(CACHE, "empty")

    assert entry is not None
    assert entry.value is None
    assert await acme.data.get(CACHE, "empty", "default") is None
    assert await acme.data.entry(CACHE, "never") is None
    assert await acme.data.get(CACHE, "never", "default") == "default"


async def test_entry_tells_owner_revision_and_expiry(world: World) -> None:
    crm = await world.tenant(make_plugin("crm"))
    revision = await crm.data.set(CACHE, "count", 1, ttl=60)
    entry = await crm.data.entry(CACHE, "count")

    assert entry is not None
    assert (entry.namespace, entry.key, entry.value) == (CACHE, "count", 1)
    assert (entry.owner_id, entry.revision) == ("plugin-crm", revision)
    assert entry.expires_in is not None
    assert 50 < entry.expires_in <= 60
    assert entry.expires_at is not None
    assert abs(entry.expires_at - time.time() - entry.expires_in) < 5


async def test_last_writer_owns_the_value(world: World) -> None:
    crm, analytics = await world.tenant(make_plugin("crm")), await world.tenant()
    first = await crm.data.set("system.flags", "new_ui", False, ttl=60)
    second = await analytics.data.set("system.flags", "new_ui", True)
    entry = await crm.data.entry("system.flags", "new_ui")

    assert entry is not None
    assert second == first + 1
    assert (entry.value, entry.owner_id, entry.expires_at) == (True, "plugin-analytics", None)


async def test_delete_tells_whether_there_was_something(world: World) -> None:
    acme = await world.tenant()
    await acme.data.set(CACHE, "count", 1)

    assert [await acme.data.delete(CACHE, "count"), await acme.data.delete(CACHE, "count")] == [True, False]
    assert await acme.data.entry(CACHE, "count") is None


async def test_keys_are_listed_in_ascending_order(world: World) -> None:
    crm, analytics = await world.tenant(make_plugin("crm")), await world.tenant()
    for key in ("b", "a.2", "a.10", "A"):
        await crm.data.set(CACHE, key, 1)
    await analytics.data.set(CACHE, "a.3", 1)

    assert await crm.data.keys(CACHE) == ["A", "a.10", "a.2", "a.3", "b"]
    assert await crm.data.keys(CACHE, owner="plugin-analytics") == ["a.3"]
    assert await crm.data.keys(CACHE, prefix="a.") == ["a.10", "a.2", "a.3"]
    assert await crm.data.keys("nobody.wrote") == []


async def test_keys_of_many_pages_are_listed_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "PAGE_SIZE", 10)
    acme = await world.tenant()
    wanted = [f"key-{number:04}" for number in range(25)]
    await asyncio.gather(*(acme.data.set(CACHE, key, 1) for key in wanted))

    assert await acme.data.keys(CACHE) == wanted


async def test_namespaces_do_not_share_keys(world: World) -> None:
    acme = await world.tenant()
    await acme.data.set("crm", "cache.count", 1)
    await acme.data.set("crm.cache", "count", 2)

    assert await acme.data.get("crm", "cache.count") == 1
    assert await acme.data.get("crm.cache", "count") == 2


async def test_tenants_do_not_share_values(world: World) -> None:
    runner = await world.connect(make_plugin("crm"), tenants=[ACME, GLOBEX])
    acme, globex = runner.tenant(ACME).data, runner.tenant(GLOBEX).data
    await acme.set(CACHE, "count", 1)
    await globex.set(CACHE, "count", 2)
    await globex.delete(CACHE, "count")

    assert [await acme.get(CACHE, "count"), await globex.keys(CACHE)] == [1, []]


async def test_values_outlive_the_broker(open_world: OpenWorld, tmp_path: Any) -> None:
    world = await open_world(store=tmp_path / "broker.db")
    acme = await world.tenant()
    revision = await acme.data.set(CACHE, "count", 1250)
    await world.stop_broker()
    await world.start_broker()
    entry = await acme.data.entry(CACHE, "count")

    assert entry is not None
    assert (entry.value, entry.revision) == (1250, revision)


# Expiry


async def test_expired_value_is_gone(world: World) -> None:
    acme = await world.tenant()
    await acme.data.set(CACHE, "brief", 1, ttl=0.2)
    await acme.data.set(CACHE, "lasting", 1)
    before = await acme.data.keys(CACHE)

    async def gone() -> bool:
        return await acme.data.entry(CACHE, "brief") is None

    await eventually(gone, 2)
    assert (before, await acme.data.keys(CACHE)) == (["brief", "lasting"], ["lasting"])


async def test_writing_anew_without_a_ttl_ends_the_expiry(world: World) -> None:
    acme = await world.tenant()
    async with acme.data.watch(f"{CACHE}.#") as changes:
        await acme.data.set(CACHE, "kept", 1, ttl=0.2)
        await acme.data.set(CACHE, "kept", 2)
        await acme.data.set(CACHE, "brief", 3, ttl=0.3)
        heard = [await asyncio.wait_for(anext(changes), 5) for _ in range(4)]

    assert kinds(heard) == [("set", "kept"), ("set", "kept"), ("set", "brief"), ("expired", "brief")]
    assert await acme.data.get(CACHE, "kept") == 2


async def test_namespace_says_how_long_values_live(world: World) -> None:
    owner, _, other = await guarded(world)
    await other.set("crm.brief", "by-rule", 1)
    await other.set("crm.brief", "by-hand", 1, ttl=60)
    entries = [await owner.entry("crm.brief", key) for key in ("by-rule", "by-hand")]

    assert [entry.expires_in is not None and entry.expires_in < 1 for entry in entries if entry] == [True, False]


async def test_ttl_that_is_no_time_is_refused(world: World) -> None:
    acme = await world.tenant()
    times: list[Any] = [0, -1, -0.5, "60", float("nan"), float("inf"), [1]]

    for ttl in times:
        with pytest.raises(InvalidRequestError):
            await acme.data.set(CACHE, "count", 1, ttl=ttl)
    assert await acme.data.keys(CACHE) == []


# Announcements


async def test_watch_hears_every_kind_of_change_in_order(world: World) -> None:
    crm, analytics = await world.tenant(make_plugin("crm")), await world.tenant()
    async with analytics.data.watch(f"{CACHE}.*") as changes:
        await all_kinds(crm.data)
        heard = [await asyncio.wait_for(anext(changes), 5) for _ in range(4)]

    assert kinds(heard) == ALL_KINDS
    assert [change.value for change in heard] == [1, None, 2, None]
    assert [change.owner for change in heard] == ["plugin-crm"] * 4
    first = heard[0].revision
    assert [change.revision for change in heard] == [first, first + 1, first + 2, first + 3]


async def test_expiry_is_announced_within_a_second(world: World) -> None:
    acme = await world.tenant()
    async with acme.data.watch(f"{CACHE}.*") as changes:
        await acme.data.set(CACHE, "brief", 1, ttl=0.3)
        await anext(changes)
        began = time.monotonic()
        change = await asyncio.wait_for(anext(changes), 5)

    assert change.kind == "expired"
    assert 0.1 < time.monotonic() - began < 1.3


async def test_watch_hears_its_own_pattern_only_and_nothing_once_it_ended(world: World) -> None:
    acme = await world.tenant()
    async with acme.data.watch("crm.cache.count"), acme.data.watch("crm.flags.#") as changes:
        await acme.data.set("crm.cache", "count", 1)
        await acme.data.set("crm.flags", "ui.new", 2)
        change = await asyncio.wait_for(anext(changes), 5)
    await acme.data.set("crm.flags", "ui.old", 3)

    assert (change.namespace, change.key, change.value) == ("crm.flags", "ui.new", 2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(changes), 0.2)


async def test_watch_that_ends_leaves_another_one_of_the_same_pattern_alone(world: World) -> None:
    acme = await world.tenant()
    async with acme.data.watch("crm.cache.#") as lasting:
        async with acme.data.watch("crm.cache.#"):
            pass
        await acme.data.set(CACHE, "count", 1)
        change = await asyncio.wait_for(anext(lasting), 3)

    assert change.value == 1


async def test_on_data_hears_every_kind_of_change(world: World) -> None:
    marketing = make_plugin("marketing")
    ears = Ears().on_data(marketing, f"{CACHE}.*")
    await world.connect(marketing)
    crm = await world.tenant(make_plugin("crm"))
    await all_kinds(crm.data)
    await eventually(lambda: len(ears.heard) == 4)
    change = min(ears.heard, key=lambda found: found.revision)

    assert sorted(kinds(ears.heard)) == sorted(ALL_KINDS)
    assert isinstance(change, Change)
    assert (change.namespace, change.value, change.owner, change.tenant.id) == (CACHE, 1, "plugin-crm", ACME)


async def test_on_data_keeps_changes_while_no_instance_runs(world: World) -> None:
    marketing = make_plugin("marketing")
    ears = Ears().on_data(marketing, f"{CACHE}.*")
    runner = await world.connect(marketing)
    crm = await world.tenant(make_plugin("crm"))
    await world.stop(runner)
    await crm.data.set(CACHE, "count", 1250)
    await world.connect(marketing)

    assert await eventually(lambda: [change.value for change in ears.heard] == [1250])


async def test_on_data_broadcast_reaches_every_instance(world: World) -> None:
    marketing = make_plugin("marketing")
    ears = Ears().on_data(marketing, f"{CACHE}.*", broadcast=True)
    await world.connect(marketing)
    await world.connect(marketing)
    crm = await world.tenant(make_plugin("crm"))
    await crm.data.set(CACHE, "count", 1250)

    assert await eventually(lambda: [change.value for change in ears.heard] == [1250, 1250])


async def test_changes_and_events_never_mix(world: World) -> None:
    marketing = make_plugin("marketing")
    events = Ears().on(marketing, "#", name="events")
    changes = Ears().on_data(marketing, "#", name="changes")
    await world.connect(marketing)
    crm = await world.tenant(make_plugin("crm"))
    await crm.data.set("crm.events", "contact.created", 1)
    await crm.emit("crm.events.contact.created", 2)
    await eventually(lambda: events.heard and changes.heard)

    assert [event.data for event in events.heard] == [2]
    assert [change.value for change in changes.heard] == [1]


async def test_change_of_one_tenant_is_not_heard_in_another(world: World) -> None:
    crm = await world.connect(make_plugin("crm"), tenants=[ACME, GLOBEX])
    acme, globex = crm.tenant(ACME).data, crm.tenant(GLOBEX).data
    async with acme.watch("#") as changes:
        await globex.set(CACHE, "count", "theirs")
        await acme.set(CACHE, "count", "ours")
        change = await asyncio.wait_for(anext(changes), 5)

    assert change.value == "ours"


async def test_large_value_is_announced_without_itself(world: World) -> None:
    acme = await world.tenant()
    large = "x" * (32 * 1024)  # with its quotes two bytes more than are announced
    async with acme.data.watch("#") as changes:
        await acme.data.set(CACHE, "large", large)
        await acme.data.set(CACHE, "whole", large[2:])
        without, whole = [await asyncio.wait_for(anext(changes), 5) for _ in range(2)]

    assert (without.value, without.value_omitted) == (None, True)
    assert (whole.value, whole.value_omitted) == (large[2:], False)
    assert await acme.data.get(CACHE, "large") == large


async def test_write_that_fails_announces_nothing(world: World) -> None:
    acme = await world.tenant()
    async with acme.data.watch("#") as changes:
        with pytest.raises(StaleRevisionError):
            await acme.data.set(CACHE, "count", 1, if_revision=7)
        await acme.data.delete(CACHE, "count")
        revision = await acme.data.set(CACHE, "count", 2)
        change = await asyncio.wait_for(anext(changes), 5)

    assert (change.value, change.revision) == (2, revision)


async def test_two_plugins_count_together_by_compare_and_set(world: World) -> None:
    async def count(acme: TenantClient) -> None:
        for _ in range(10):
            while True:
                entry = await acme.data.entry("workflow.state", "count")
                value, revision = (entry.value, entry.revision) if entry else (0, 0)
                try:
                    await acme.data.set("workflow.state", "count", value + 1, if_revision=revision)
                    break
                except StaleRevisionError:
                    continue

    crm, analytics = await world.tenant(make_plugin("crm")), await world.tenant()
    await asyncio.gather(count(crm), count(analytics))

    assert await crm.data.get("workflow.state", "count") == 20


# Refused


async def test_names_that_are_none_are_refused_before_anything_is_sent(world: World) -> None:
    runner = await world.connect(make_plugin("crm"))
    data = runner.tenant(ACME).data
    bad = ("", "a b", "a/b", "a..b", ".a", "é", "*", "a.#", "x" * 200)
    with world.sent_by(runner) as sent:
        for name in bad:
            for asking in (data.set(CACHE, name, 1), data.set(name, "key", 1), data.get(CACHE, name), data.keys(name)):
                with pytest.raises(InvalidRequestError):
                    await asking

    assert sent == []


async def test_watch_of_a_pattern_that_is_none_is_refused(world: World) -> None:
    acme = await world.tenant()

    for pattern in ("", "a..b", "crm.*x", "crm cache"):
        with pytest.raises(InvalidRequestError, match="pattern"):
            async with acme.data.watch(pattern):
                pass


async def test_value_that_is_no_json_is_refused(world: World) -> None:
    acme = await world.tenant()

    for value in (float("nan"), float("inf"), object(), {1, 2, object()}):
        with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
            await acme.data.set(CACHE, "count", value)


async def test_stale_revision_tells_what_was_expected_and_found(world: World) -> None:
    acme = await world.tenant()
    revision = await acme.data.set(CACHE, "count", 1)

    with pytest.raises(StaleRevisionError, match=f"expected revision 99, found revision {revision}") as caught:
        await acme.data.set(CACHE, "count", 2, if_revision=99)

    assert caught.value.details == {"expected": 99, "found": revision}
    with pytest.raises(StaleRevisionError, match="expected no value"):
        await acme.data.set(CACHE, "count", 2, if_revision=0)
    assert await acme.data.get(CACHE, "count") == 1


async def test_value_above_one_mebibyte_is_refused(world: World) -> None:
    acme = await world.tenant()
    largest = "x" * (LARGEST_VALUE_BYTES - 2)
    await acme.data.set(CACHE, "largest", largest)

    with pytest.raises(QuotaExceededError, match=f"at most {LARGEST_VALUE_BYTES} are allowed") as caught:
        await acme.data.set(CACHE, "larger", largest + "x")

    assert caught.value.details == {"limit": LARGEST_VALUE_BYTES, "found": LARGEST_VALUE_BYTES + 1}
    assert await acme.data.get(CACHE, "largest") == largest


async def test_stranger_may_neither_write_nor_read_what_its_owner_keeps(world: World) -> None:
    owner, trusted, other = await guarded(world)
    await owner.set("crm.private", "secret", 1)

    for data in (trusted, other):
        for asking in (
            data.set("crm.private", "secret", 2),
            data.get("crm.private", "secret"),
            data.delete("crm.private", "secret"),
            data.keys("crm.private"),
        ):
            with pytest.raises(NotOwnerError, match=r"namespace 'crm\.private' of plugin-crm has the rule"):
                await asking
    assert await owner.get("crm.private", "secret") == 1


async def test_namespace_may_be_shown_but_not_written(world: World) -> None:
    owner, _, other = await guarded(world)
    await owner.set("crm.shown", "count", 1)

    assert await other.get("crm.shown", "count") == 1
    with pytest.raises(NotOwnerError, match="'write: owner', found plugin-mallory") as caught:
        await other.set("crm.shown", "count", 2)
    assert caught.value.details["owner"] == "plugin-crm"


async def test_namespace_may_be_lent_to_named_plugins(world: World) -> None:
    owner, trusted, other = await guarded(world)
    await trusted.set("crm.lent", "count", 1)

    assert await owner.get("crm.lent", "count") == 1
    assert await trusted.get("crm.lent", "count") == 1
    with pytest.raises(NotOwnerError, match="plugin-mallory"):
        await other.get("crm.lent", "count")


async def test_watch_of_a_kept_namespace_is_refused(world: World) -> None:
    _, _, other = await guarded(world)

    for pattern in ("crm.private.secret", "crm.private.#", "crm.private.*"):
        with pytest.raises(NotOwnerError):
            async with other.watch(pattern):
                pass


@pytest.mark.parametrize("pattern", ["#", "crm.*.secret"])
async def test_kept_value_is_not_told_to_a_wider_watch_either(world: World, pattern: str) -> None:
    owner, _, other = await guarded(world)
    async with other.watch(pattern) as changes:
        await owner.set("crm.private", "secret", "s3cret")
        change = await asyncio.wait_for(anext(changes), 5)

    assert (change.value, change.value_omitted) == (None, True)
    assert await owner.get("crm.private", "secret") == "s3cret"


@pytest.mark.parametrize("pattern", ["crm.private.secret", "#"])
async def test_kept_value_is_not_told_to_a_subscription_either(world: World, pattern: str) -> None:
    mallory = make_plugin("mallory")
    ears = Ears().on_data(mallory, pattern)
    owner = await world.tenant(make_plugin("crm", shared=(PRIVATE,)))
    await world.connect(mallory)
    await owner.data.set("crm.private", "secret", "s3cret")
    await eventually(lambda: ears.heard)
    (change,) = ears.heard

    assert (change.value, change.value_omitted) == (None, True)
    with pytest.raises(NotOwnerError):
        await change.tenant.data.get("crm.private", "secret")


async def test_owner_rules_hold_where_the_plugin_is_installed(world: World) -> None:
    await world.connect(make_plugin("crm", shared=(PRIVATE,)), tenants=[ACME])
    globex = await world.tenant(make_plugin("mallory"), tenant=GLOBEX)

    assert await globex.data.set("crm.private", "free", 1)


async def test_unknown_tenant_is_not_found(world: World) -> None:
    data = (await world.connect(make_plugin("crm"))).tenant("nowhere").data

    for asking in (data.set(CACHE, "a", 1), data.get(CACHE, "a"), data.delete(CACHE, "a"), data.keys(CACHE)):
        with pytest.raises(TenantNotFoundError, match="Tenant 'nowhere' not found"):
            await asking
    with pytest.raises(TenantNotFoundError):
        async with data.watch("#"):
            pass


async def test_raw_requests_are_checked_as_well(world: World) -> None:
    """The runtime checks before it sends; a caller without our runtime is refused by the broker."""
    await world.tenant()
    for method, path, body in (
        ("PUT", "/data/crm.cache/a%20b", {"value": 1}),
        ("PUT", "/data/crm.cache/a", {}),
        ("PUT", "/data/crm.cache/a", {"value": 1, "ttl": 0}),
        ("PUT", "/data/crm.cache/a", {"value": 1, "ttl": "60"}),
        ("PUT", "/data/crm.cache/a", {"value": 1, "ifRevision": -1}),
        ("PUT", "/data/crm.cache/a", {"value": 1, "ownerId": "plugin-crm"}),
        ("PUT", "/data/crm.cache/a", None),
        ("GET", "/data/crm.%2A", None),
        ("PUT", "/watch", {"instanceId": "nobody", "pattern": "#"}),
        ("PUT", "/watch", {"instanceId": "a b", "pattern": "#"}),
    ):
        asked = call_bytes(method, path, body=body)
        answer = reply_of(await world.ask_raw(asked, key=f"{ACME}.system.data.1.0.0"))

        assert answer.error is not None, (method, path, body, answer)
        assert (answer.status, answer.error["code"]) == (400, "INVALID_REQUEST"), (method, path, body)


async def test_call_without_a_tenant_is_refused(world: World) -> None:
    acme = await world.tenant()
    answer = reply_of(
        await world.ask_raw(
            call_bytes("PUT", "/data/crm.cache/a", body={"value": 1}),
            key="_.system.data.1.0.0",
            headers={"x-tenant-id": "_"},
        )
    )

    assert answer.error is not None
    assert (answer.error["code"], answer.error["message"]) == ("INVALID_REQUEST", "Tenant ID required")
    assert await acme.data.keys(CACHE) == []


async def test_deeply_nested_value_is_refused_and_the_broker_goes_on(world: World) -> None:
    acme = await world.tenant()
    value: Any = 1
    for _ in range(500):
        value = [value]
    assert encode(value)

    with pytest.raises(CodedError, match="nest"):
        await acme.data.set(CACHE, "deep", value)

    assert await acme.data.keys(CACHE) == []

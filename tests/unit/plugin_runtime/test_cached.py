"""Calls that are answered from what is kept, and what ends that."""

import asyncio
from typing import Any

import pytest

from contracts.calls import CallMetadata, CallRequest, CallResult
from contracts.errors import CallTimeoutError, OverloadedError
from contracts.registry import Announcement, PluginAnnouncement, ServiceRecord, TenantAnnouncement
from plugin_runtime.calls.cached import CachedCalls
from plugin_runtime.calls.target import CacheRules, Target
from plugin_runtime.context import Context, Deadline
from tests.factories import endpoint_json

METADATA = CallMetadata(
    plugin="plugin-crm", service="crm.contacts", version="1.0.0", instance="i", duration_seconds=0.0
)
RECORD = ServiceRecord.parse(
    {
        "id": "crm.contacts@1.0.0",
        "pluginId": "plugin-crm",
        "serviceName": "crm.contacts",
        "version": "1.0.0",
        "status": "HEALTHY",
        "endpoints": [endpoint_json(metadata={"cacheTTL": 60})],
    }
)
CRM = Target("plugin-crm", "crm.contacts", "1.0.0", CacheRules.of(RECORD))


class Callee:
    """Counts its calls and answers with the count; one that is held answers when it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures: list[Exception] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def call(self, *_: Any, **__: Any) -> CallResult:
        self.calls += 1
        number = self.calls
        await self.goes_on.wait()
        if self.failures:
            raise self.failures.pop(0)
        return CallResult(status=200, headers={}, data=number, metadata=METADATA)


class Bench:
    """Cached calls of `plugin-analytics` and their callee."""

    def __init__(self) -> None:
        self.callee = Callee()
        self.cached = CachedCalls(self.callee, myself="plugin-analytics", clock=lambda: 0.0)

    async def call(
        self,
        method: str = "GET",
        *,
        tenant: str = "acme-corp",
        fresh: bool = False,
        timeout: float = 5.0,
        chain: tuple[str, ...] = (),
        body: Any = None,
    ) -> Any:
        found = await self.cached.call(
            tenant,
            CRM,
            CallRequest(method=method, path="/contacts", body=body),
            deadline=Deadline.after(timeout),
            context=Context(chain=chain),
            fresh=fresh,
        )
        return found.data

    async def under_way(self, *calls: Any) -> list["asyncio.Task[Any]"]:
        """The calls as tasks that have come as far as they can."""
        tasks = [asyncio.ensure_future(call) for call in calls]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks


async def test_an_equal_get_is_answered_without_a_call() -> None:
    bench = Bench()

    assert [await bench.call(), await bench.call()] == [1, 1]


async def test_fresh_asks_and_renews_what_is_kept() -> None:
    bench = Bench()

    assert [await bench.call(), await bench.call(fresh=True), await bench.call()] == [1, 2, 2]


async def test_a_get_with_a_body_is_not_kept() -> None:
    bench = Bench()

    assert [await bench.call(body=1), await bench.call(body=1)] == [1, 2]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_write_ends_what_is_kept_of_its_service_in_its_tenant(method: str) -> None:
    bench = Bench()
    await bench.call()
    await bench.call(tenant="globex")
    await bench.call(method)

    assert [await bench.call(tenant="globex"), await bench.call()] == [2, 4]


async def test_a_write_that_failed_ends_it_too() -> None:
    """It may have had its effect."""
    bench = Bench()
    await bench.call()
    bench.callee.failures.append(CallTimeoutError("no answer"))
    with pytest.raises(CallTimeoutError):
        await bench.call("POST")

    assert await bench.call() == 3


async def test_a_get_that_was_under_way_when_a_write_ended_is_not_kept() -> None:
    bench = Bench()
    bench.callee.goes_on.clear()
    reading, writing = await bench.under_way(bench.call(), bench.call("POST"))
    bench.callee.goes_on.set()
    await asyncio.gather(reading, writing)

    assert await bench.call() == 3


async def test_many_equal_gets_at_once_are_one_call() -> None:
    bench = Bench()
    bench.callee.goes_on.clear()
    calls = await bench.under_way(*(bench.call() for _ in range(10)))
    bench.callee.goes_on.set()

    assert await asyncio.gather(*calls) == [1] * 10
    assert bench.callee.calls == 1


async def test_who_waits_for_another_call_ends_at_its_own_deadline() -> None:
    bench = Bench()
    bench.callee.goes_on.clear()
    (first,) = await bench.under_way(bench.call())

    with pytest.raises(CallTimeoutError, match=r"GET crm\.contacts /contacts for acme-corp"):
        await bench.call(timeout=0.05)
    bench.callee.goes_on.set()
    assert await first == 1


async def test_a_call_that_fails_or_is_cancelled_leaves_the_others_to_themselves() -> None:
    bench = Bench()
    bench.callee.goes_on.clear()
    first, second = await bench.under_way(bench.call(), bench.call())
    bench.callee.failures.append(OverloadedError("full"))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    bench.callee.goes_on.set()

    with pytest.raises(OverloadedError):
        await second
    assert bench.callee.calls == 2
    assert await bench.call() == 3


async def test_a_call_in_a_circle_does_not_wait_for_the_one_that_set_it_going() -> None:
    bench = Bench()
    bench.callee.goes_on.clear()
    outer, inner = await bench.under_way(bench.call(), bench.call(chain=("crm.contacts",)))

    assert bench.callee.calls == 2
    bench.callee.goes_on.set()
    await asyncio.gather(outer, inner)


def plugin_announced(plugin: str, change: Any = "upgraded") -> PluginAnnouncement:
    return PluginAnnouncement(change=change, revision=1, tenant="acme-corp", plugin_id=plugin, version="1.0.0")


@pytest.mark.parametrize(
    ("announcement", "tenants_kept"),
    [
        (plugin_announced("plugin-crm", "uninstalled"), ["globex"]),
        (plugin_announced("plugin-analytics", "installed"), ["globex"]),
        (plugin_announced("plugin-billing"), ["acme-corp", "globex"]),
        (TenantAnnouncement(change="removed", revision=1, tenant="globex"), ["acme-corp"]),
    ],
    ids=["its plugin", "the caller", "another plugin", "a tenant"],
)
async def test_an_announcement_ends_what_it_may_have_changed(
    announcement: Announcement, tenants_kept: list[str]
) -> None:
    bench = Bench()
    tenants = ["acme-corp", "globex"]
    before = {tenant: await bench.call(tenant=tenant) for tenant in tenants}

    bench.cached.heed(announcement)

    assert [tenant for tenant in tenants if await bench.call(tenant=tenant) == before[tenant]] == tenants_kept


async def test_clearing_ends_everything() -> None:
    bench = Bench()
    await bench.call()
    bench.cached.clear()

    assert await bench.call() == 2

"""`broker.testing` as the author of a plugin uses it."""

import asyncio
import contextlib
import itertools
import statistics
import time

import pytest

from broker.testing import StartBus, bus, buses, running
from contracts.errors import MissingQueueError, NotRunningError, RemoteError
from plugin_runtime import Call, Event, Plugin, Reject
from plugin_runtime.testing import PublishedEvent, VirtualClock
from tests.acceptance.plugins import Ears, make_crm, make_plugin, need

ACME = "acme-corp"
CREATED = "crm.events.contact.created"


def failing(*errors: Exception) -> tuple[Plugin, list[int]]:
    """A plugin whose handler raises one error after the other, then none; and the attempts it saw."""
    plugin, attempts, left = make_plugin("billing"), [], list(errors)

    @plugin.on(CREATED, name="open-account")
    async def open_account(event: Event) -> None:
        attempts.append(event.attempt)
        if left:
            raise left.pop(0)

    return plugin, attempts


async def test_plugins_may_be_given_in_any_order() -> None:
    marketing = make_plugin("marketing", needs=(need("crm", service="crm.contacts"),))

    async with running(marketing, make_crm("served"), tenants=[ACME, "globex"]):
        answers = [
            await marketing.tenant(tenant).service("crm.contacts").get("/contacts") for tenant in (ACME, "globex")
        ]

    assert answers == ["served", "served"]


async def test_what_the_body_raises_travels_on_as_it_is() -> None:
    crm = make_crm()

    with pytest.raises(ZeroDivisionError):
        async with running(crm):
            raise ZeroDivisionError

    with pytest.raises(NotRunningError):
        crm.tenant(ACME)


async def test_a_failing_or_skipped_test_is_shown_as_such() -> None:
    for outcome, ends in ((pytest.fail.Exception, pytest.fail), (pytest.skip.Exception, pytest.skip)):
        with pytest.raises(outcome):
            async with running():
                ends("as said")


async def test_events_are_kept_in_order_and_attempts_are_not_counted() -> None:
    crm = make_crm()
    billing, attempts = failing(ConnectionError("away"))
    async with running(crm, billing, tenants=[ACME], clock=VirtualClock()) as bus:
        for number in (1, 2):
            await crm.tenant(ACME).emit(CREATED, {"number": number})
        await bus.advance(10)

        assert sorted(attempts) == [1, 1, 2]
        assert bus.events == tuple(
            PublishedEvent(key=CREATED, tenant=ACME, data={"number": number}, publisher="plugin-crm")
            for number in (1, 2)
        )


async def test_hopeless_event_is_a_dead_letter_at_once() -> None:
    crm = make_crm()
    billing, _ = failing(Reject("no such ledger"))
    async with running(crm, billing, tenants=[ACME]) as bus:
        await crm.tenant(ACME).emit(CREATED, {"number": 1})
        await bus.settle()
        (letter,) = bus.dead_letters(billing)

    assert (letter.key, letter.tenant, letter.data) == (CREATED, ACME, {"number": 1})
    assert (letter.error, letter.error_type, letter.attempt) == ("no such ledger", "Reject", 1)
    assert (letter.subscription, letter.publisher) == ("open-account", "plugin-crm")


async def test_dead_letters_of_a_plugin_that_was_never_there_are_an_error() -> None:
    async with bus() as empty:
        with pytest.raises(MissingQueueError, match=r"dead\.plugin-nobody"):
            empty.dead_letters("plugin-nobody")


async def test_time_passes_moment_by_moment_for_handlers_that_wait_for_the_store() -> None:
    crm, billing, moments, clock = make_crm(), make_plugin("billing"), [], VirtualClock()

    @billing.on(CREATED, name="open-account")
    async def open_account(event: Event) -> None:
        moments.append(clock.now())
        await event.tenant.data.set("billing.cache", "attempts", event.attempt)
        raise ConnectionError

    async with running(crm, billing, tenants=[ACME], clock=clock) as bus:
        await crm.tenant(ACME).emit(CREATED, {})
        await bus.advance(3600)

        assert len(bus.dead_letters(billing)) == 1
        assert await billing.tenant(ACME).data.get("billing.cache", "attempts") == 5

    waits = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert waits == [pytest.approx(delay, rel=0.21) for delay in (1, 5, 30, 300)]


async def test_shared_data_expires_and_plugins_stay_healthy_in_virtual_time() -> None:
    crm = make_crm()
    ears = Ears().on_data(crm, "crm.cache.*")
    async with running(crm, tenants=[ACME], clock=VirtualClock()) as bus:
        acme = crm.tenant(ACME)
        await acme.data.set("crm.cache", "count", 1, ttl=3600)
        await bus.advance(3599)
        assert await acme.data.get("crm.cache", "count") == 1
        await bus.advance(2)

        assert await acme.data.get("crm.cache", "count") is None
        assert [change.kind for change in ears.heard] == ["set", "expired"]
        assert [service.status for service in await acme.registry.list()] == ["HEALTHY"]


async def test_real_time_is_not_advanced() -> None:
    async with bus() as real:
        with pytest.raises(RuntimeError, match=r"start it with clock=VirtualClock\(\)"):
            await real.advance(1)


async def test_settling_waits_for_handlers_and_what_they_set_going() -> None:
    crm, billing, audit = make_crm(), make_plugin("billing"), make_plugin("audit")
    heard = Ears().on(audit, "billing.events.opened")

    @billing.on(CREATED, name="open-account")
    async def open_account(event: Event) -> None:
        await asyncio.to_thread(time.sleep, 0.05)
        await event.tenant.emit("billing.events.opened", event.data)

    async with running(crm, billing, audit, tenants=[ACME]) as bus:
        await crm.tenant(ACME).emit(CREATED, {})
        await bus.settle()

        assert heard.keys == ["billing.events.opened"]


async def test_what_does_not_settle_is_named() -> None:
    crm, billing, released = make_crm(), make_plugin("billing"), asyncio.Event()

    @billing.on(CREATED, name="open-account")
    async def open_account(_event: Event) -> None:
        await released.wait()

    async with running(crm, billing, tenants=[ACME]) as bus:
        await crm.tenant(ACME).emit(CREATED, {})
        with pytest.raises(TimeoutError, match=r"events\.plugin-billing\.open-account: 0 ready, 1 being handled"):
            await bus.settle(timeout=0.05)
        released.set()
        await bus.settle()


async def test_a_handler_that_fails_is_seen_by_its_caller() -> None:
    crm = make_plugin("crm", "GET /contacts")

    @crm.service("crm.contacts").get("/contacts")
    async def contacts(_call: Call) -> None:
        raise KeyError("missing")

    async with running(crm, tenants=[ACME]):
        with pytest.raises(RemoteError, match="KeyError"):
            await crm.tenant(ACME).service("crm.contacts").get("/contacts")


async def test_the_environment_of_a_plugin_process_is_of_no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXICA_PREFIX", "staging.")
    monkeypatch.setenv("PLEXICA_LEASE_SECONDS", "0.1")
    crm = make_crm("served")

    async with asyncio.timeout(5), running(crm, tenants=[ACME]):
        assert await crm.tenant(ACME).service("crm.contacts").get("/contacts") == "served"


async def test_the_fixture_starts_several_buses(plexica: StartBus) -> None:
    crm, other = make_crm("one"), make_crm("two")
    first = await plexica(crm, tenants=[ACME])
    second = await plexica(other, tenants=[ACME])

    assert first.vhost is not second.vhost
    assert await crm.tenant(ACME).service("crm.contacts").get("/contacts") == "one"
    assert await other.tenant(ACME).service("crm.contacts").get("/contacts") == "two"


async def test_buses_end_with_their_context_also_when_one_could_not_start() -> None:
    crm, incomplete = make_crm(), make_plugin("billing", "GET /invoices")
    async with buses() as start:
        await start(crm, tenants=[ACME])
        with pytest.raises(Exception, match="lists endpoints that no handler answers: GET /invoices"):
            await start(incomplete)

    with pytest.raises(NotRunningError):
        crm.tenant(ACME)
    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_start_that_is_cancelled_leaves_nothing_behind() -> None:
    async with buses() as start:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await start(make_crm(), tenants=[ACME])

    assert [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_the_fixture_of_another_loop_is_told() -> None:
    async with buses() as start:

        def elsewhere() -> None:
            asyncio.run(start())

        with pytest.raises(RuntimeError, match="lives in another event loop"):
            await asyncio.to_thread(elsewhere)


async def test_starting_takes_a_fraction_of_importing() -> None:
    """About 20 ms where nothing else runs; `benchmarks.start_up` measures it."""
    crm, seconds = make_crm(), []
    for _ in range(5):
        began = time.perf_counter()
        async with running(crm, tenants=[ACME]):
            seconds.append(time.perf_counter() - began)

    assert statistics.median(seconds) < 0.25

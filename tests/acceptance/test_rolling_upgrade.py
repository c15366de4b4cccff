"""Versions side by side and one after the other in one tenant: callers get theirs, and messages only where needed."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from plugin_runtime import Call, Plugin, Runner
from plugin_runtime.calls.server import CallServer
from plugin_runtime.transport.base import QueueDepth
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import make_plugin, need
from tests.acceptance.world import ACME, GLOBEX, World
from tests.traffic import SERVICE, Traffic
from tests.waiting import eventually

STEP_SECONDS = 0.15
STAYS = "1.0.0"
"""A version of the service that the plugin's versions share, and with it one queue."""


def make_versioned(
    version: str, ran: list[str] | None = None, *, gate: asyncio.Event | None = None, service_version: str | None = None
) -> Plugin:
    """A CRM that answers with its version, and keeps the ids of the POSTs that it ran, once the gate is open."""
    crm = make_plugin("crm", "GET /contacts", "POST /contacts", version=version, service_version=service_version)
    contacts = crm.service(SERVICE)

    @contacts.get("/contacts")
    async def look(_call: Call) -> str:
        return version

    @contacts.post("/contacts")
    async def create(call: Call) -> str:
        if gate is not None:
            await gate.wait()
        if ran is not None:
            ran.append(call.body["id"])
        await asyncio.sleep(0.005)
        return version

    return crm


async def connect_callers(world: World, *ranges: str) -> list[Runner]:
    """A caller for each range; what they call is not missed while it is away."""
    return [
        await world.connect(make_plugin(f"caller-{number}", needs=(need("crm", range_, SERVICE, required=False),)))
        for number, range_ in enumerate(ranges)
    ]


async def test_rolling_upgrade_under_load_is_not_noticed_by_any_caller(world: World) -> None:
    """200 calls a second, a third of them POSTs; three instances of 1.4.0 give way to three of 1.5.0."""
    ran, traffic = list[str](), Traffic()
    old = [await world.connect(make_versioned("1.4.0", ran)) for _ in range(3)]
    callers = await connect_callers(world, *["^1.4.0"] * 4)

    async with traffic.flowing([caller.tenant(ACME) for caller in callers]):
        await asyncio.sleep(STEP_SECONDS)
        for _ in range(3):
            await world.connect(make_versioned("1.5.0", ran))
        for instance in old:
            await asyncio.sleep(STEP_SECONDS)
            await world.stop(instance)
        await asyncio.sleep(STEP_SECONDS)

    assert traffic.failures == Counter()
    assert sorted(ran) == sorted(traffic.posted), "every POST was run once, and its caller told"
    assert (traffic.answers[0], traffic.answers[-1]) == ("1.4.0", "1.5.0")
    assert set(traffic.answers) == {"1.4.0", "1.5.0"}


async def test_all_old_instances_may_stop_together_once_the_new_ones_serve(world: World) -> None:
    """What waits in their queue is run by the last of them, whoever that turns out to be."""
    ran, traffic = list[str](), Traffic()
    old = [await world.connect(make_versioned("1.4.0", ran)) for _ in range(3)]
    callers = await connect_callers(world, "^1.4.0")

    async with traffic.flowing([caller.tenant(ACME) for caller in callers]):
        await asyncio.sleep(STEP_SECONDS)
        await world.connect(make_versioned("1.5.0", ran))
        await asyncio.gather(*(world.stop(instance) for instance in old))
        await asyncio.sleep(STEP_SECONDS)

    assert traffic.failures == Counter()
    assert sorted(ran) == sorted(traffic.posted)


async def test_new_instances_may_come_before_the_upgrade_though_they_share_the_queue(open_world: OpenWorld) -> None:
    """Their version is installed nowhere yet, but RabbitMQ hands them calls as soon as they consume."""
    world, ran, traffic = await open_world(auto_install=False), list[str](), Traffic()
    old = [await world.connect(make_versioned("1.4.0", ran, service_version=STAYS)) for _ in range(3)]
    (caller,) = await connect_callers(world, "^1.0.0")
    console = await world.connect(make_plugin("console"))
    await console.platform.create_tenant(ACME)
    deploying = console.tenant(ACME).dependencies
    for plugin in ("plugin-crm", "plugin-caller-0"):
        await deploying.install(plugin)

    async with traffic.flowing([caller.tenant(ACME)]):
        for _ in range(3):
            await world.connect(make_versioned("1.5.0", ran, service_version=STAYS))
        await asyncio.sleep(STEP_SECONDS)
        await deploying.upgrade("plugin-crm")
        for instance in old:
            await asyncio.sleep(STEP_SECONDS)
            await world.stop(instance)

    assert traffic.failures == Counter()
    assert sorted(ran) == sorted(traffic.posted)
    assert (traffic.answers[-1], set(traffic.answers)) == ("1.5.0", {"1.4.0", "1.5.0"})


async def test_a_canary_shares_its_queue_with_the_tenants_that_stay(world: World) -> None:
    """One tenant is on 1.5.0, the other on 1.4.0; instances of both take the calls of both."""
    ran, both = list[str](), [ACME, GLOBEX]
    await world.connect(make_versioned("1.4.0", ran, service_version=STAYS), tenants=both)
    caller = await world.connect(make_plugin("shop", calls=(SERVICE,)), tenants=both)
    await world.connect(make_versioned("1.5.0", ran, service_version=STAYS), tenants=[ACME])
    canary, other = Traffic(), Traffic()

    async with canary.flowing([caller.tenant(ACME)]), other.flowing([caller.tenant(GLOBEX)]):
        await asyncio.sleep(4 * STEP_SECONDS)

    assert (canary.failures, other.failures) == (Counter(), Counter())
    assert (set(canary.answers), set(other.answers)) == ({"1.4.0", "1.5.0"}, {"1.4.0", "1.5.0"})
    assert len(ran) == len(canary.posted) + len(other.posted)


async def test_a_tenant_that_loses_the_service_is_answered_by_no_version_of_it(world: World) -> None:
    runner = await world.connect(make_versioned("1.4.0", service_version=STAYS))
    await world.connect(make_versioned("1.5.0", service_version=STAYS), tenants=[GLOBEX])
    console = await world.connect(make_plugin("console"), tenants=[GLOBEX])
    assert await runner._installations.serves(GLOBEX, SERVICE)

    await console.tenant(GLOBEX).dependencies.uninstall("plugin-crm")
    await world.settled()

    await eventually(lambda: GLOBEX not in runner._installations._serving[SERVICE])
    assert await runner._installations.serves(ACME, SERVICE)


async def test_two_majors_serve_their_own_callers_in_one_tenant_without_a_word_to_the_broker(world: World) -> None:
    for version in ("1.4.0", "1.4.0", "2.0.0"):
        await world.connect(make_versioned(version))
    callers = await connect_callers(world, "^1.0.0", "^2.0.0", ">=1")
    first, second, latest = (caller.tenant(ACME).service(SERVICE) for caller in callers)

    with world.sent_by(callers[0]) as sent:
        answers = [await asyncio.gather(first.get("/contacts"), second.get("/contacts")) for _ in range(20)]

    assert answers == [["1.4.0", "2.0.0"]] * 20
    assert await latest.get("/contacts") == "2.0.0"
    assert {one.routing_key for one in sent} == {f"{ACME}.{SERVICE}.1.4.0"}


async def test_a_new_version_costs_each_caller_one_question(world: World) -> None:
    """What an announcement cannot tell is whether a version that was never seen is installed here."""
    await world.connect(make_versioned("1.4.0"))
    (caller,) = await connect_callers(world, "^1.0.0")
    contacts = caller.tenant(ACME).service(SERVICE)
    await contacts.get("/contacts")

    with world.sent_by(caller) as sent:
        await world.connect(make_versioned("2.0.0"))
        for _ in range(20):
            assert await contacts.get("/contacts") == "1.4.0"

    assert [one.routing_key for one in sent if "system" in one.routing_key] in ([], [f"{ACME}.system.registry.1.0.0"])


def look_together(transports: list[Any], gate: asyncio.Event) -> None:
    """The first looks at the queue's depth end at the same moment; after that the gate is open."""
    together = asyncio.Barrier(len(transports))

    for transport in transports:
        looking, original = [together], transport.depth

        async def depth(name: str, looking: Any = looking, original: Any = original) -> QueueDepth:
            found = await original(name)
            if looking:
                await looking.pop().wait()
                gate.set()
            return found  # type: ignore[no-any-return]

        transport.depth = depth


async def test_what_waits_is_run_though_all_instances_stop_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sees the other consume and leaves the queue to it; the calls in it must not wait for nobody."""
    monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")
    monkeypatch.setattr(CallServer, "prefetch", 4)
    ran, gate = list[str](), asyncio.Event()
    last = [await world.connect(make_versioned("1.4.0", ran, gate=gate)) for _ in range(2)]
    (caller,) = await connect_callers(world, "^1.4.0")
    contacts = caller.tenant(ACME).service(SERVICE)
    posts = [asyncio.create_task(contacts.post("/contacts", body={"id": str(number)})) for number in range(60)]
    queue = world.topology.call_queue(SERVICE, "1.4.0").name

    async def are_waiting() -> bool:
        return await world.depth(queue) == 60 - 2 * 4

    await eventually(are_waiting)
    look_together([instance._transport for instance in last], gate)
    stopping = asyncio.gather(*(world.stop(instance) for instance in last))
    await stopping

    assert await asyncio.wait_for(asyncio.gather(*posts), 5) == ["1.4.0"] * 60
    assert sorted(ran, key=int) == [str(number) for number in range(60)]

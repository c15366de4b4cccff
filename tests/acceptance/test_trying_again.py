"""A call that surely was not run is made again; one that may have run is not, unless it may run twice."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts import topology
from contracts.calls import METHODS
from contracts.errors import OutcomeUnknownError, RateLimitedError, ServiceNotFoundError
from contracts.grants import GRANT_SECONDS
from plugin_runtime import Call, Plugin, Runner
from plugin_runtime.calls import server
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import make_caller, make_plugin
from tests.acceptance.world import ACME, LEASE_SECONDS, World
from tests.waiting import eventually

SERVICE = "crm.contacts"
BROKER = f"{ACME}.system.registry.1.0.0"


def make_versioned(version: str, *, started: list[str] | None = None, stuck: bool = False) -> Plugin:
    """A CRM that answers every method with its version, and keeps the methods that it ran."""
    crm = make_plugin("crm", *(f"{method} /contacts" for method in sorted(METHODS)), version=version)
    contacts = crm.service(SERVICE)

    async def answer(call: Call) -> str:
        if started is not None:
            started.append(call.method)
        if stuck:
            await asyncio.Event().wait()
        return version

    for method in sorted(METHODS):
        getattr(contacts, method.lower())("/contacts")(answer)
    return crm


def keys(*versions: str) -> list[str]:
    return [f"{ACME}.{SERVICE}.{version}" for version in versions]


async def behind(world: World) -> Runner:
    """A caller that believes in 1.4.0 while 1.5.0 has taken its place and nobody is bound to 1.4.0 any more."""
    await world.connect(make_versioned("1.4.0"))
    caller = await world.connect(make_caller())
    assert await caller.tenant(ACME).service(SERVICE).get("/contacts") == "1.4.0"
    world.deafen(caller)
    await world.connect(make_versioned("1.5.0"))
    return caller


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_call_to_a_version_that_was_replaced_goes_to_the_new_one(world: World, method: str) -> None:
    caller = await behind(world)

    with world.sent_by(caller) as sent:
        result = await caller.tenant(ACME).service(SERVICE).request(method, "/contacts")

    assert (result.data, result.metadata.version) == ("1.5.0", "1.5.0")
    assert [one.routing_key for one in sent] == [*keys("1.4.0"), BROKER, *keys("1.5.0")]


async def test_many_calls_that_find_nobody_ask_the_broker_once(world: World) -> None:
    caller = await behind(world)
    contacts = caller.tenant(ACME).service(SERVICE)

    with world.sent_by(caller) as sent:
        answers = await asyncio.gather(*(contacts.post("/contacts") for _ in range(50)))

    assert answers == ["1.5.0"] * 50
    assert [one.routing_key for one in sent].count(BROKER) <= 2


async def test_call_that_finds_nobody_ends_at_once_when_the_broker_knows_of_nobody(world: World) -> None:
    crm = await world.connect(make_versioned("1.4.0"))
    caller = await world.connect(make_caller())
    world.deafen(caller)
    await world.stop(crm)
    began = time.monotonic()

    with world.sent_by(caller) as sent, pytest.raises(ServiceNotFoundError):
        await caller.tenant(ACME).service(SERVICE).post("/contacts")
    assert time.monotonic() - began < 1
    assert [one.routing_key for one in sent] == [*keys("1.4.0"), BROKER]


async def test_call_that_finds_nobody_fails_as_such_while_the_broker_is_away(world: World) -> None:
    """Before its deadline: that it was not run is known, and stays known."""
    caller = await behind(world)
    await world.stop_broker()
    began = time.monotonic()

    with pytest.raises(ServiceNotFoundError):
        await caller.tenant(ACME).service(SERVICE).post("/contacts", timeout=1)
    assert time.monotonic() - began < 0.9
    await world.start_broker()


async def test_call_that_an_instance_refuses_for_its_tenant_is_run_by_another(world: World) -> None:
    """The one that heard of an uninstallation first; 1.4.0 is asked for again since the broker still shows it."""
    ran: list[str] = []
    left = await world.connect(make_versioned("1.4.0", started=ran))
    await world.connect(make_versioned("1.4.0", started=ran))
    contacts = (await world.tenant()).service(SERVICE)
    world.evict(left)

    assert await asyncio.gather(*(contacts.post("/contacts") for _ in range(2))) == ["1.4.0"] * 2
    assert ran == ["POST"] * 2


async def test_call_that_everybody_refuses_is_made_three_times_in_all(world: World) -> None:
    crm = await world.connect(make_versioned("1.4.0"))
    caller = await world.connect(make_caller())
    world.evict(crm)

    with world.sent_by(caller) as sent, pytest.raises(ServiceNotFoundError):
        await caller.tenant(ACME).service(SERVICE).post("/contacts")
    assert [one.routing_key for one in sent if one.routing_key != BROKER] == keys("1.4.0", "1.4.0", "1.4.0")


async def test_post_of_a_dead_instance_is_not_made_again_though_the_next_one_left_the_tenant(world: World) -> None:
    """It may have been run: that comes before the answer that promises that nothing was."""
    ran: list[str] = []
    dying = await world.connect(make_versioned("1.4.0", started=ran, stuck=True))
    contacts = (await world.tenant()).service(SERVICE)
    writing = asyncio.ensure_future(contacts.post("/contacts"))
    await eventually(lambda: ran)
    world.evict(await world.connect(make_versioned("1.4.0", started=ran)))
    await world.crash(dying)

    with pytest.raises(OutcomeUnknownError, match="it is not run twice"):
        await asyncio.wait_for(writing, 5)
    assert ran == ["POST"]


async def test_post_of_a_dead_instance_is_not_made_again_though_its_grant_ended_meanwhile(world: World) -> None:
    """The next instance would refuse the grant, and the caller would get another and post once more."""
    ran: list[str] = []
    dying = await world.connect(make_versioned("1.4.0", started=ran, stuck=True))
    contacts = (await world.tenant()).service(SERVICE)
    writing = asyncio.ensure_future(contacts.post("/contacts"))
    await eventually(lambda: ran)
    next_one = await world.connect(make_versioned("1.4.0", started=ran))
    next_one._server._admission._gate._now = lambda: time.time() + GRANT_SECONDS + 60
    await world.crash(dying)

    with pytest.raises(OutcomeUnknownError, match="it is not run twice"):
        await asyncio.wait_for(writing, 5)
    assert ran == ["POST"]


async def test_callers_of_a_version_that_died_go_to_another_if_they_may(open_world: OpenWorld) -> None:
    """After a presence announcement: GET, PUT and DELETE once more, POST and PATCH never."""
    world = await open_world(lease_seconds=LEASE_SECONDS, heartbeat_seconds=LEASE_SECONDS / 4)
    ran: list[str] = []
    await world.connect(make_versioned("1.4.0"))
    dying = await world.connect(make_versioned("2.0.0", started=ran, stuck=True))
    contacts = (await world.tenant()).service(SERVICE)
    methods = ("GET", "PUT", "DELETE", "POST", "PATCH")
    calls = [asyncio.ensure_future(contacts.request(method, "/contacts")) for method in methods]
    await eventually(lambda: len(ran) == len(methods))
    await world.crash(dying)

    found: list[Any] = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)

    assert [one.data for one in found[:3]] == ["1.4.0"] * 3
    assert [type(one) for one in found[3:]] == [OutcomeUnknownError] * 2


async def test_post_that_a_full_queue_did_not_take_is_made_again_and_run_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "CALL_QUEUE_LENGTH", 2)
    monkeypatch.setattr(server, "ROOM_PER_WORKER", 1)
    monkeypatch.setattr(server, "REFUSED_AT_ONCE", 1)
    monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")
    ran, goes_on = Counter[str](), asyncio.Event()
    crm = make_plugin("crm", "POST /contacts")

    @crm.service(SERVICE).post("/contacts")
    async def create(call: Call) -> str:
        ran[call.body] += 1
        await goes_on.wait()
        return str(call.body)

    await world.connect(crm)
    caller = await world.connect(make_caller())
    contacts = caller.tenant(ACME).service(SERVICE)
    with capture_logs() as logs:
        calls = [asyncio.ensure_future(contacts.post("/contacts", body=str(number))) for number in range(9)]
        await eventually(lambda: sum(call.done() for call in calls) or len(caller._client._pending) < len(calls))
        goes_on.set()
        answers = await asyncio.gather(*calls)

    assert answers == [str(number) for number in range(9)]
    assert set(ran.values()) == {1}
    assert "OVERLOADED" in {one.get("reason") for one in logs if one["event"] == "call.repeated"}


async def test_call_beyond_the_rate_waits_for_its_turn_unless_it_is_told_not_to(world: World) -> None:
    """120 calls a minute are 120 at once, then one each half second."""
    endpoint = {"method": "POST", "path": "/contacts", "metadata": {"rateLimit": 120}}
    service = {"name": SERVICE, "version": "1.0.0", "endpoints": [endpoint]}
    manifest = {"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"services": [service]}}
    crm = Plugin.from_manifest(manifest)

    @crm.service(SERVICE).post("/contacts")
    async def create(_call: Call) -> str:
        return "created"

    await world.connect(crm)
    contacts = (await world.tenant()).service(SERVICE)
    calls = (contacts.post("/contacts", retries=0) for _ in range(150))
    found: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    refused = [error for error in found if error != "created"]

    assert {type(error) for error in refused} == {RateLimitedError}
    assert all(0 < error.details["retryAfter"] <= 1 for error in refused)
    assert await contacts.post("/contacts") == "created"

"""What an endpoint's metadata limits, and what happens beyond it: nothing was run, and the caller is told."""

import asyncio
from typing import Any

import pytest

from contracts.errors import (
    CallTimeoutError,
    InvalidRequestError,
    OverloadedError,
    RateLimitedError,
    ServiceUnavailableError,
)
from plugin_runtime import Call, Plugin, Runner
from plugin_runtime.calls.chain import MOST_VISITS
from plugin_runtime.calls.server import ROOM_PER_WORKER
from tests.acceptance.plugins import make_caller
from tests.acceptance.raw_caller import RawCaller
from tests.acceptance.world import ACME, GLOBEX, World
from tests.waiting import eventually

SERVICE = "crm.contacts"


class Crm:
    """A CRM with an endpoint for each path; handlers keep count, and wait at the gate of their path if it has one."""

    def __init__(self, *paths: str, metadata: dict[str, Any] | None = None, **of_paths: dict[str, Any]) -> None:
        endpoints = [
            {"method": "POST", "path": f"/{path}", "metadata": of_paths.get(path, {})} for path in (*paths, *of_paths)
        ]
        service = {"name": SERVICE, "version": "1.0.0", "endpoints": endpoints, "metadata": metadata or {}}
        document = {"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"services": [service]}}
        self.plugin = Plugin.from_manifest(document)
        self.ran: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        for path in (*paths, *of_paths):
            self.plugin.service(SERVICE).post(f"/{path}")(self._handler(path))

    def _handler(self, path: str) -> Any:
        async def handler(_call: Call) -> str:
            self.ran.append(path)
            if path in self.gates:
                await self.gates[path].wait()
            return path

        return handler


async def instances_known(runner: Runner, count: int) -> None:
    """Wait until an instance knows how many serve its service."""
    await eventually(lambda: runner._server._instances[SERVICE] == count)


# Calls per minute


async def test_caller_beyond_its_calls_per_minute_is_told_when_one_passes(world: World) -> None:
    crm = Crm(contacts={"rateLimit": 2})
    await world.connect(crm.plugin)
    contacts = (await world.tenant()).service(SERVICE)
    for _ in range(2):
        await contacts.post("/contacts")

    with pytest.raises(RateLimitedError, match=r"may call POST /contacts 2 times a minute in tenant acme") as caught:
        await contacts.post("/contacts", timeout=5)
    assert caught.value.details["limit"] == 2
    assert 20 < caught.value.details["retryAfter"] <= 30
    assert len(crm.ran) == 2


async def test_each_tenant_and_each_caller_has_its_own_calls(world: World) -> None:
    crm = Crm(contacts={"rateLimit": 1})
    await world.connect(crm.plugin, tenants=(ACME, GLOBEX))
    analytics = await world.connect(make_caller(), tenants=(ACME, GLOBEX))
    marketing = await world.connect(make_caller(name="marketing"))
    for tenant in (analytics.tenant(ACME), analytics.tenant(GLOBEX), marketing.tenant(ACME)):
        await tenant.service(SERVICE).post("/contacts", timeout=5)

    with pytest.raises(RateLimitedError):
        await analytics.tenant(GLOBEX).service(SERVICE).post("/contacts", timeout=5)


async def test_limit_of_a_service_covers_the_endpoints_without_one_together(world: World) -> None:
    crm = Crm("one", "two", metadata={"rateLimit": 3}, own={"rateLimit": 1})
    await world.connect(crm.plugin)
    contacts = (await world.tenant()).service(SERVICE)
    for path in ("/one", "/two", "/one", "/own"):
        await contacts.post(path, timeout=5)

    for path in ("/one", "/two", "/own"):
        with pytest.raises(RateLimitedError):
            await contacts.post(path, timeout=5)
    assert crm.ran == ["one", "two", "one", "own"]


async def test_instances_share_the_calls_per_minute(world: World) -> None:
    crms = [Crm(contacts={"rateLimit": 4}) for _ in range(2)]
    runners = [await world.connect(crm.plugin) for crm in crms]
    for runner in runners:
        await instances_known(runner, 2)
    contacts = (await world.tenant()).service(SERVICE)
    answers = await asyncio.gather(*(contacts.post("/contacts", timeout=5) for _ in range(12)), return_exceptions=True)

    assert answers.count("contacts") == 4
    assert [len(crm.ran) for crm in crms] == [2, 2]


async def test_what_an_instance_left_over_is_the_others(world: World) -> None:
    first, second = [await world.connect(Crm(contacts={"rateLimit": 4}).plugin) for _ in range(2)]
    await instances_known(first, 2)
    await world.stop(second)

    await instances_known(first, 1)


# Calls at once


async def test_endpoint_at_its_concurrency_holds_up_no_other(world: World) -> None:
    crm = Crm("quick", slow={"concurrency": 1})
    crm.gates["slow"] = asyncio.Event()
    runner = await world.connect(crm.plugin)
    contacts = (await world.tenant()).service(SERVICE)
    slow = [asyncio.ensure_future(contacts.post("/slow")) for _ in range(3)]
    await eventually(lambda: runner._server.load == 3)

    assert await contacts.post("/quick", timeout=5) == "quick"
    assert crm.ran == ["slow", "quick"]
    crm.gates["slow"].set()
    assert await asyncio.gather(*slow) == ["slow"] * 3


async def test_call_beyond_the_room_of_its_tenant_is_refused_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")
    crm = Crm("work")
    crm.gates["work"] = asyncio.Event()
    runner = await world.connect(crm.plugin, tenants=(ACME, GLOBEX))
    caller = await RawCaller.open(world)
    for number in range(ROOM_PER_WORKER + 3):
        await caller.call(str(number), "POST", "/work")
    refused = await caller.answer(str(ROOM_PER_WORKER + 2))
    await caller.call("of another", "POST", "/work", tenant=GLOBEX)
    pushed_out = await caller.answer(str(ROOM_PER_WORKER))

    for reply in (refused, pushed_out):
        error = reply.to_error()
        assert isinstance(error, OverloadedError)
        assert error.details["retryAfter"] > 0
    assert len(crm.ran) == 1
    crm.gates["work"].set()
    assert (await caller.answer("of another")).data == "work"
    await eventually(lambda: runner._server.load == 0)
    assert len(crm.ran) == ROOM_PER_WORKER + 1


async def test_call_that_waits_while_the_grace_of_a_stop_ends_was_not_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")
    monkeypatch.setenv("PLEXICA_GRACE_SECONDS", "0.2")
    crm = Crm("work")
    crm.gates["work"] = asyncio.Event()
    runner = await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    for id_ in ("runs", "waits"):
        await caller.call(id_, "POST", "/work")
    await eventually(lambda: runner._server.load == 2)
    await world.stop(runner)

    assert isinstance((await caller.answer("waits")).to_error(), ServiceUnavailableError)
    assert crm.ran == ["work"]


# Loops


async def test_plugin_that_calls_itself_for_ever_is_told_the_chain(world: World) -> None:
    crm = Plugin.from_manifest(Crm("again").plugin.manifest.to_json())
    said: list[str] = []

    @crm.service(SERVICE).post("/again")
    async def again(call: Call) -> int:
        try:
            return 1 + await call.tenant.service(SERVICE).post("/again", reply=int)
        except InvalidRequestError as error:
            said.append(error.message)
            return 1

    await world.connect(crm)
    acme = await world.tenant()

    assert await acme.service(SERVICE).post("/again", timeout=5) == MOST_VISITS
    assert len(said) == 1
    assert "crm.contacts -> crm.contacts -> crm.contacts -> crm.contacts is a loop" in said[0]


async def test_loop_that_another_runtime_let_pass_is_refused_on_arrival(world: World) -> None:
    crm = Crm("work")
    await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    await caller.call("1", "POST", "/work", x_call_chain=",".join([SERVICE] * 4))
    error = (await caller.answer("1")).to_error()

    assert isinstance(error, InvalidRequestError)
    assert "is a loop" in error.message
    assert crm.ran == []


# What waits, and its callee


async def test_post_that_waited_when_its_instance_died_is_not_run_by_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not run, but the next instance cannot know that."""
    monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")
    dying, next_one = Crm("work"), Crm("work")
    dying.gates["work"] = asyncio.Event()
    runner = await world.connect(dying.plugin)
    caller = await RawCaller.open(world)
    for number in range(3):
        await caller.call(str(number), "POST", "/work")
    await eventually(lambda: runner._server.load == 3 and dying.ran)
    await world.connect(next_one.plugin)
    await world.crash(runner)
    codes = [getattr((await caller.answer(str(number))).to_error(), "code", None) for number in range(3)]

    assert codes == ["OUTCOME_UNKNOWN"] * 3
    assert (dying.ran, next_one.ran) == (["work"], [])


async def test_time_spent_waiting_counts_against_the_deadline(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")
    crm = Crm("work")
    crm.gates["work"] = asyncio.Event()
    runner = await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    await caller.call("runs", "POST", "/work")
    await eventually(lambda: crm.ran)
    await caller.call("waits", "POST", "/work", x_budget_ms=100)
    error = (await caller.answer("waits")).to_error()
    crm.gates["work"].set()
    await caller.answer("runs")

    assert isinstance(error, CallTimeoutError)
    assert crm.ran == ["work"]
    await eventually(lambda: runner._server.load == 0)

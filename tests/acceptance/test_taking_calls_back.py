"""A caller takes its call back: what waits is not run, what runs is cancelled, and nobody else can do that."""

import asyncio
from typing import Any

import pytest

from plugin_runtime import Call, Plugin, Runner
from tests.acceptance.plugins import make_plugin
from tests.acceptance.raw_caller import RawCaller
from tests.acceptance.world import World
from tests.waiting import eventually

SERVICE = "crm.contacts"
QUEUE = "calls.crm.contacts.1.0.0"


class Crm:
    """A CRM whose ``GET /contacts`` waits until it is released, and whose ``PUT /contacts`` answers at once."""

    def __init__(self, *, is_stubborn: bool = False) -> None:
        self.began = 0
        self.ended: list[str] = []
        self.release = asyncio.Event()
        self.plugin: Plugin = make_plugin("crm", "GET /contacts", "PUT /contacts")
        contacts = self.plugin.service(SERVICE)

        @contacts.get("/contacts")
        async def wait(_call: Call) -> Any:
            self.began += 1
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                if not is_stubborn:
                    raise
                await self.release.wait()
            finally:
                self.ended.append("cleaned up")
            return "done"

        @contacts.put("/contacts")
        async def at_once(_call: Call) -> str:
            return "at once"


async def heard_of(runner: Runner, cancels: int) -> None:
    """Wait until an instance has heard so many cancels."""
    await eventually(lambda: len(runner._server._taken_back) == cancels)


@pytest.fixture(autouse=True)
def _one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")


async def test_handler_is_cancelled_and_its_place_is_free_again(world: World) -> None:
    crm = Crm()
    await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    await caller.call("given up")
    await eventually(lambda: crm.began)
    await caller.take_back("given up")

    await eventually(lambda: crm.ended == ["cancelled", "cleaned up"])
    await caller.call("next", "PUT")
    assert (await caller.answer("next")).data == "at once"
    assert caller.answered == ["next"]


async def test_call_that_waits_is_not_run(world: World) -> None:
    crm = Crm()
    runner = await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    for id_ in ("first", "given up", "third"):
        await caller.call(id_)
    await eventually(lambda: runner._server.load == 3)
    await caller.take_back("given up")
    await eventually(lambda: runner._server.load == 2)
    crm.release.set()
    await caller.answer("third")

    assert caller.answered == ["first", "third"]
    assert crm.began == 2
    assert await world.depth(QUEUE) == 0


async def test_call_that_comes_after_its_cancel_is_not_run(world: World) -> None:
    crm = Crm()
    runner = await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    await caller.take_back("given up")
    await heard_of(runner, 1)
    await caller.call("given up")
    await caller.call("next", "PUT")
    await caller.answer("next")

    assert crm.began == 0
    assert caller.answered == ["next"]


async def test_whichever_instance_runs_the_call_hears_of_it(world: World) -> None:
    one, other = Crm(), Crm()
    for crm in (one, other):
        await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    for id_ in ("1", "2"):
        await caller.call(id_)
    await eventually(lambda: one.began == other.began == 1)
    for id_ in ("1", "2"):
        await caller.take_back(id_)

    assert await eventually(lambda: one.ended == other.ended == ["cancelled", "cleaned up"])


async def test_handler_that_goes_on_is_left_to_finish_and_nobody_is_told(world: World) -> None:
    crm = Crm(is_stubborn=True)
    runner = await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    await caller.call("given up")
    await eventually(lambda: crm.began)
    await caller.take_back("given up")
    await eventually(lambda: crm.ended == ["cancelled"])
    await caller.call("next", "PUT")
    await eventually(lambda: runner._server.load == 2)
    crm.release.set()
    await caller.answer("next")

    assert crm.ended == ["cancelled", "cleaned up"]
    assert caller.answered == ["next"]


async def test_nobody_takes_back_what_another_plugin_called(world: World) -> None:
    crm = Crm()
    runner = await world.connect(crm.plugin)
    caller = await RawCaller.open(world)
    await caller.call("mine")
    await caller.call("waiting")
    await eventually(lambda: runner._server.load == 2)
    for id_ in ("mine", "waiting", "later"):
        await caller.take_back(id_, identity="plugin-mallory")
    await heard_of(runner, 3)
    await caller.call("later")
    crm.release.set()

    for id_ in ("mine", "waiting", "later"):
        assert (await caller.answer(id_)).data == "done"
    assert "cancelled" not in crm.ended

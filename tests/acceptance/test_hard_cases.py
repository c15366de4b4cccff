"""What goes wrong between the lines: handlers that end oddly, starts and stops cut short, versions side by side."""

import asyncio
import time
from typing import Any

import pytest

from contracts.errors import NotRunningError, OutcomeUnknownError, RemoteError, ServiceNotFoundError
from contracts.registry import PluginAnnouncement
from plugin_runtime import Call, Event, Plugin
from tests.acceptance.plugins import make_caller, make_crm, make_plugin
from tests.acceptance.world import World
from tests.waiting import eventually

ACME = "acme-corp"
KEY = "crm.events.contact.created"


async def cancelled_from_within() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await task


async def test_a_handler_that_awaits_something_cancelled_is_answered_as_a_fault(world: World) -> None:
    """Nobody cancelled the handler itself: its caller is not left waiting, and its place is free again."""
    crm = make_plugin("crm", "GET /contacts")

    @crm.service("crm.contacts").get("/contacts")
    async def read(call: Call) -> Any:
        del call
        await cancelled_from_within()

    await world.connect(crm)
    caller = await world.connect(make_caller())

    with pytest.raises(RemoteError, match="CancelledError"):
        await caller.tenant(ACME).service("crm.contacts").get("/contacts", timeout=5)


async def test_an_event_whose_handler_awaits_something_cancelled_comes_again(world: World) -> None:
    crm, marketing = make_plugin("crm"), make_plugin("marketing")
    attempts: list[int] = []

    @marketing.on(KEY)
    async def hear(event: Event) -> None:
        attempts.append(event.attempt)
        if event.attempt == 1:
            await cancelled_from_within()

    await world.connect(marketing)
    publisher = await world.connect(crm)
    await publisher.tenant(ACME).emit(KEY, {})

    assert await eventually(lambda: attempts == [1, 2])


async def test_a_slow_broadcast_holds_back_no_announcement(world: World) -> None:
    crm, marketing = make_plugin("crm"), make_plugin("marketing")
    release, heard = asyncio.Event(), list[str]()

    @marketing.on(KEY, broadcast=True)
    async def hear(event: Event) -> None:
        heard.append(event.id)
        await release.wait()

    listener = await world.connect(marketing)
    publisher = await world.connect(crm)
    with listener.tenant(ACME).registry.watch(f"{ACME}.plugin.installed.*") as announcements:
        for _ in range(150):
            await publisher.tenant(ACME).emit(KEY, {})
        await eventually(lambda: bool(heard))
        await world.connect(make_plugin("invoicing"))
        async with asyncio.timeout(5):
            announced = await anext(announcements)
    release.set()

    assert isinstance(announced, PluginAnnouncement)
    assert announced.plugin_id == "plugin-invoicing"


async def test_versions_side_by_side_lose_no_event(world: World) -> None:
    """A subscription's queue is shared by all versions: an instance handles what any of them may hear."""
    crm = await world.connect(make_plugin("crm"))
    heard: list[str] = []

    def marketing(version: str) -> Plugin:
        plugin = Plugin.from_manifest({"id": "plugin-marketing", "name": "Marketing", "version": version})

        @plugin.on(KEY, name="welcome")
        async def hear(event: Event) -> None:
            heard.append(event.id)

        return plugin

    await world.connect(marketing("1.0.0"), tenants=(ACME,))
    await world.connect(marketing("2.0.0"), tenants=("globex",))
    sent = {await crm.tenant(ACME).emit(KEY, {}) for _ in range(20)}

    await eventually(lambda: set(heard) == sent)
    assert len(heard) == 20


async def test_a_call_after_the_stop_is_refused_at_once(world: World) -> None:
    caller = await world.connect(make_caller())
    acme = caller.tenant(ACME)
    await caller.stop()
    began = time.monotonic()

    with pytest.raises(NotRunningError, match="plugin-analytics has stopped"):
        await acme.service("system.data").get("/data/crm.cache", timeout=5)

    assert time.monotonic() - began < 1


async def test_calls_that_wait_when_their_plugin_stops_are_ended(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")
    started, release = asyncio.Event(), asyncio.Event()

    @crm.service("crm.contacts").get("/contacts")
    async def read(call: Call) -> None:
        del call
        started.set()
        await release.wait()

    await world.connect(crm)
    caller = await world.connect(make_caller())
    pending = asyncio.create_task(caller.tenant(ACME).service("crm.contacts").get("/contacts", timeout=30))
    await started.wait()
    await caller.stop()

    with pytest.raises(OutcomeUnknownError, match=r"plugin-analytics stopped while it called crm\.contacts"):
        await asyncio.wait_for(pending, 5)
    release.set()


async def test_a_start_that_is_cancelled_leaves_no_instance_behind(world: World) -> None:
    """The registration may have been made already; it is taken back, so that nobody calls into the void."""
    crm = make_crm()
    caller = await world.connect(make_caller())
    acme = caller.tenant(ACME)
    transport = world.transport("plugin-crm")
    consumes = transport.consume

    async def hang(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()
        return consumes

    transport.consume = hang  # type: ignore[method-assign]

    async def start() -> None:
        async with crm.connected(transport=transport, tenants=[ACME]):
            pytest.fail("it cannot have started")

    starting = asyncio.create_task(start())
    await eventually(lambda: registered(acme, "crm.contacts"))
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)

    with pytest.raises(ServiceNotFoundError):
        await acme.service("crm.contacts").get("/contacts", timeout=5)


async def registered(acme: Any, service: str) -> bool:
    return any(item.service_name == service for item in await acme.registry.list())


async def test_a_stop_that_is_cancelled_still_closes_the_connection(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")
    started = asyncio.Event()

    @crm.service("crm.contacts").get("/contacts")
    async def read(call: Call) -> None:
        del call
        started.set()
        await asyncio.sleep(20)

    transport = world.transport("plugin-crm")
    caller = await world.connect(make_caller())
    leave = asyncio.Event()

    async def run() -> None:
        async with crm.connected(transport=transport, tenants=[ACME]):
            await leave.wait()

    running = asyncio.create_task(run())
    acme = caller.tenant(ACME)
    await eventually(lambda: registered(acme, "crm.contacts"))
    call = asyncio.create_task(acme.service("crm.contacts").get("/contacts", timeout=2))
    await started.wait()
    leave.set()
    await asyncio.sleep(0.1)  # the stop waits for the call
    running.cancel()
    await asyncio.gather(running, call, return_exceptions=True)

    assert not transport.is_connected


class Twice:
    """A CRM of which the first instance hangs and the second answers; it counts how often it is run."""

    def __init__(self) -> None:
        self.runs: list[bool] = []
        self.hangs = asyncio.Event()

    def plugin(self) -> Plugin:
        crm = make_plugin("crm", "GET /contacts", "POST /contacts")
        crm.service("crm.contacts").get("/contacts")(self.run)
        crm.service("crm.contacts").post("/contacts")(self.run)
        return crm

    async def run(self, call: Call) -> str:
        self.runs.append(call.redelivered)
        if len(self.runs) == 1:
            self.hangs.set()
            await asyncio.Event().wait()
        return "answered"


async def test_a_post_whose_callee_died_is_never_run_twice(world: World) -> None:
    """The call comes to the other instance, which cannot know whether the first one finished."""
    crm = Twice()
    first = await world.connect(crm.plugin())
    caller = await world.connect(make_caller())
    contacts = caller.tenant(ACME).service("crm.contacts")
    pending = asyncio.create_task(contacts.post("/contacts", timeout=20))
    await crm.hangs.wait()
    await world.connect(crm.plugin())
    await world.crash(first)

    with pytest.raises(OutcomeUnknownError, match="POST /contacts may have been run before; it is not run twice"):
        await pending
    assert crm.runs == [False]
    assert await contacts.post("/contacts", timeout=5) == "answered"


async def test_a_get_whose_callee_died_is_run_by_another_instance(world: World) -> None:
    crm = Twice()
    first = await world.connect(crm.plugin())
    caller = await world.connect(make_caller())
    contacts = caller.tenant(ACME).service("crm.contacts")
    pending = asyncio.create_task(contacts.get("/contacts", timeout=20))
    await crm.hangs.wait()
    await world.connect(crm.plugin())
    await world.crash(first)

    assert await pending == "answered"
    assert crm.runs == [False, True]

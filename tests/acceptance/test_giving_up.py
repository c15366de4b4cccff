"""A caller that gives up takes its call back: the handler is cancelled, and so is what the handler called."""

import asyncio

import pytest

from plugin_runtime import Call, Plugin
from tests.acceptance.plugins import make_caller, make_plugin
from tests.acceptance.world import ACME, World
from tests.waiting import eventually

SERVICE = "crm.contacts"


class Endless:
    """A service that never answers ``/contacts``; it counts the handlers that run and those that were cancelled."""

    def __init__(self, name: str = "crm", nested: str | None = None) -> None:
        self.running = 0
        self.cancelled = 0
        self._nested = nested
        self.plugin: Plugin = make_plugin(
            name, "GET /contacts", "POST /contacts", "GET /alive", calls=(nested,) if nested else ()
        )
        service = self.plugin.service(f"{name}.contacts")
        service.get("/contacts")(self.wait)
        service.post("/contacts")(self.wait)
        service.get("/alive")(self.answer)

    async def wait(self, call: Call) -> None:
        self.running += 1
        try:
            if self._nested is not None:
                await call.tenant.service(self._nested).get("/contacts")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def answer(self, _call: Call) -> str:
        return "alive"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_handler_of_a_cancelled_caller_is_cancelled(world: World, method: str) -> None:
    crm = Endless()
    await world.connect(crm.plugin)
    contacts = (await world.tenant()).service(SERVICE)
    calls = [asyncio.ensure_future(contacts.request(method, "/contacts")) for _ in range(3)]
    await eventually(lambda: crm.running == 3)

    calls[1].cancel()
    await eventually(lambda: crm.cancelled == 1)

    assert calls[1].cancelled()
    assert (crm.running, [call.done() for call in calls]) == (2, [False, True, False])
    assert await contacts.get("/alive") == "alive"
    for call in calls:
        call.cancel()
    await eventually(lambda: crm.cancelled == 3)


async def test_time_limit_of_the_program_itself_takes_its_call_back(world: World) -> None:
    crm = Endless()
    await world.connect(crm.plugin)
    contacts = (await world.tenant()).service(SERVICE)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await contacts.get("/contacts", timeout=30)

    await eventually(lambda: (crm.cancelled, crm.running) == (1, 0))


async def test_call_that_a_cancelled_handler_made_is_taken_back_too(world: World) -> None:
    crm, billing = Endless(), Endless("billing", nested=SERVICE)
    await world.connect(crm.plugin)
    await world.connect(billing.plugin)
    caller = await world.connect(make_caller("billing.contacts"))
    call = asyncio.ensure_future(caller.tenant(ACME).service("billing.contacts").get("/contacts"))
    await eventually(lambda: crm.running)

    call.cancel()

    assert await eventually(lambda: (billing.cancelled, crm.cancelled) == (1, 1))

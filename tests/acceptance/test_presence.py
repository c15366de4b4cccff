"""Without RabbitMQ's event exchange the end of a lease tells that the last instance of a version is gone.

With it that takes milliseconds (tests/reliability/test_presence.py).
"""

import asyncio
from typing import Any

from contracts.errors import CallError, OutcomeUnknownError, ServiceNotFoundError, ServiceUnavailableError
from plugin_runtime import Call
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import make_plugin
from tests.acceptance.world import LEASE_SECONDS
from tests.waiting import eventually

SERVICE = "crm.contacts"
WELL_BEFORE_SECONDS = 10.0
"""A call's deadline is 30 s: whoever is told before this was not told by it."""

METHODS = ("GET", "PUT", "DELETE", "POST", "PATCH")


async def test_callers_of_a_last_instance_that_dies_are_told_when_its_lease_ends(open_world: OpenWorld) -> None:
    """What may be repeated is SERVICE_UNAVAILABLE, the rest OUTCOME_UNKNOWN, and the next call is not found."""
    world = await open_world(lease_seconds=LEASE_SECONDS, heartbeat_seconds=LEASE_SECONDS / 4)
    ran: list[str] = []
    crm = make_plugin("crm", *(f"{method} /contacts" for method in METHODS))

    async def never(call: Call) -> None:
        ran.append(call.method)
        await asyncio.Event().wait()

    for method in METHODS:
        getattr(crm.service(SERVICE), method.lower())("/contacts")(never)
    dying = await world.connect(crm)
    contacts = (await world.tenant()).service(SERVICE)
    calls = [asyncio.ensure_future(contacts.request(method, "/contacts")) for method in METHODS]
    await eventually(lambda: len(ran) == len(METHODS))

    await world.crash(dying)
    async with asyncio.timeout(WELL_BEFORE_SECONDS):
        found: list[Any] = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(error) for error in found] == [ServiceUnavailableError] * 3 + [OutcomeUnknownError] * 2
    assert [error.details.get("mayHaveRun") for error in found[:3]] == [True] * 3
    assert await code_of(contacts.post("/contacts")) == ServiceNotFoundError.code


async def code_of(call: Any) -> str:
    try:
        await call
    except CallError as error:
        return error.code
    return "answered"

"""``cacheTTL``: an answer that may be kept answers equal GETs without a message, until something may have changed."""

import asyncio
from collections import Counter
from typing import Any

from plugin_runtime import Call, Plugin, Reply, Runner
from tests.acceptance.plugins import make_caller, make_plugin
from tests.acceptance.world import ACME, CONSOLE, GLOBEX, World
from tests.waiting import eventually

SERVICE = "crm.contacts"


class Crm:
    """A CRM whose service allows its answers to be kept for an hour; it counts what it runs."""

    def __init__(self, version: str = "1.0.0", cache_ttl: float = 3600) -> None:
        self.version = version
        self.ran = Counter[str]()
        endpoints = [
            {"method": "GET", "path": "/contacts"},
            {"method": "GET", "path": "/contacts/:id"},
            {"method": "GET", "path": "/live", "metadata": {"cacheTTL": 0}},
            {"method": "POST", "path": "/contacts"},
        ]
        service = {"name": SERVICE, "version": version, "endpoints": endpoints, "metadata": {"cacheTTL": cache_ttl}}
        manifest = {"id": "plugin-crm", "name": "CRM", "version": version, "api": {"services": [service]}}
        self.plugin = Plugin.from_manifest(manifest)
        contacts = self.plugin.service(SERVICE)
        contacts.get("/contacts")(self.answer)
        contacts.get("/contacts/:id")(self.find)
        contacts.get("/live")(self.answer)
        contacts.post("/contacts")(self.answer)

    async def answer(self, call: Call) -> dict[str, Any]:
        self.ran[f"{call.method} {call.path}"] += 1
        return {"version": self.version, "tenant": call.tenant.id, "count": self.ran.total()}

    async def find(self, call: Call, id: str) -> Reply:
        self.ran[f"{call.method} {call.path}"] += 1
        return Reply({"id": id}, status=404)


async def caller_of(world: World, crm: Crm, *tenants: str) -> Runner:
    await world.connect(crm.plugin, tenants=tenants or (ACME,))
    return await world.connect(make_caller(), tenants=tenants or (ACME,))


async def test_second_get_is_answered_without_a_message(world: World) -> None:
    crm = Crm()
    caller = await caller_of(world, crm)
    contacts = caller.tenant(ACME).service(SERVICE)

    first = await contacts.request("GET", "/contacts", query={"limit": 10})
    with world.sent_by(caller) as sent:
        second = await contacts.request("GET", "/contacts", query={"limit": 10})

    assert sent == []
    assert second.data == first.data
    assert (first.metadata.cached, first.metadata.age_seconds) == (False, 0.0)
    assert second.metadata.cached
    assert second.metadata.age_seconds > 0
    assert second.metadata.instance == first.metadata.instance


async def test_what_is_not_equal_or_may_not_be_kept_is_asked_each_time(world: World) -> None:
    crm = Crm()
    contacts = (await caller_of(world, crm)).tenant(ACME).service(SERVICE)

    for _ in range(2):
        await contacts.get("/live")
        await contacts.request("GET", "/contacts/7")
    await contacts.get("/contacts", query={"limit": 1})
    await contacts.get("/contacts", query={"limit": 2})
    await contacts.get("/contacts", headers={"accept-language": "de"})

    assert crm.ran == {"GET /live": 2, "GET /contacts/7": 2, "GET /contacts": 3}


async def test_many_equal_gets_at_once_are_run_once(world: World) -> None:
    crm = Crm()
    contacts = (await caller_of(world, crm)).tenant(ACME).service(SERVICE)

    answers = await asyncio.gather(*(contacts.get("/contacts") for _ in range(50)))

    assert crm.ran == {"GET /contacts": 1}
    assert all(answer == answers[0] and answer is not answers[0] for answer in answers[1:])


async def test_fresh_asks_and_keeps_the_new_answer(world: World) -> None:
    contacts = (await caller_of(world, Crm())).tenant(ACME).service(SERVICE)

    counts = [(await contacts.get("/contacts", fresh=fresh))["count"] for fresh in (False, True, False)]

    assert counts == [1, 2, 2]


async def test_own_write_ends_what_is_kept(world: World) -> None:
    contacts = (await caller_of(world, Crm())).tenant(ACME).service(SERVICE)
    await contacts.get("/contacts")
    await contacts.post("/contacts")

    assert (await contacts.get("/contacts"))["count"] == 3


async def test_tenants_have_answers_of_their_own(world: World) -> None:
    caller = await caller_of(world, Crm(), ACME, GLOBEX)

    tenants = [(await caller.tenant(tenant).service(SERVICE).get("/contacts"))["tenant"] for tenant in (ACME, GLOBEX)]

    assert tenants == [ACME, GLOBEX]


async def test_answer_ends_with_its_time(world: World) -> None:
    contacts = (await caller_of(world, Crm(cache_ttl=0.05))).tenant(ACME).service(SERVICE)
    await contacts.get("/contacts")

    async def is_asked_again() -> bool:
        return not (await contacts.request("GET", "/contacts")).metadata.cached

    assert await eventually(is_asked_again, 5)


async def test_upgrade_ends_the_answers_of_the_version_before(world: World) -> None:
    caller = await caller_of(world, Crm("1.0.0"))
    contacts = caller.tenant(ACME).service(SERVICE)
    await contacts.get("/contacts")

    await world.connect(Crm("1.1.0").plugin)

    async def is_new() -> bool:
        return (await contacts.get("/contacts"))["version"] == "1.1.0"

    assert await eventually(is_new)


async def test_new_installation_of_the_caller_ends_its_answers(world: World) -> None:
    """What it may call can be another set from then on."""
    crm = Crm()
    caller = await caller_of(world, crm)
    contacts = caller.tenant(ACME).service(SERVICE)
    console = await world.connect(make_plugin(CONSOLE.removeprefix("plugin-")))
    await contacts.get("/contacts")

    await console.tenant(ACME).dependencies.uninstall("plugin-analytics")
    await console.tenant(ACME).dependencies.install("plugin-analytics")

    async def is_asked_again() -> bool:
        return not (await contacts.request("GET", "/contacts")).metadata.cached

    assert await eventually(is_asked_again)

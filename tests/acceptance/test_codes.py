"""The closed table of codes: each that a caller can meet on a call is met here, the others where the list says."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts import topology
from contracts.calls import METHODS
from contracts.errors import CODES, CodedError, RemoteError
from plugin_runtime import Call, Plugin, Refusal, ServiceClient
from plugin_runtime.calls import server
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import make_caller
from tests.acceptance.world import ACME, LEASE_SECONDS, World, call_bytes, reply_of
from tests.waiting import eventually

SERVICE = "crm.contacts"
PERMISSION = "plugin.crm.contacts.write"
HERE = Path(__file__).parent


class Crm:
    """A CRM with an endpoint for each way in which a call can fail."""

    def __init__(self) -> None:
        self.started = 0
        endpoints = [
            *({"method": method, "path": "/endless"} for method in sorted(METHODS)),
            {"method": "GET", "path": "/limited", "metadata": {"rateLimit": 1}},
            {"method": "GET", "path": "/guarded", "permissions": [PERMISSION]},
            {"method": "GET", "path": "/refusing"},
        ]
        service = {"name": SERVICE, "version": "1.0.0", "endpoints": endpoints}
        manifest = {"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"services": [service]}}
        self.plugin = Plugin.from_manifest(manifest)
        contacts = self.plugin.service(SERVICE)
        for method in METHODS:
            getattr(contacts, method.lower())("/endless")(self.endless)
        contacts.get("/limited")(self.answer)
        contacts.get("/guarded")(self.answer)
        contacts.get("/refusing")(self.refuse)

    async def endless(self, _call: Call) -> None:
        self.started += 1
        await asyncio.Event().wait()

    async def answer(self, _call: Call) -> str:
        return "answered"

    async def refuse(self, _call: Call) -> None:
        raise Refusal(418, "I am a teapot", kind="brown")


class Stage:
    """A world with that CRM and one caller."""

    def __init__(self, world: World, crm: Crm, crm_runs: Any, caller: Any) -> None:
        self.world = world
        self.crm = crm
        self._crm_runs = crm_runs
        self.caller = caller

    @classmethod
    async def set(cls, world: World) -> "Stage":
        crm = Crm()
        runs = await world.connect(crm.plugin)
        return cls(world, crm, runs, await world.connect(make_caller(SERVICE, "crm.deals")))

    def service(self, version: str | None = None, *, name: str = SERVICE, tenant: str = ACME) -> ServiceClient:
        client: ServiceClient = self.caller.tenant(tenant).service(name, version)
        return client

    async def dying_under(self, method: str) -> Any:
        """A call whose callee dies."""
        call = asyncio.ensure_future(self.service().request(method, "/endless"))
        await eventually(lambda: self.crm.started)
        await self.world.crash(self._crm_runs)
        return await call

    async def beyond_the_queue(self) -> None:
        """Calls until one is not taken; the others are given up."""
        calls = [asyncio.ensure_future(self.service().post("/endless", retries=0)) for _ in range(20)]
        try:
            done, _ = await asyncio.wait(calls, timeout=10, return_when=asyncio.FIRST_EXCEPTION)
            await done.pop()
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def with_a_grant_of_nobody(self) -> None:
        """A call that no runtime would make."""
        headers = {"x-tenant-id": ACME, "x-grant": "nonsense"}
        error = reply_of(await self.world.ask_raw(call_bytes(), headers=headers)).to_error()
        assert error is not None
        raise error

    async def of_another_plugin(self) -> None:
        await self.caller.tenant(ACME).service(SERVICE, plugin="plugin-billing").get("/endless")

    async def twice(self, path: str) -> None:
        for _ in range(2):
            await self.service().get(path, retries=0)


Provoke = Callable[[Stage], Awaitable[Any]]

ON_A_CALL: dict[str, tuple[Provoke, set[str]]] = {
    "CALL_TIMEOUT": (lambda on: on.service().get("/endless", timeout=0.2), {"service", "waitedSeconds"}),
    "ENDPOINT_NOT_FOUND": (lambda on: on.service().get("/nowhere"), {"available"}),
    "INVALID_REQUEST": (lambda on: on.service().get("/../endless"), set()),
    "OUTCOME_UNKNOWN": (lambda on: on.dying_under("POST"), set()),
    "OVERLOADED": (Stage.beyond_the_queue, {"retryAfter"}),
    "PERMISSION_DENIED": (lambda on: on.service().get("/guarded"), {"missing"}),
    "PLUGIN_MISMATCH": (Stage.of_another_plugin, {"owner"}),
    "RATE_LIMITED": (lambda on: on.twice("/limited"), {"retryAfter"}),
    "REMOTE": (lambda on: on.service().get("/refusing"), set()),
    "SERVICE_NOT_FOUND": (lambda on: on.service(name="crm.deals").get("/deals"), {"service"}),
    "SERVICE_UNAVAILABLE": (lambda on: on.dying_under("GET"), {"retryAfter", "mayHaveRun"}),
    "TENANT_NOT_FOUND": (lambda on: on.service(tenant="nowhere").get("/endless"), set()),
    "UNAUTHENTICATED": (Stage.with_a_grant_of_nobody, set()),
    "UNDECLARED_DEPENDENCY": (lambda on: on.service(name="billing.invoices").get("/"), {"caller", "service", "line"}),
    "VERSION_MISMATCH": (lambda on: on.service("^2.0.0").get("/endless"), {"service", "range", "versions"}),
}
"""How each is provoked, and which details its error has at least."""

ELSEWHERE = {
    "INCOMPATIBLE_RUNTIME": "test_registry.py::test_incompatible_runtime_is_refused_and_told_the_range",
    "NAME_TAKEN": "test_registry.py::test_instance_id_of_another_plugin_is_taken",
    "NOT_OWNER": "test_sharing_data.py::test_namespace_may_be_shown_but_not_written",
    "PLUGIN_NOT_FOUND": "test_managing_dependencies.py::test_resolving_what_nobody_knows_says_what_may_be_meant",
    "QUOTA_EXCEEDED": "test_sharing_data.py::test_value_above_one_mebibyte_is_refused",
    "STALE_REVISION": "test_sharing_data.py::test_stale_revision_tells_what_was_expected_and_found",
    "STILL_REQUIRED": "test_managing_dependencies.py::test_plugin_that_others_require_may_not_go",
    "UNRESOLVABLE": "test_managing_dependencies.py::test_install_is_refused_with_the_answer_of_resolve",
}
"""Codes of the registry, of installing and of shared data, and the test over the bus that meets each."""


@pytest.fixture
async def stage(open_world: OpenWorld, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A small queue for who is to find it full, a short lease for who is to see its callee die."""
    code = request.getfixturevalue("code")
    lease: dict[str, float] = {}
    if code == "OVERLOADED":
        monkeypatch.setattr(topology, "CALL_QUEUE_LENGTH", 1)
        monkeypatch.setattr(server, "ROOM_PER_WORKER", 1)
        monkeypatch.setattr(server, "REFUSED_AT_ONCE", 1)
        monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")
    if code in {"OUTCOME_UNKNOWN", "SERVICE_UNAVAILABLE"}:
        lease = {"lease_seconds": LEASE_SECONDS, "heartbeat_seconds": LEASE_SECONDS / 4}
    return await Stage.set(await open_world(**lease))


@pytest.mark.parametrize("code", sorted(ON_A_CALL))
async def test_caller_meets_each_code_with_its_class_status_and_details(stage: Stage, code: str) -> None:
    provoke, details = ON_A_CALL[code]

    with pytest.raises(CodedError) as caught:
        await asyncio.wait_for(provoke(stage), 15)

    error = caught.value
    assert type(error) is CODES[code]
    assert error.code == code
    assert error.status == (418 if code == "REMOTE" else CODES[code].status)
    assert details <= error.details.keys()
    assert error.message


async def test_handlers_own_answer_is_carried_whole(world: World) -> None:
    stage = await Stage.set(world)

    with pytest.raises(RemoteError) as caught:
        await stage.service().get("/refusing")
    assert caught.value.data == {"error": "I am a teapot", "kind": "brown"}


def test_every_code_of_the_table_is_met_here_or_in_the_test_that_is_named() -> None:
    assert {*ON_A_CALL, *ELSEWHERE} == {*CODES}
    assert not ON_A_CALL.keys() & ELSEWHERE.keys()
    for code, place in ELSEWHERE.items():
        file, _, test = place.partition("::")
        text = (HERE / file).read_text(encoding="utf-8")
        _, found, after = text.partition(f"async def {test}(")
        body = after.partition("\nasync def ")[0]
        assert found, f"{place} is not there"
        assert f"pytest.raises({CODES[code].__name__}" in body, f"{place} does not meet {code}"

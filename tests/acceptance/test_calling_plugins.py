"""Calling other plugins: each caller gets its own answer, or an error that says what happened, in time."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import BaseModel

from contracts import topology
from contracts.codec import BUDGET_HEADER, CALLER_HEADER, DEADLINE_HEADER, TENANT_HEADER, encode
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    InvalidRequestError,
    MalformedMessageError,
    OverloadedError,
    RemoteError,
    ServiceNotFoundError,
    TenantNotFoundError,
    VersionMismatchError,
)
from contracts.ids import new_id
from plugin_runtime import Call, Event, Plugin, Reply
from plugin_runtime.calls.server import CallServer
from plugin_runtime.transport.base import Message
from tests.acceptance.plugins import make_caller, make_crm, make_plugin, need
from tests.acceptance.world import ACME, GLOBEX, World, call_bytes, reply_of
from tests.waiting import eventually

SERVICE = "crm.contacts"
NOT_FOUND = r"^Service crm\.contacts not found or unavailable"
Headers = dict[str, str | int | float | bool | None]


class Contact(BaseModel):
    id: str
    name: str


def make_endless(started: list[Call] | None = None) -> Plugin:
    """A CRM that never answers by itself."""
    crm = make_plugin("crm", "GET /contacts", "POST /contacts")
    contacts = crm.service(SERVICE)

    async def wait(call: Call) -> None:
        if started is not None:
            started.append(call)
        await asyncio.Event().wait()

    contacts.get("/contacts")(wait)
    contacts.post("/contacts")(wait)
    return crm


def make_echo() -> Plugin:
    """A CRM that answers with what it was given."""
    crm = make_plugin("crm", "POST /contacts")

    @crm.service(SERVICE).post("/contacts")
    async def echo(call: Call) -> Any:
        return call.body

    return crm


async def raw_calls_are_answered(world: World, *calls: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Publish hostile calls, and make sure after each that the service still answers others."""
    await world.connect(make_crm())
    acme = await world.tenant(make_caller(name="marketing"))
    found = []
    for call in calls:
        answer = reply_of(await world.ask_raw(**{"body": call_bytes(), **call}))
        assert answer.error is not None, (call, answer)
        assert await acme.service(SERVICE).get("/contacts", timeout=5) == "served"
        found.append((answer.status, answer.error["code"], answer.error["message"]))
    return found


# Answers


async def test_reply_is_read_as_the_type_asked_for(world: World) -> None:
    await world.connect(make_crm([{"id": "1", "name": "John Doe"}, {"id": "2", "name": "Jane Smith"}]))
    acme = await world.tenant()

    contacts = await acme.service(SERVICE).get("/contacts", reply=list[Contact])

    assert contacts == [Contact(id="1", name="John Doe"), Contact(id="2", name="Jane Smith")]


async def test_reply_that_does_not_fit_the_type_names_the_endpoint(world: World) -> None:
    await world.connect(make_crm([{"id": "1"}]))
    acme = await world.tenant()

    with pytest.raises(MalformedMessageError, match=r"GET crm\.contacts /contacts answered data that is no"):
        await acme.service(SERVICE).get("/contacts", reply=list[Contact])


async def test_every_method_reaches_its_own_handler(world: World) -> None:
    methods = ("get", "post", "put", "patch", "delete")
    crm = make_plugin("crm", *(f"{method.upper()} /contacts" for method in methods))

    async def tell(call: Call) -> str:
        return call.method

    for method in methods:
        getattr(crm.service(SERVICE), method)("/contacts")(tell)
    await world.connect(crm)
    contacts = (await world.tenant()).service(SERVICE)

    assert [await getattr(contacts, method)("/contacts") for method in methods] == [one.upper() for one in methods]


async def test_request_tells_who_answered_and_how_long_it_took(world: World) -> None:
    runner = await world.connect(make_crm(version="1.4.0"))
    acme = await world.tenant()

    result = await acme.service(SERVICE).request("GET", "/contacts")
    found = result.metadata

    assert (found.plugin, found.service, found.version) == ("plugin-crm", SERVICE, "1.4.0")
    assert found.instance == runner.instance
    assert 0 < found.duration_seconds < 5


async def test_remote_error_carries_status_and_data(world: World) -> None:
    crm = make_plugin("crm", "POST /contacts")

    @crm.service(SERVICE).post("/contacts")
    async def refuse(_call: Call) -> Reply:
        return Reply({"error": "Validation failed", "fields": ["email"]}, status=422)

    await world.connect(crm)
    acme = await world.tenant()

    with pytest.raises(RemoteError, match=r"POST crm\.contacts /contacts answered 422: Validation failed") as caught:
        await acme.service(SERVICE).post("/contacts", body={})

    assert (caught.value.status, caught.value.data["fields"]) == (422, ["email"])


async def test_500_calls_in_flight_over_one_reply_queue_each_get_their_own_answer(world: World) -> None:
    crm = make_plugin("crm", "POST /contacts")

    @crm.service(SERVICE).post("/contacts")
    async def echo_out_of_order(call: Call) -> Any:
        await asyncio.sleep((call.body % 7) / 1000)
        return call.body

    await world.connect(crm)
    analytics = await world.connect(make_caller())
    contacts = analytics.tenant(ACME).service(SERVICE)
    with world.sent_by(analytics) as sent:
        answers = await asyncio.gather(*(contacts.post("/contacts", body=number) for number in range(500)))

    assert answers == list(range(500))
    assert [one.type for one in sent] == ["call"] * len(sent)
    assert {one.reply_to for one in sent} == {world.topology.reply_key("plugin-analytics", analytics.instance)}


async def test_two_instances_share_the_load(world: World) -> None:
    crm = make_crm()
    instances = {(await world.connect(crm)).instance, (await world.connect(crm)).instance}
    contacts = (await world.tenant()).service(SERVICE)

    results = await asyncio.gather(*(contacts.request("GET", "/contacts") for _ in range(40)))

    assert {result.metadata.instance for result in results} == instances


async def test_data_of_several_plugins_is_gathered_in_parallel(world: World) -> None:
    """Pattern 1 of the guide: the calls wait for one another's answers, so they must be under way together."""
    together = asyncio.Barrier(3)
    for name, answer in (("crm", 4), ("marketing", 2), ("billing", 7)):
        plugin = make_plugin(name, "GET /items", service="items")

        async def count(_call: Call, answer: int = answer) -> int:
            await together.wait()
            return answer

        plugin.service(f"{name}.items").get("/items")(count)
        await world.connect(plugin)
    services = ("crm.items", "marketing.items", "billing.items")
    acme = await world.tenant(make_caller(*services))

    assert await asyncio.gather(*(acme.service(service).get("/items") for service in services)) == [4, 2, 7]


async def test_caller_degrades_gracefully_while_a_plugin_is_away(world: World) -> None:
    """Pattern 3 of the guide."""
    acme = await world.tenant()
    await acme.data.set("analytics.cache", "contacts", [1, 2])
    try:
        contacts = await acme.service(SERVICE).get("/contacts")
    except CodedError:
        contacts = await acme.data.get("analytics.cache", "contacts")

    assert contacts == [1, 2]


async def test_plugin_calls_itself_and_its_callers_in_a_circle(world: World) -> None:
    crm = make_plugin("crm", "GET /a/:depth", calls=("billing.contacts",))
    billing = make_plugin("billing", "GET /b/:depth", calls=(SERVICE,))

    @crm.service("crm.contacts").get("/a/:depth")
    async def down(call: Call, depth: str) -> Any:
        return await call.tenant.service("billing.contacts").get(f"/b/{depth}") if int(depth) else [call.caller]

    @billing.service("billing.contacts").get("/b/:depth")
    async def further(call: Call, depth: str) -> Any:
        return [call.caller, *await call.tenant.service("crm.contacts").get(f"/a/{int(depth) - 1}")]

    await world.connect(crm)
    await world.connect(billing)
    acme = await world.tenant()

    assert await acme.service("crm.contacts").get("/a/2") == ["plugin-crm", "plugin-crm", "plugin-billing"]


async def test_request_id_is_one_for_everything_a_call_sets_going(world: World) -> None:
    crm = make_plugin("crm", "GET /outer", "GET /inner")

    @crm.service(SERVICE).get("/inner")
    async def inner(call: Call) -> str:
        return call.request_id

    @crm.service(SERVICE).get("/outer")
    async def outer(call: Call) -> list[str]:
        return [call.request_id, await call.tenant.service(SERVICE).get("/inner")]

    await world.connect(crm)
    acme = await world.tenant()
    ids = [await acme.service(SERVICE).get("/outer") for _ in range(2)]

    assert [len(set(pair)) for pair in ids] == [1, 1]
    assert ids[0] != ids[1]


async def test_trace_is_one_for_everything_a_call_sets_going(world: World) -> None:
    """The W3C's: one trace id, a step of its own for each message, and the request's id where it begins here."""
    crm = make_plugin("crm", "GET /outer", "GET /inner")
    heard: list[Event] = []

    @crm.service(SERVICE).get("/inner")
    async def inner(call: Call) -> str | None:
        await call.tenant.emit("crm.events.contact.read", {})
        return call.traceparent

    @crm.service(SERVICE).get("/outer")
    async def outer(call: Call) -> list[str | None]:
        nested = await call.tenant.service(SERVICE).get("/inner")
        return [call.request_id, call.traceparent, nested]

    @crm.on("crm.events.contact.read")
    async def read(event: Event) -> None:
        heard.append(event)

    await world.connect(crm)
    acme = await world.tenant()
    request_id, called, nested = await acme.service(SERVICE).get("/outer")
    await eventually(lambda: heard)

    steps = [called, nested, heard[0].traceparent]
    assert [step.split("-")[1] for step in steps] == [request_id] * 3
    assert len(set(steps)) == 3


# Deadlines


async def test_call_without_an_answer_ends_at_its_deadline(world: World) -> None:
    await world.connect(make_endless())
    acme = await world.tenant()
    started = time.monotonic()

    with pytest.raises(CallTimeoutError, match=r"^API call timeout after 0\.2s: GET crm\.contacts /contacts"):
        await acme.service(SERVICE).get("/contacts", timeout=0.2)

    assert 0.19 < time.monotonic() - started < 1


async def test_every_timeout_is_told_in_the_same_words(world: World) -> None:
    """Whichever of caller and callee looks at its clock first."""
    await world.connect(make_endless())
    contacts = (await world.tenant()).service(SERVICE)

    calls = [contacts.get("/contacts", timeout=0.1 + number / 1000) for number in range(100)]
    errors = await asyncio.gather(*calls, return_exceptions=True)

    assert {str(error).partition("after")[0] for error in errors} == {"API call timeout "}


async def test_handler_is_cancelled_at_the_deadline_of_its_caller(world: World) -> None:
    cancelled = asyncio.Event()
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def endless(_call: Call) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await world.connect(crm)
    acme = await world.tenant()
    with pytest.raises(CallTimeoutError):
        await acme.service(SERVICE).get("/contacts", timeout=0.2)

    await eventually(cancelled.is_set, 2)


async def test_deadline_is_carried_to_nested_calls(world: World) -> None:
    crm, billing = make_plugin("crm", "GET /contacts", calls=("billing.contacts",)), make_plugin("billing", "GET /left")

    @billing.service("billing.contacts").get("/left")
    async def left(call: Call) -> float:
        return call.deadline.remaining_seconds

    @crm.service(SERVICE).get("/contacts")
    async def nested(call: Call) -> Any:
        return await call.tenant.service("billing.contacts").get("/left", timeout=30)

    await world.connect(billing)
    await world.connect(crm)
    acme = await world.tenant()

    assert 0 < await acme.service(SERVICE).get("/contacts", timeout=3) < 3


async def test_nested_call_that_hangs_ends_with_the_outer_deadline_and_its_text(world: World) -> None:
    billing = make_plugin("billing", "GET /contacts", calls=(SERVICE,))

    @billing.service("billing.contacts").get("/contacts")
    async def nested(call: Call) -> Any:
        return await call.tenant.service(SERVICE).get("/contacts")

    await world.connect(make_endless())
    await world.connect(billing)
    acme = await world.tenant(make_caller("billing.contacts"))

    errors = []
    for number in range(20):  # one by one: whose clock strikes first is a matter of fractions of a millisecond
        with pytest.raises(CodedError) as caught:
            await acme.service("billing.contacts").get("/contacts", timeout=0.05 + number / 10_000)
        errors.append(caught.value)

    assert {type(error) for error in errors} == {CallTimeoutError}
    assert all(" GET billing.contacts /contacts for acme-corp" in str(error) for error in errors)


async def test_timeout_that_is_no_time_is_refused(world: World) -> None:
    acme = await world.tenant()

    for timeout in (0, -1, float("nan"), float("inf"), 3601, 1e9, True, "5"):
        with pytest.raises(InvalidRequestError, match="timeout must be a number of seconds above 0, at most 3600"):
            await acme.service(SERVICE).get("/contacts", timeout=timeout)


async def test_header_that_is_no_text_is_refused_by_its_name(world: World) -> None:
    acme = await world.tenant()
    headers: Any = {"x-page": 1}

    with pytest.raises(InvalidRequestError, match=r"^headers: text 'x-page' must be text, found number 1$"):
        await acme.service(SERVICE).get("/contacts", headers=headers)


async def test_cancelled_caller_leaves_the_service_usable(world: World) -> None:
    started: list[Call] = []
    crm = await world.connect(make_endless(started))
    contacts = (await world.tenant()).service(SERVICE)
    waiting = asyncio.ensure_future(contacts.post("/contacts"))
    await eventually(lambda: started)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert waiting.cancelled()
    with pytest.raises(CallTimeoutError):
        await contacts.get("/contacts", timeout=0.2)
    await world.crash(crm)  # nobody tells it yet that the first call is not wanted any more


# Nobody there


async def test_service_that_nobody_offers_fails_at_once(world: World) -> None:
    acme = await world.tenant()
    started = time.monotonic()

    with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
        await acme.service(SERVICE).get("/contacts", timeout=30)

    assert time.monotonic() - started < 1


async def test_call_to_a_stopped_plugin_fails_at_once(world: World) -> None:
    crm = await world.connect(make_crm())
    acme = await world.tenant()
    assert await acme.service(SERVICE).get("/contacts") == "served"
    await world.stop(crm)
    started = time.monotonic()

    with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
        await acme.service(SERVICE).get("/contacts", timeout=30)

    assert time.monotonic() - started < 1


async def test_unroutable_call_fails_at_once_though_the_caller_believes_in_the_service(world: World) -> None:
    """The caller has missed every announcement: RabbitMQ itself returns the message."""
    crm = await world.connect(make_crm())
    analytics = await world.connect(make_caller())
    contacts = analytics.tenant(ACME).service(SERVICE)
    await contacts.get("/contacts")
    for consumer in analytics._consumers._inward[1:]:
        await consumer.cancel()
    await world.stop(crm)
    started = time.monotonic()

    with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
        await contacts.get("/contacts", timeout=30)

    assert time.monotonic() - started < 1


async def test_service_is_found_as_soon_as_it_comes_back(world: World) -> None:
    crm = await world.connect(make_crm("first"))
    acme = await world.tenant()
    assert await acme.service(SERVICE).get("/contacts") == "first"
    await world.stop(crm)
    await world.connect(make_crm("second"))

    async def answers() -> bool:
        try:
            return bool(await acme.service(SERVICE).get("/contacts") == "second")
        except ServiceNotFoundError:
            return False

    await eventually(answers, 2)


async def test_stopping_instance_answers_the_calls_it_has_received(world: World) -> None:
    started: list[Call] = []
    goes_on = asyncio.Event()
    crm = make_plugin("crm", "POST /contacts")

    @crm.service(SERVICE).post("/contacts")
    async def slow(call: Call) -> str:
        started.append(call)
        await goes_on.wait()
        return "done"

    runner = await world.connect(crm)
    acme = await world.tenant()
    waiting = asyncio.ensure_future(acme.service(SERVICE).post("/contacts"))
    await eventually(lambda: started)
    stopping = asyncio.ensure_future(world.stop(runner))
    goes_on.set()

    assert await waiting == "done"
    await stopping


# Versions


async def test_version_range_comes_from_the_manifest(world: World) -> None:
    await world.connect(make_crm("old", version="1.2.0"))
    await world.connect(make_crm("new", version="2.0.0"))
    analytics = make_plugin("analytics", needs=(need("crm", "^1.0.0", SERVICE),))
    careful, anything = await world.tenant(analytics), await world.tenant(make_caller(name="marketing"))

    assert await careful.service(SERVICE).get("/contacts") == "old"
    assert await anything.service(SERVICE).get("/contacts") == "new"


async def test_explicit_range_narrows_the_manifest_and_never_widens_it(world: World) -> None:
    for version in ("1.2.0", "1.5.0", "2.0.0"):
        await world.connect(make_crm(version, version=version))
    acme = await world.tenant(make_plugin("analytics", needs=(need("crm", "^1.0.0 || ^2.0.0", SERVICE),)))

    assert await acme.service(SERVICE).get("/contacts") == "2.0.0"
    assert await acme.service(SERVICE, "^1.0.0").get("/contacts") == "1.5.0"
    with pytest.raises(VersionMismatchError, match=r"no version in \^1\.0\.0 \|\| \^2\.0\.0 and >=3; installed: "):
        await acme.service(SERVICE, ">=3").get("/contacts")


async def test_range_that_no_installed_version_satisfies_is_a_mismatch(world: World) -> None:
    await world.connect(make_crm(version="1.5.0"))
    acme = await world.tenant()

    with pytest.raises(VersionMismatchError, match=r"Service crm\.contacts has no version in \^2\.0\.0") as caught:
        await acme.service(SERVICE, "^2.0.0").get("/contacts")

    assert caught.value.details["versions"] == ["1.5.0"]


async def test_range_of_the_manifest_that_nothing_satisfies_is_a_mismatch(world: World) -> None:
    await world.connect(make_crm(version="1.5.0"))
    acme = await world.tenant(make_plugin("analytics", needs=(need("crm", "~1.4.0", SERVICE, required=False),)))

    with pytest.raises(VersionMismatchError):
        await acme.service(SERVICE).get("/contacts")


async def test_range_that_is_none_is_an_invalid_request(world: World) -> None:
    await world.connect(make_crm())
    acme = await world.tenant()

    with pytest.raises(InvalidRequestError, match="not a range"):
        await acme.service(SERVICE, "not a range").get("/contacts")


async def test_service_name_that_is_none_is_an_invalid_request(world: World) -> None:
    acme = await world.tenant()

    for name in ("contacts-service", "CRM.Contacts", "crm/contacts", "crm.contacts.v1", "", "crm."):
        with pytest.raises(InvalidRequestError, match="is not valid: expected"):
            await acme.service(name).get("/contacts")


# Tenants


async def test_two_tenants_never_see_one_another(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts", "POST /contacts")
    books: dict[str, list[Any]] = {ACME: [], GLOBEX: []}

    @crm.service(SERVICE).get("/contacts")
    async def read(call: Call) -> list[Any]:
        return books[call.tenant.id]

    @crm.service(SERVICE).post("/contacts")
    async def add(call: Call) -> None:
        books[call.tenant.id].append(call.body)

    await world.connect(crm, tenants=[ACME, GLOBEX])
    analytics = await world.connect(make_caller(), tenants=[ACME, GLOBEX])
    acme, globex = (analytics.tenant(tenant).service(SERVICE) for tenant in (ACME, GLOBEX))
    await asyncio.gather(acme.post("/contacts", body="John"), globex.post("/contacts", body="Jane"))

    assert [await acme.get("/contacts"), await globex.get("/contacts")] == [["John"], ["Jane"]]


async def test_service_of_one_tenant_is_not_found_in_another(world: World) -> None:
    await world.connect(make_crm(), tenants=[ACME])
    globex = await world.tenant(tenant=GLOBEX)

    with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
        await globex.service(SERVICE).get("/contacts")


async def test_tenants_see_the_versions_installed_for_them(world: World) -> None:
    await world.connect(make_crm("old", version="1.0.0"), tenants=[ACME])
    await world.connect(make_crm("new", version="2.0.0"), tenants=[GLOBEX])
    analytics = await world.connect(make_caller(), tenants=[ACME, GLOBEX])
    answers = [await analytics.tenant(tenant).service(SERVICE).get("/contacts") for tenant in (ACME, GLOBEX)]

    assert answers == ["old", "new"]


async def test_unknown_tenant_is_not_found(world: World) -> None:
    runner = await world.connect(make_caller())

    with pytest.raises(TenantNotFoundError, match="Tenant 'nowhere' not found"):
        await runner.tenant("nowhere").service(SERVICE).get("/contacts")


# More than the callee can take


async def test_full_queue_is_told_at_once_and_nothing_was_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ holds what the callee has not taken yet, and refuses what is beyond that."""
    monkeypatch.setattr(topology, "CALL_QUEUE_LENGTH", 2)
    monkeypatch.setattr(CallServer, "prefetch", 3)
    monkeypatch.setenv("PLEXICA_CONCURRENCY", "1")
    started: list[Call] = []
    crm = await world.connect(make_endless(started))
    contacts = (await world.tenant()).service(SERVICE)
    calls = [asyncio.ensure_future(contacts.post("/contacts", timeout=20, retries=0)) for _ in range(20)]
    await eventually(lambda: sum(call.done() for call in calls) >= 10)
    done = [call for call in calls if call.done()]
    await world.crash(crm)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    assert {type(call.exception()) for call in done} == {OverloadedError}
    assert len(started) == 1


# Hostile calls: refused with the right code, and the queue stays usable


async def test_undecodable_call_is_an_invalid_request(world: World) -> None:
    table = {
        b"{": "the body is not JSON",
        b"\xff\xfe": "the body is not JSON",
        b"": "the body is not JSON",
        b'{"method": "GET", "path": NaN}': "NaN is not JSON",
        b"[" * 100_000: "the body is not JSON",
        encode([1]): "a call must be a JSON object, found an array",
        encode({}): "method must be GET, POST, PUT, PATCH or DELETE, found null",
        encode({"method": ["GET"], "path": "/contacts"}): "method must be",
        encode({"method": "get", "path": "/contacts"}): "method must be",
        encode({"method": "GET"}): "path must be text, found null",
        encode({"method": "GET", "path": "/contacts", "query": {"a": 1}}): "query: text 'a' must be an array of text",
        encode({"method": "GET", "path": "/contacts", "headers": {"a": 1}}): "headers must be an object",
    }
    found = await raw_calls_are_answered(world, *({"body": body} for body in table))

    assert {(status, code) for status, code, _ in found} == {(400, "INVALID_REQUEST")}
    for (_, _, message), said in zip(found, table.values(), strict=True):
        assert said in message


async def test_message_of_another_type_is_an_invalid_request(world: World) -> None:
    ((status, code, message),) = await raw_calls_are_answered(world, {"type": "event"})

    assert (status, code) == (400, "INVALID_REQUEST")
    assert "unknown message type 'event'" in message


async def test_call_without_a_tenant_is_an_invalid_request(world: World) -> None:
    headers: list[Headers] = [{}, {TENANT_HEADER: ""}, {TENANT_HEADER: None}, {TENANT_HEADER: 7}]
    found = await raw_calls_are_answered(world, *({"headers": given} for given in headers))

    assert found == [(400, "INVALID_REQUEST", "Tenant ID required")] * 4


async def test_tenant_header_that_contradicts_the_routing_key_is_denied(world: World) -> None:
    ((status, code, message),) = await raw_calls_are_answered(world, {"headers": {TENANT_HEADER: GLOBEX}})

    assert (status, code) == (403, "PERMISSION_DENIED")
    assert "the routing key speaks for 'acme-corp'" in message


async def test_caller_header_that_names_somebody_else_is_not_believed(world: World) -> None:
    headers: Headers = {TENANT_HEADER: ACME, CALLER_HEADER: "plugin-admin"}
    ((status, code, message),) = await raw_calls_are_answered(world, {"headers": headers})

    assert (status, code) == (401, "UNAUTHENTICATED")
    assert "'plugin-analytics' published the message" in message


async def test_unknown_tenant_is_not_found_by_the_broker_either(world: World) -> None:
    body = call_bytes(path="/services")
    headers: Headers = {TENANT_HEADER: "nowhere"}
    answer = reply_of(await world.ask_raw(body, key="nowhere.system.registry.1.0.0", headers=headers))

    assert answer.error is not None
    assert (answer.status, answer.error["code"]) == (404, "TENANT_NOT_FOUND")


async def test_call_whose_deadline_has_passed_is_not_run(world: World) -> None:
    spent: list[Headers] = [
        {BUDGET_HEADER: 0},
        {BUDGET_HEADER: -5},
        {DEADLINE_HEADER: 1},
        {BUDGET_HEADER: 60_000, DEADLINE_HEADER: 1},
    ]
    found = await raw_calls_are_answered(world, *({"headers": {TENANT_HEADER: ACME, **given}} for given in spent))

    assert found == [(504, "CALL_TIMEOUT", "the deadline had passed before the call was run")] * 4


async def test_deadline_that_is_no_time_does_not_stop_a_service(world: World) -> None:
    await world.connect(make_crm())
    values: list[Any] = ["soon", True, 1e30, -1, None]

    for value in values:
        headers: Headers = {TENANT_HEADER: ACME, BUDGET_HEADER: value, DEADLINE_HEADER: value}
        answer = reply_of(await world.ask_raw(call_bytes(), headers=headers))

        assert answer.status in {200, 504}


async def test_call_that_names_no_way_to_answer_does_not_stop_a_service(world: World) -> None:
    """Nobody could be told: it goes, and comes back neither again and again nor at all."""
    crm = make_echo()
    runner = await world.connect(crm)
    raw = await world.raw("plugin-analytics")
    message = Message(
        body=call_bytes("POST", body="lost"), type="call", message_id=new_id(), headers={TENANT_HEADER: ACME}
    )
    with world.sent_by(runner) as sent:
        await raw.publish(message, exchange=world.topology.calls, routing_key=f"{ACME}.{SERVICE}.1.0.0")
        acme = await world.tenant()
        assert await acme.service(SERVICE).post("/contacts", body="kept", timeout=5) == "kept"
        await eventually(lambda: runner._server.load == 0)

    assert len([one for one in sent if one.exchange == world.topology.dead]) == 1


async def test_call_to_the_broker_that_names_no_way_to_answer_does_not_stop_it(world: World) -> None:
    raw = await world.raw("plugin-analytics")
    message = Message(body=b"{", type="call", message_id=new_id())
    await raw.publish(message, exchange=world.topology.calls, routing_key="_.system.registry.1.0.0")
    acme = await world.tenant()

    assert await acme.registry.list() == []
    await eventually(lambda: world.broker._runner._server.load == 0)


async def test_reply_of_a_stranger_is_not_believed(world: World) -> None:
    """Somebody who learned the correlation id answers before the callee does."""
    started: list[Call] = []
    crm = make_plugin("crm", "GET /contacts")
    goes_on = asyncio.Event()

    @crm.service(SERVICE).get("/contacts")
    async def slow(call: Call) -> str:
        started.append(call)
        await goes_on.wait()
        return "true"

    await world.connect(crm)
    analytics = await world.connect(make_caller())
    waiting = asyncio.ensure_future(analytics.tenant(ACME).service(SERVICE).get("/contacts"))
    await eventually(lambda: started)
    (correlation_id,) = analytics._client._pending._waiting
    forged = Message(
        body=encode({"status": 200, "data": "false"}), type="reply", message_id=new_id(), correlation_id=correlation_id
    )
    raw = await world.raw("plugin-mallory")
    key = world.topology.reply_key("plugin-analytics", analytics.instance)
    await raw.publish(forged, exchange=world.topology.replies, routing_key=key)
    goes_on.set()

    assert await waiting == "true"


async def test_reply_that_is_nonsense_ends_the_call_at_once(world: World) -> None:
    started: list[Call] = []
    crm = await world.connect(make_endless(started))
    analytics = await world.connect(make_caller())
    raw = await world.raw("plugin-crm")
    key = world.topology.reply_key("plugin-analytics", analytics.instance)
    for body in (
        b"{",
        b"[]",
        b'{"status": "200"}',
        b'{"status": 200, "error": "no"}',
        b'{"status": 200, "headers": 7}',
    ):
        waiting = asyncio.ensure_future(analytics.tenant(ACME).service(SERVICE).get("/contacts"))
        await eventually(lambda: started)
        started.clear()
        (correlation_id,) = analytics._client._pending._waiting
        nonsense = Message(body=body, type="reply", message_id=new_id(), correlation_id=correlation_id)
        await raw.publish(nonsense, exchange=world.topology.replies, routing_key=key)

        with pytest.raises(CodedError, match="plugin-crm answered nonsense"):
            await asyncio.wait_for(waiting, 5)
    await world.crash(crm)

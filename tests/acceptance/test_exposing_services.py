"""Exposing services: what a handler is given, and what becomes of what it returns or raises."""

from http import HTTPStatus
from typing import Any

import pytest
import structlog

from contracts.calls import MAX_BODY_BYTES
from contracts.errors import (
    EndpointNotFoundError,
    InvalidRequestError,
    NameTakenError,
    RateLimitedError,
    RemoteError,
)
from plugin_runtime import Call, Plugin, Refusal, Reply, ServiceClient
from tests.acceptance.plugins import make_plugin
from tests.acceptance.world import ACME, World, call_bytes, reply_of

SERVICE = "crm.contacts"
ANY_JSON: tuple[Any, ...] = (
    0,
    1.5,
    False,
    True,
    "",
    None,
    [],
    {},
    [None, 0, ""],
    {"nested": {"deep": [1, "é", None]}},
    "text",
)


async def serve(world: World, crm: Plugin) -> ServiceClient:
    """The CRM's contacts as analytics sees them."""
    await world.connect(crm)
    return (await world.tenant()).service(SERVICE)


async def raising(world: World, error: Exception) -> ServiceClient:
    """A service whose only endpoint raises this."""
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def fail(_call: Call) -> None:
        raise error

    return await serve(world, crm)


async def echoing(world: World) -> ServiceClient:
    """A service that answers with the body it was given."""
    crm = make_plugin("crm", "POST /contacts")

    @crm.service(SERVICE).post("/contacts")
    async def echo(call: Call) -> Any:
        return call.body

    return await serve(world, crm)


# What a handler is given


async def test_path_parameters_arrive_decoded_once(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts/:contact/notes/:note")

    @crm.service(SERVICE).get("/contacts/:contact/notes/:note")
    async def read(_call: Call, contact: str, note: str) -> list[str]:
        return [contact, note]

    contacts = await serve(world, crm)

    for path, expected in (
        ("/contacts/42/notes/7", ["42", "7"]),
        ("/contacts/a%2Fb/notes/c%20d", ["a/b", "c d"]),
        ("/contacts/100%25/notes/%C3%A9", ["100%", "é"]),
        ("/contacts/a%252Fb/notes/1", ["a%2Fb", "1"]),
    ):
        assert await contacts.get(path) == expected


async def test_query_keeps_repeated_keys_and_writes_values_as_text(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def read(call: Call) -> Any:
        return {"limit": call.query["limit"], "tags": call.query.all("tag"), "keys": sorted(call.query)}

    contacts = await serve(world, crm)
    answer = await contacts.get("/contacts", query={"limit": 10, "tag": ["vip", "a&b=c"], "all": True, "left": None})

    assert answer == {"limit": "10", "tags": ["vip", "a&b=c"], "keys": ["all", "limit", "tag"]}


async def test_body_of_any_json_value_arrives_as_it_was_sent(world: World) -> None:
    contacts = await echoing(world)

    for body in ANY_JSON:
        answer = await contacts.post("/contacts", body=body)

        assert (answer, type(answer)) == (body, type(body))


async def test_headers_arrive_in_lower_case(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def read(call: Call) -> dict[str, str]:
        return dict(call.headers)

    contacts = await serve(world, crm)
    result = await contacts.request("GET", "/contacts", headers={"X-Trace": "Abc", "accept": "json"})

    assert result.data == {"x-trace": "Abc", "accept": "json"}


async def test_handler_is_told_who_calls_and_for_which_tenant(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def read(call: Call) -> list[str]:
        return [call.caller, call.tenant.id, call.method, call.path]

    contacts = await serve(world, crm)

    assert await contacts.get("/contacts") == ["plugin-analytics", ACME, "GET", "/contacts"]


async def test_log_lines_of_a_handler_carry_caller_and_tenant(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def read(call: Call) -> bool:
        bound = structlog.contextvars.get_contextvars()
        return bound == {
            "tenant": ACME,
            "caller": "plugin-analytics",
            "request_id": call.request_id,
            "service": SERVICE,
        }

    contacts = await serve(world, crm)

    assert await contacts.get("/contacts") is True


async def test_literal_segment_beats_a_parameter_declared_before_it(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts/:contact", "GET /contacts/search")
    contacts = crm.service(SERVICE)

    @contacts.get("/contacts/:contact")
    async def read(_call: Call, contact: str) -> str:
        return f"contact {contact}"

    @contacts.get("/contacts/search")
    async def search(_call: Call) -> str:
        return "search"

    client = await serve(world, crm)

    assert [await client.get("/contacts/search"), await client.get("/contacts/7")] == ["search", "contact 7"]


# What a handler answers


async def test_returned_value_is_answered_with_status_200(world: World) -> None:
    contacts = await echoing(world)

    result = await contacts.request("POST", "/contacts", body={"name": "John"})

    assert (result.status, dict(result.headers), result.data) == (200, {}, {"name": "John"})


async def test_reply_chooses_status_and_headers(world: World) -> None:
    crm = make_plugin("crm", "POST /contacts")

    @crm.service(SERVICE).post("/contacts")
    async def create(_call: Call) -> Reply:
        return Reply({"id": "42"}, status=HTTPStatus.CREATED, headers={"location": "/contacts/42"})

    contacts = await serve(world, crm)
    result = await contacts.request("POST", "/contacts")

    assert (result.status, dict(result.headers), result.data) == (201, {"location": "/contacts/42"}, {"id": "42"})


async def test_refusal_raises_a_remote_error_with_its_status_and_data(world: World) -> None:
    contacts = await raising(world, Refusal(404, "Contact not found", id="42"))

    with pytest.raises(RemoteError, match="Contact not found") as caught:
        await contacts.get("/contacts")

    assert (caught.value.status, caught.value.data) == (404, {"error": "Contact not found", "id": "42"})


async def test_request_returns_a_refusal_instead_of_raising(world: World) -> None:
    contacts = await raising(world, Refusal(409, "Contact exists"))

    result = await contacts.request("GET", "/contacts")

    assert (result.status, result.data) == (409, {"error": "Contact exists"})


async def test_exception_of_a_handler_is_answered_with_500_type_and_message(world: World) -> None:
    contacts = await raising(world, ZeroDivisionError("division by zero"))

    with pytest.raises(RemoteError, match="ZeroDivisionError: division by zero") as caught:
        await contacts.get("/contacts")

    assert caught.value.status == 500
    assert caught.value.data == {
        "error": "Internal server error",
        "message": "ZeroDivisionError: division by zero",
        "type": "ZeroDivisionError",
    }


async def test_no_traceback_crosses_the_wire(world: World) -> None:
    await raising(world, KeyError("secret_column"))

    answer = await world.ask_raw(call_bytes())

    assert reply_of(answer).status == 500
    assert not any(word in answer.body for word in (b"Traceback", b".py", b"line "))


async def test_coded_error_of_a_handler_is_its_fault_and_not_the_bus_speaking(world: World) -> None:
    """RATE_LIMITED promises that nothing was run; only the bus itself can know."""
    contacts = await raising(world, RateLimitedError("Slow down", retryAfter=3))

    with pytest.raises(RemoteError, match="RateLimitedError: Slow down") as caught:
        await contacts.get("/contacts")

    assert caught.value.status == 500


async def test_failure_of_a_nested_call_is_told_to_the_outer_caller_as_a_fault(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts", calls=("billing.invoices",))

    @crm.service(SERVICE).get("/contacts")
    async def ask_further(call: Call) -> Any:
        return await call.tenant.service("billing.invoices").get("/invoices")

    contacts = await serve(world, crm)

    with pytest.raises(RemoteError, match=r"ServiceNotFoundError: Service billing\.invoices not found or unavailable"):
        await contacts.get("/contacts")


async def test_answer_that_is_no_json_is_a_remote_error_that_says_so(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def read(_call: Call) -> Any:
        return {"when": object()}

    contacts = await serve(world, crm)

    with pytest.raises(RemoteError, match="the handler's answer is no JSON value") as caught:
        await contacts.get("/contacts")

    assert caught.value.status == 500


async def test_answer_above_eight_mebibytes_is_a_remote_error(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def read(_call: Call) -> str:
        return "x" * MAX_BODY_BYTES

    contacts = await serve(world, crm)

    with pytest.raises(RemoteError, match=f"at most {MAX_BODY_BYTES} are allowed"):
        await contacts.get("/contacts")


async def test_reply_with_an_impossible_status_is_a_remote_error_at_once(world: World) -> None:
    """The caller must hear of it: an answer that its runtime cannot read would leave the outcome unknown."""
    crm = make_plugin("crm", "POST /contacts")

    @crm.service(SERVICE).post("/contacts")
    async def answer(call: Call) -> Reply:
        return Reply("x", status=call.body)

    contacts = await serve(world, crm)

    for status in (0, 99, 600, "201", 3.5, True, None):
        with pytest.raises(RemoteError, match="the handler's answer has status") as caught:
            await contacts.post("/contacts", body=status, timeout=5)
        assert caught.value.status == 500


async def test_reply_with_headers_that_are_no_text_is_a_remote_error_at_once(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts")

    @crm.service(SERVICE).get("/contacts")
    async def read(_call: Call) -> Reply:
        headers: dict[str, Any] = {"x-total-count": 4}
        return Reply([], headers=headers)

    contacts = await serve(world, crm)

    with pytest.raises(RemoteError, match="header") as caught:
        await contacts.get("/contacts", timeout=5)

    assert caught.value.status == 500


# What is refused before a handler runs


async def test_unknown_endpoint_lists_what_exists(world: World) -> None:
    crm = make_plugin("crm", "GET /contacts", "POST /contacts")
    service = crm.service(SERVICE)

    @service.get("/contacts")
    @service.post("/contacts")
    async def answer(_call: Call) -> None: ...

    contacts = await serve(world, crm)

    with pytest.raises(EndpointNotFoundError, match=r"Endpoint DELETE /contacts not found in crm\.contacts") as caught:
        await contacts.delete("/contacts")

    assert sorted(caught.value.details["available"]) == ["GET /contacts", "POST /contacts"]


async def test_path_is_matched_to_the_letter(world: World) -> None:
    contacts = await raising(world, AssertionError("not asked"))

    for path in ("/contacts/", "/Contacts", "/contacts/7/notes", "/"):
        with pytest.raises(EndpointNotFoundError):
            await contacts.get(path)


async def test_path_with_dot_segments_or_query_is_refused(world: World) -> None:
    contacts = await raising(world, AssertionError("not asked"))
    dots = ("/contacts/..", "/contacts/%2e%2E", "/./contacts", "/%2E")

    for path in (*dots, "/contacts?limit=1", "/contacts#a", "contacts", "", "/%FF"):
        with pytest.raises(InvalidRequestError, match="path"):
            await contacts.get(path)


async def test_body_above_eight_mebibytes_is_refused_before_it_is_sent(world: World) -> None:
    contacts = await echoing(world)

    with pytest.raises(InvalidRequestError, match=f"at most {MAX_BODY_BYTES} are allowed"):
        await contacts.post("/contacts", body="x" * MAX_BODY_BYTES)


async def test_body_of_some_mebibytes_arrives_whole(world: World) -> None:
    contacts = await echoing(world)
    body = "é" * (3 * 1024 * 1024)

    assert await contacts.post("/contacts", body=body) == body


async def test_body_that_is_no_json_is_refused_before_it_is_sent(world: World) -> None:
    contacts = await echoing(world)

    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        await contacts.post("/contacts", body=float("nan"))


async def test_plugin_may_not_take_a_service_of_another_one(world: World) -> None:
    """The manifest's rules refuse the name; one that gets round them is refused by the broker."""
    await serve(world, make_plugin("crm"))
    mallory = await world.connect(make_plugin("mallory"))
    body = {
        "instanceId": mallory.instance,
        "serviceName": SERVICE,
        "version": "1.0.0",
        "endpoints": [{"method": "GET", "path": "/contacts"}],
    }

    with pytest.raises(NameTakenError, match=r"Service crm\.contacts belongs to plugin-crm, not to plugin-mallory"):
        await mallory.tenant("_").service("system.registry").put("/services", body=body)

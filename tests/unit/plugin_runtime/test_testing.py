"""`plugin_runtime.testing`: handlers as functions, and a tenant that is none."""

from typing import Any

import pytest
from pydantic import BaseModel

from contracts.errors import (
    InvalidRequestError,
    PermissionDeniedError,
    RemoteError,
    ServiceNotFoundError,
    StaleRevisionError,
    UndeclaredDependencyError,
)
from plugin_runtime import Plugin, Refusal, Reply
from plugin_runtime.testing import FakeTenant, MadeCall, PublishedEvent, make_call, make_change, make_event

CREATED = "crm.events.contact.created"


class Contact(BaseModel):
    """A reply model."""

    name: str


def crm() -> Plugin:
    return Plugin.from_manifest({"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {}})


def test_call_comes_as_out_of_the_wire() -> None:
    call = make_call(
        query={"limit": 10, "tag": ["a", "b"]}, headers={"X-Trace": "7"}, body={"contact": Contact(name="Ada")}
    )

    assert (call.tenant.id, call.caller, call.method, call.path) == ("acme-corp", "plugin-test", "GET", "/")
    assert call.query.to_json() == {"limit": ["10"], "tag": ["a", "b"]}
    assert call.headers == {"x-trace": "7"}
    assert call.body == {"contact": {"name": "Ada"}}
    assert 29 < call.deadline.remaining_seconds <= 30


def test_event_comes_from_the_owner_of_its_key() -> None:
    event = make_event(CREATED, {"contactId": "1"}, attempt=3)

    assert (event.publisher, event.attempt, event.tenant.id) == ("plugin-crm", 3, "acme-corp")
    assert event.data == {"contactId": "1"}


def test_change_is_a_first_value_unless_said_otherwise() -> None:
    change = make_change("crm.cache", "count", 5)
    gone = make_change("crm.cache", "count", kind="expired", revision=2)

    assert (change.kind, change.value, change.owner, change.revision) == ("set", 5, "plugin-crm", 1)
    assert (gone.kind, gone.value, gone.revision) == ("expired", None, 2)


@pytest.mark.parametrize("body", [float("nan"), {"path": {1, 2}, "f": lambda: None}])
def test_body_that_is_no_json_is_refused(body: Any) -> None:
    with pytest.raises(InvalidRequestError):
        make_call(body=body)


def test_key_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="event key 'created' is not valid"):
        make_event("created")


async def test_calls_are_answered_as_said_and_kept() -> None:
    acme = FakeTenant()
    acme.answer("crm.contacts", "GET", "/contacts/1", Contact(name="Ada"))
    acme.answer("crm.contacts", "POST", "/contacts", Reply({"id": "2"}, status=201, headers={"Location": "/2"}))
    contacts = acme.service("crm.contacts")

    found = await contacts.get("/contacts/1", query={"full": True}, reply=Contact)
    created = await contacts.request("POST", "/contacts", body={"name": "Bo"})

    assert found == Contact(name="Ada")
    assert (created.status, created.data, created.headers) == (201, {"id": "2"}, {"location": "/2"})
    assert acme.calls == [
        MadeCall(service="crm.contacts", method="GET", path="/contacts/1", query={"full": ["true"]}),
        MadeCall(service="crm.contacts", method="POST", path="/contacts", body={"name": "Bo"}),
    ]


async def test_answers_may_be_errors_refusals_and_functions() -> None:
    acme = FakeTenant()

    async def page(call: MadeCall) -> Any:
        return call.query["page"]

    acme.answer("crm.contacts", "GET", "/gone", ServiceNotFoundError("Service crm.contacts not found"))
    acme.answer("crm.contacts", "GET", "/refused", Refusal(404, "Contact not found"))
    acme.answer("crm.contacts", "GET", "/pages", page)
    contacts = acme.service("crm.contacts")

    with pytest.raises(ServiceNotFoundError):
        await contacts.get("/gone")
    with pytest.raises(RemoteError, match="answered 404: Contact not found"):
        await contacts.get("/refused")
    assert await contacts.get("/pages", query={"page": 3}) == ["3"]


async def test_call_that_the_test_did_not_foresee_fails_it() -> None:
    acme = FakeTenant()
    acme.answer("crm.contacts", "GET", "/contacts", [])

    with pytest.raises(AssertionError, match=r"called POST crm.deals /deals, .* it has: GET crm.contacts /contacts"):
        await acme.service("crm.deals").post("/deals")
    with pytest.raises(AssertionError, match=r"a FakeTenant has none: use broker\.testing"):
        await acme.registry.discover("crm.contacts")


async def test_call_that_the_manifest_does_not_declare_is_refused_as_on_the_bus() -> None:
    acme = FakeTenant(plugin=crm())
    acme.answer("billing.invoices", "GET", "/invoices", [])

    with pytest.raises(UndeclaredDependencyError, match=r"calls billing\.invoices, which it does not declare"):
        await acme.service("billing.invoices").get("/invoices")
    assert acme.calls == []


async def test_events_are_kept_and_judged() -> None:
    acme, free = FakeTenant("acme-corp", plugin=crm()), FakeTenant("globex")

    await acme.emit(CREATED, {"contact": Contact(name="Ada")})
    await free.emit("billing.events.opened", 1)

    data = {"contact": {"name": "Ada"}}
    assert acme.events == [PublishedEvent(key=CREATED, tenant="acme-corp", data=data, publisher="plugin-crm")]
    assert [(event.tenant, event.publisher) for event in free.events] == [("globex", "plugin-billing")]
    with pytest.raises(PermissionDeniedError):
        await acme.emit("billing.events.opened", 1)
    with pytest.raises(InvalidRequestError):
        await acme.emit("opened", 1)


async def test_shared_data_is_a_dictionary_with_revisions() -> None:
    data = FakeTenant(plugin=crm()).data

    assert await data.set("crm.cache", "count", 1, ttl=60) == 1
    assert await data.set("crm.cache", "count", 2, if_revision=1) == 2
    with pytest.raises(StaleRevisionError):
        await data.set("crm.cache", "count", 3, if_revision=1)

    entry = await data.entry("crm.cache", "count")
    assert entry is not None
    assert (entry.value, entry.owner_id, entry.revision) == (2, "plugin-crm", 2)
    assert await data.get("crm.cache", "other", default="none") == "none"
    assert await data.keys("crm.cache", prefix="co") == ["count"]
    assert [await data.delete("crm.cache", "count") for _ in range(2)] == [True, False]

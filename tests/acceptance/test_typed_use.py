"""Typed handlers and typed callers: who sends what does not fit hears where, before anything is run."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from broker.client_source.source import Offer, client_source
from contracts.errors import InvalidRequestError, MalformedMessageError, RemoteError
from contracts.registry import ServiceRecord
from plugin_runtime import Call, Plugin, Reply
from tests.acceptance.plugins import make_caller, make_plugin
from tests.acceptance.world import World
from tests.unit.broker.client_sources import loaded

SERVICE = "crm.contacts"


class NewContact(BaseModel):
    name: Annotated[str, Field(min_length=1)]
    tags: list[str] = []


class Contact(NewContact):
    id: int


class ListQuery(BaseModel):
    limit: Annotated[int, Field(ge=1)] = 100
    tag: list[str] = []


def make_typed_crm(run: list[Any] | None = None) -> Plugin:
    """A CRM whose handlers declare types; what they were run with stands in ``run``."""
    crm = make_plugin("crm", "GET /contacts", "POST /contacts", "GET /contacts/:id")
    contacts = crm.service(SERVICE)
    kept = [] if run is None else run

    @contacts.get("/contacts")
    async def list_contacts(call: Call, query: ListQuery) -> list[Contact]:
        del call
        kept.append(query)
        return [Contact(id=number, name="Ada", tags=query.tag) for number in range(query.limit)]

    @contacts.post("/contacts")
    async def create(call: Call, body: NewContact) -> Reply[Contact]:
        del call
        kept.append(body)
        return Reply(Contact(id=7, **body.model_dump()), status=201)

    @contacts.get("/contacts/:id")
    async def get_contact(call: Call, id: int) -> Contact:
        del call
        kept.append(id)
        return Contact(id=id, name="Ada") if id else {"id": "none"}  # type: ignore[return-value]

    return crm


async def test_models_travel_as_body_query_and_reply(world: World) -> None:
    run: list[Any] = []
    await world.connect(make_typed_crm(run))
    contacts = (await world.tenant(make_caller())).service(SERVICE)

    made = await contacts.request("POST", "/contacts", body=NewContact(name="Ada", tags=["vip"]))
    listed = await contacts.get("/contacts", query=ListQuery(limit=2, tag=["vip"]), reply=list[Contact])
    found = await contacts.get("/contacts/42", reply=TypeAdapter(Contact | None))

    assert (made.status, made.data) == (201, {"id": 7, "name": "Ada", "tags": ["vip"]})
    assert listed == [Contact(id=number, name="Ada", tags=["vip"]) for number in (0, 1)]
    assert found == Contact(id=42, name="Ada")
    assert run == [NewContact(name="Ada", tags=["vip"]), ListQuery(limit=2, tag=["vip"]), 42]


async def test_what_does_not_fit_is_refused_by_dotted_path_and_nothing_is_run(world: World) -> None:
    run: list[Any] = []
    await world.connect(make_typed_crm(run))
    contacts = (await world.tenant(make_caller())).service(SERVICE)

    with pytest.raises(
        InvalidRequestError, match=r"^body\.name: is required; body\.tags\.1: must be text, found number 1$"
    ):
        await contacts.post("/contacts", body={"tags": ["a", 1]})
    with pytest.raises(InvalidRequestError, match=r"^query\.limit: must be at least 1, found text '0'$") as caught:
        await contacts.get("/contacts", query={"limit": 0})
    with pytest.raises(InvalidRequestError, match=r"^path\.id: must be a whole number, found text 'x'$"):
        await contacts.get("/contacts/x")

    assert caught.value.status == 400
    assert caught.value.details["errors"] == [{"path": "query.limit", "message": "must be at least 1, found text '0'"}]
    assert run == []


async def test_an_answer_that_does_not_fit_is_the_callee_s_fault(world: World) -> None:
    await world.connect(make_typed_crm())
    contacts = (await world.tenant(make_caller())).service(SERVICE)

    with pytest.raises(RemoteError, match=r"reply\.name: is required; reply\.id: must be a whole number") as caught:
        await contacts.get("/contacts/0")

    assert (caught.value.status, caught.value.data["type"]) == (500, "UnfitAnswerError")


async def test_a_reply_that_the_caller_expected_otherwise_names_every_place(world: World) -> None:
    await world.connect(make_typed_crm())
    contacts = (await world.tenant(make_caller())).service(SERVICE)

    with pytest.raises(MalformedMessageError) as caught:
        await contacts.get("/contacts", query={"limit": 2}, reply=list[NamesOnly])

    said = "reply.0.tags: must be text, found an array; reply.1.tags: must be text, found an array"
    assert str(caught.value) == f"GET crm.contacts /contacts answered data that is no list[NamesOnly]: {said}"


class NamesOnly(BaseModel):
    tags: str


async def test_schemas_of_handlers_are_in_the_registry_for_who_asks(world: World) -> None:
    await world.connect(make_typed_crm())
    registry = (await world.tenant(make_caller())).registry

    known = await registry.discover(SERVICE)
    asked = await registry.discover(SERVICE, schemas=True)
    (listed,) = [record for record in await registry.list() if record.service_name == SERVICE]

    assert [endpoint_schemas(record) for record in (known, listed)] == [{}, {}]
    found = endpoint_schemas(asked)
    assert sorted(found) == [
        "GET /contacts query response",
        "GET /contacts/:id response",
        "POST /contacts request response",
    ]
    assert found["GET /contacts query response"]["query"]["properties"]["limit"]["minimum"] == 1
    assert found["GET /contacts query response"]["response"]["items"] == {"$ref": "#/$defs/Contact"}


def endpoint_schemas(record: ServiceRecord) -> dict[str, Any]:
    found = {}
    for item in record.endpoints:
        schemas = {key: getattr(item, key) for key in ("query", "request", "response") if getattr(item, key)}
        if schemas:
            found[" ".join((item.method, item.path, *schemas))] = schemas
    return found


async def test_a_client_generated_from_the_registry_is_used_over_the_bus(world: World) -> None:
    await world.connect(make_typed_crm())
    acme = await world.tenant(make_caller())
    found = await acme.registry.discover(SERVICE, schemas=True)
    offer = Offer(found.plugin_id, found.service_name, found.version, found.endpoints, found.metadata)
    module = loaded(client_source(offer))
    contacts = module.ContactsClient(acme)

    made = await contacts.post_contacts(module.NewContact(name="Ada", tags=["vip"]))
    listed = await contacts.get_contacts(limit=2, tag=["vip"])
    got = await contacts.get_contacts_by_id(42)

    assert made == module.Contact(id=7, name="Ada", tags=["vip"])
    assert [contact.id for contact in listed] == [0, 1]
    assert got == module.Contact(id=42, name="Ada")
    with pytest.raises(InvalidRequestError, match=r"^query\.limit: must be at least 1"):
        await contacts.get_contacts(limit=0)
    with pytest.raises(RemoteError):
        await contacts.get_contacts_by_id(0)


async def test_the_author_s_file_without_schemas_is_no_other_content(world: World) -> None:
    crm = make_typed_crm()
    await world.connect(crm)
    console = await world.connect(make_plugin("console"))

    await console.platform.publish_manifest(crm.manifest)

    asked = await (await world.tenant(make_caller())).registry.discover(SERVICE, schemas=True)
    assert len(endpoint_schemas(asked)) == 3
    assert (await console.platform.manifest("plugin-crm")).service(SERVICE) == crm.definition.described().service(
        SERVICE
    )

"""What the type checker says of the public API; type-checked, never run."""

from typing import Any, assert_type

from pydantic import TypeAdapter

from contracts import DataChange, PluginManifest, satisfies
from contracts.calls import CallResult
from contracts.dependencies import CanUninstall, Resolution
from contracts.registry import ServiceRecord
from contracts.shared_data import SharedValue
from plugin_runtime import Call, Change, Event, Plugin, Refusal, Reply, ServiceClient, TenantClient

crm = Plugin.from_manifest("plugin.json")
contacts = crm.service("crm.contacts")


class Contact:
    """A reply model."""


@contacts.get("/contacts/:id")
async def get_contact(call: Call, id: str) -> Reply:
    assert_type(call.tenant, TenantClient)
    assert_type(call.caller, str)
    assert_type(call.query["limit"], str)
    assert_type(call.query.all("tag"), list[str])
    if call.body is None:
        raise Refusal(404, "Contact not found", id=id)
    return Reply({}, status=201)


@contacts.put("/contacts/:id")
async def change_contact(call: Call, id: int, body: Contact) -> Reply[Contact]:
    del call, id
    return Reply(body, status=200)


@crm.on("crm.events.contact.created", name="welcome", broadcast=True)
async def welcome(event: Event) -> None:
    assert_type(event.tenant, TenantClient)
    assert_type(event.key, str)
    assert_type(event.attempt, int)


@crm.on_data("crm.cache.*")
async def changed(change: Change) -> None:
    assert_type(change.revision, int)
    assert_type(change.owner, str)


async def callers() -> None:
    async with crm.connected("amqp://localhost/", tenants=["acme-corp"]):
        acme = crm.tenant("acme-corp")
        service = acme.service("crm.contacts", "^1.0.0")
        assert_type(service, ServiceClient)
        assert_type(await service.get("/contacts/1"), Any)
        assert_type(await service.get("/contacts/1", reply=Contact), Contact)
        assert_type(await service.get("/contacts", query={"limit": 10}, reply=list[Contact]), list[Contact])
        either: TypeAdapter[Contact | None] = TypeAdapter(Contact | None)
        assert_type(await service.get("/contacts/1", reply=either), Contact | None)
        assert_type(await service.request("GET", "/contacts", timeout=10), CallResult)
        assert_type(await acme.emit("crm.events.contact.created", {"contactId": "42"}), str)
        assert_type(await acme.data.set("crm.cache", "contact_count", 1250, ttl=3600), int)
        assert_type(await acme.data.entry("crm.cache", "contact_count"), SharedValue | None)
        assert_type(await acme.data.keys("crm.cache"), list[str])
        assert_type(await acme.registry.discover("crm.contacts", "^1.0.0"), ServiceRecord)
        assert_type(await acme.registry.list(), list[ServiceRecord])
        assert_type(await acme.dependencies.resolve("plugin-analytics"), Resolution)
        assert_type(await acme.dependencies.can_uninstall("plugin-crm"), CanUninstall)
        async with acme.data.watch("crm.cache.*") as changes:
            async for change in changes:
                assert_type(change, DataChange)


assert_type(satisfies("1.0.0", "^1.0.0"), bool)
assert_type(PluginManifest.load({}), PluginManifest)
# A decorated handler is still the function it was: a unit test calls it.
assert_type(get_contact.__name__, str)

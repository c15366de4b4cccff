"""Two plugins: the CRM answers calls and announces new contacts, marketing asks and hears."""

import asyncio

from broker.testing import running
from plugin_runtime import Call, Event, Plugin, Refusal, configure_logs

crm = Plugin.from_manifest(
    {
        "id": "plugin-crm",
        "name": "CRM",
        "version": "1.4.0",
        "api": {
            "services": [
                {
                    "name": "crm.contacts",
                    "version": "1.4.0",
                    "endpoints": [
                        {"method": "GET", "path": "/contacts/:id"},
                        {"method": "POST", "path": "/contacts"},
                    ],
                }
            ],
            "events": {"publishes": ["crm.events.contact.created"]},
        },
    }
)
contacts = crm.service("crm.contacts")
people = {"1": {"id": "1", "name": "John Doe"}}


@contacts.get("/contacts/:id")
async def get_contact(call: Call, id: str) -> dict[str, str]:
    if id not in people:
        raise Refusal(404, "Contact not found", id=id)
    return people[id]


@contacts.post("/contacts")
async def create_contact(call: Call) -> dict[str, str]:
    contact = {"id": str(len(people) + 1), **call.body}
    people[contact["id"]] = contact
    await call.tenant.emit("crm.events.contact.created", {"contactId": contact["id"]})
    return contact


marketing = Plugin.from_manifest(
    {
        "id": "plugin-marketing",
        "name": "Marketing",
        "version": "1.0.0",
        "api": {
            "dependencies": [{"pluginId": "plugin-crm", "serviceName": "crm.contacts", "version": "^1.0.0"}],
            "events": {"subscribes": ["crm.events.contact.created"]},
        },
    }
)
welcomed = asyncio.Event()


@marketing.on("crm.events.contact.created")
async def welcome(event: Event) -> None:
    crm_contacts = event.tenant.service("crm.contacts")
    contact = await crm_contacts.get(f"/contacts/{event.data['contactId']}")
    print(f"marketing heard {event.key} in {event.tenant.id}: welcome, {contact['name']}!")
    welcomed.set()


async def main() -> None:
    async with running(crm, marketing, tenants=["acme-corp"]):
        acme = marketing.tenant("acme-corp")
        found = await acme.service("crm.contacts").request("GET", "/contacts/1")
        print(f"{found.metadata.service} {found.metadata.version} answered {found.status}: {found.data}")
        await acme.service("crm.contacts").post("/contacts", body={"name": "Jane Smith"})
        await welcomed.wait()
        order = await acme.dependencies.resolve("plugin-marketing")
        print(f"install order: {' → '.join(order.install_order)}")


if __name__ == "__main__":
    configure_logs(level="warning")
    asyncio.run(main())

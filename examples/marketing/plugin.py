"""The marketing plugin: a subscription to the CRM's new contacts, and the campaigns they joined."""

from pathlib import Path
from urllib.parse import quote

from contracts.errors import CallError
from examples.marketing.campaigns import WELCOME, Contact, ContactCreated, Member, Store, Summary
from plugin_runtime import Call, Event, Plugin, Refusal

LOOKUP_SECONDS = 5.0


def create() -> Plugin:
    """Marketing with a store of its own."""
    marketing = Plugin.from_manifest(Path(__file__).with_name("plugin.json"))
    store = Store()
    serve_campaigns(marketing, store)

    @marketing.on("crm.events.contact.created", name="welcome-campaign")
    async def welcome(event: Event) -> None:
        # An event may come twice. Who is in the campaign already is not looked up, and not added, again.
        campaigns, contact_id = store.of(event.tenant.id), ContactCreated.model_validate(event.data).contact_id
        if not campaigns.has(WELCOME, contact_id):
            campaigns.join(WELCOME, await _member(event, contact_id))

    return marketing


def serve_campaigns(marketing: Plugin, store: Store) -> None:
    """Answer for the endpoints of ``marketing.campaigns``."""
    campaigns = marketing.service("marketing.campaigns")

    @campaigns.get("/campaigns")
    async def list_campaigns(call: Call) -> list[Summary]:
        return store.of(call.tenant.id).summaries()

    @campaigns.get("/campaigns/:id/members")
    async def list_members(call: Call, id: str) -> list[Member]:
        members = store.of(call.tenant.id).members(id)
        if members is None:
            raise Refusal(404, "Campaign not found", id=id)
        return members


async def _member(event: Event, contact_id: str) -> Member:
    """The contact with name and email, or, while the CRM is away, by its id alone."""
    contacts = event.tenant.service("crm.contacts")
    try:
        contact = await contacts.get(f"/contacts/{quote(contact_id, safe='')}", reply=Contact, timeout=LOOKUP_SECONDS)
    except CallError:
        return Member(contact_id=contact_id)
    return Member(contact_id=contact_id, name=contact.name, email=contact.email)

"""The service ``crm.contacts``."""

import asyncio
import contextlib
from datetime import UTC, datetime

from contracts.errors import PlexicaError
from examples.crm.models import Contact, ContactInput, ContactQuery
from examples.crm.store import Book, Store
from plugin_runtime import Call, Plugin, Refusal, Reply

CACHE_SECONDS = 2.0


def serve_contacts(crm: Plugin, store: Store) -> None:
    """Answer for the endpoints of ``crm.contacts``."""
    contacts = crm.service("crm.contacts")

    @contacts.get("/contacts")
    async def list_contacts(call: Call, query: ContactQuery) -> Reply[list[Contact]]:
        page, total = store.of(call.tenant.id).contacts.select(query.admits, query)
        return Reply(page, headers={"x-total-count": str(total)})

    @contacts.post("/contacts")
    async def create_contact(call: Call, body: ContactInput) -> Reply[Contact]:
        book = store.of(call.tenant.id)
        contact = Contact(
            **body.model_dump(), id=book.contacts.new_id(), created_at=datetime.now(UTC), created_by=call.caller
        )
        book.contacts.put(contact)
        await _announce(call, book, "created", contact.id)
        return Reply(contact, status=201)

    @contacts.get("/contacts/:id")
    async def get_contact(call: Call, id: str) -> Contact:
        return find_contact(store.of(call.tenant.id), id)

    @contacts.put("/contacts/:id")
    async def replace_contact(call: Call, id: str, body: ContactInput) -> Contact:
        book = store.of(call.tenant.id)
        contact = book.contacts.put(find_contact(book, id).model_copy(update=body.model_dump()))
        await _announce(call, book, "updated", id)
        return contact

    @contacts.delete("/contacts/:id")
    async def delete_contact(call: Call, id: str) -> Reply[None]:
        book = store.of(call.tenant.id)
        find_contact(book, id)
        book.contacts.remove(id)
        await _announce(call, book, "deleted", id)
        return Reply(status=204)


def find_contact(book: Book, contact_id: str) -> Contact:
    """The contact, or the refusal that callers get."""
    contact = book.contacts.get(contact_id)
    if contact is None:
        raise Refusal(404, "Contact not found", id=contact_id)
    return contact


async def _announce(call: Call, book: Book, change: str, contact_id: str) -> None:
    await call.tenant.emit(f"crm.events.contact.{change}", {"contactId": contact_id})
    # The count is a convenience for others: the contact stands, and its caller is answered, without it too.
    with contextlib.suppress(PlexicaError, TimeoutError):
        async with asyncio.timeout(CACHE_SECONDS):
            await call.tenant.data.set("crm.cache", "contact_count", len(book.contacts), ttl=3600)

"""The service ``crm.deals``."""

from datetime import UTC, datetime

from examples.crm.checks import checked
from examples.crm.models import Deal, DealInput, DealQuery
from examples.crm.store import Book, Store
from plugin_runtime import Call, Plugin, Refusal, Reply


def serve_deals(crm: Plugin, store: Store) -> None:
    """Answer for the endpoints of ``crm.deals``."""
    deals = crm.service("crm.deals")

    @deals.get("/deals")
    async def list_deals(call: Call) -> Reply:
        query = checked(DealQuery, dict(call.query))
        page, total = store.of(call.tenant.id).deals.select(query.admits, query)
        return Reply(page, headers={"x-total-count": str(total)})

    @deals.post("/deals")
    async def create_deal(call: Call) -> Reply:
        book = store.of(call.tenant.id)
        new = _checked_deal(book, call.body)
        deal = Deal(**new.model_dump(), id=book.deals.new_id(), created_at=datetime.now(UTC), created_by=call.caller)
        book.deals.put(deal)
        await _announce(call, "created", deal.id)
        return Reply(deal, status=201)

    @deals.get("/deals/:id")
    async def get_deal(call: Call, id: str) -> Deal:
        return _find_deal(store.of(call.tenant.id), id)

    @deals.put("/deals/:id")
    async def replace_deal(call: Call, id: str) -> Deal:
        book = store.of(call.tenant.id)
        old, new = _find_deal(book, id), _checked_deal(book, call.body)
        deal = book.deals.put(old.model_copy(update=new.model_dump()))
        await _announce(call, "updated", id)
        return deal

    @deals.delete("/deals/:id")
    async def delete_deal(call: Call, id: str) -> Reply:
        book = store.of(call.tenant.id)
        _find_deal(book, id)
        book.deals.remove(id)
        await _announce(call, "deleted", id)
        return Reply(status=204)


def _find_deal(book: Book, deal_id: str) -> Deal:
    deal = book.deals.get(deal_id)
    if deal is None:
        raise Refusal(404, "Deal not found", id=deal_id)
    return deal


def _checked_deal(book: Book, body: object) -> DealInput:
    deal = checked(DealInput, body)
    if book.contacts.get(deal.contact_id) is None:
        raise Refusal(400, "Unknown contact", contactId=deal.contact_id)
    return deal


async def _announce(call: Call, change: str, deal_id: str) -> None:
    await call.tenant.emit(f"crm.events.deal.{change}", {"dealId": deal_id})

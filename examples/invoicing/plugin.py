"""The invoicing plugin: an invoice is written from a deal and its contact, both asked of the CRM."""

from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from contracts.errors import RemoteError
from examples.invoicing.checks import checked
from examples.invoicing.invoices import Contact, Deal, Invoice, InvoiceRequest, Store
from plugin_runtime import Call, Plugin, Refusal, Reply

NOT_FOUND = 404

Found = TypeVar("Found", Deal, Contact)


def create() -> Plugin:
    """Invoicing with a store of its own."""
    invoicing = Plugin.from_manifest(Path(__file__).with_name("plugin.json"))
    invoices, store = invoicing.service("invoicing.invoices"), Store()

    @invoices.get("/invoices")
    async def list_invoices(call: Call) -> list[Invoice]:
        return store.of(call.tenant.id).all()

    @invoices.post("/invoices")
    async def create_invoice(call: Call) -> Reply:
        deal_id = checked(InvoiceRequest, call.body).deal_id
        deal = await _fetch(call, "crm.deals", "/deals", deal_id, Deal)
        customer = await _fetch(call, "crm.contacts", "/contacts", deal.contact_id, Contact)
        invoice = store.of(call.tenant.id).write(deal, customer)
        await call.tenant.emit("invoicing.events.invoice.created", {"invoiceId": invoice.id, "dealId": deal.id})
        return Reply(invoice, status=201)

    @invoices.get("/invoices/:id")
    async def get_invoice(call: Call, id: str) -> Invoice:
        invoice = store.of(call.tenant.id).get(id)
        if invoice is None:
            raise Refusal(NOT_FOUND, "Invoice not found", id=id)
        return invoice

    return invoicing


async def _fetch(call: Call, service: str, path: str, item_id: str, reply: type[Found]) -> Found:
    """A thing of the CRM; a refusal names the one that the CRM does not know."""
    try:
        return await call.tenant.service(service).get(f"{path}/{quote(item_id, safe='')}", reply=reply)
    except RemoteError as error:
        if error.status != NOT_FOUND:
            raise
        raise Refusal(NOT_FOUND, f"{reply.__name__} not found", id=item_id) from error

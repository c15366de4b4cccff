"""Invoices in memory: for each tenant a file of its own, numbered without gaps."""

from collections import defaultdict
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """Frozen, and camelCase in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, populate_by_name=True)


class InvoiceRequest(Model):
    """What a caller says to get an invoice."""

    deal_id: Annotated[str, Field(min_length=1, max_length=100)]


class Deal(Model):
    """A deal of the CRM, as far as an invoice needs it."""

    id: str
    contact_id: str
    amount: int


class Contact(Model):
    """A contact of the CRM, as far as an invoice needs it."""

    name: str
    company: str = ""


class Invoice(Model):
    """An invoice for a deal; it keeps the customer as of the day it was written."""

    id: str
    number: str
    deal_id: str
    amount: int
    customer: Contact


class Invoices:
    """The invoices of one tenant."""

    def __init__(self) -> None:
        self._invoices: dict[str, Invoice] = {}

    def write(self, deal: Deal, customer: Contact) -> Invoice:
        """Write the next invoice."""
        number = len(self._invoices) + 1
        invoice = Invoice(
            id=f"inv_{number}", number=f"INV-{number:05}", deal_id=deal.id, amount=deal.amount, customer=customer
        )
        self._invoices[invoice.id] = invoice
        return invoice

    def get(self, invoice_id: str) -> Invoice | None:
        """The invoice, or None."""
        return self._invoices.get(invoice_id)

    def all(self) -> list[Invoice]:
        """Every invoice in the order of its number."""
        return list(self._invoices.values())


class Store:
    """The invoices of all tenants."""

    def __init__(self) -> None:
        self._tenants: defaultdict[str, Invoices] = defaultdict(Invoices)

    def of(self, tenant: str) -> Invoices:
        """The tenant's own invoices."""
        return self._tenants[tenant]

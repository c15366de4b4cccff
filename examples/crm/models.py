"""What a contact and a deal are, and what a caller may say about them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Text = Annotated[str, Field(min_length=1, max_length=100)]
Stage = Literal["lead", "qualified", "proposal", "negotiation", "closed-won", "closed-lost"]


class Model(BaseModel):
    """Frozen, and camelCase in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, populate_by_name=True)


class ContactInput(Model):
    """A contact as its author writes it."""

    name: Text
    email: Annotated[str, Field(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")]
    company: Annotated[str, Field(max_length=100)] = ""
    tags: tuple[Text, ...] = ()


class Contact(ContactInput):
    """A contact as the CRM keeps it."""

    id: str
    created_at: datetime
    created_by: str


class DealInput(Model):
    """A deal as its author writes it: the amount in whole units, the probability in percent."""

    title: Text
    contact_id: str
    amount: Annotated[int, Field(ge=0)]
    stage: Stage = "lead"
    probability: Annotated[int, Field(ge=0, le=100)] = 0


class Deal(DealInput):
    """A deal as the CRM keeps it."""

    id: str
    created_at: datetime
    created_by: str


class Page(Model):
    """Which part of a list a caller wants."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0)] = 0


class ContactQuery(Page):
    """Contacts whose name, email or company contains ``search``, and that carry ``tag``."""

    search: str = ""
    tag: str | None = None

    def admits(self, contact: Contact) -> bool:
        """Whether a contact is one that the caller wants."""
        text = f"{contact.name}\n{contact.email}\n{contact.company}".lower()
        return self.search.lower() in text and self.tag in {None, *contact.tags}


class DealQuery(Page):
    """Deals whose title contains ``search``, at a stage, of a contact."""

    search: str = ""
    stage: Stage | None = None
    contact_id: str | None = None

    def admits(self, deal: Deal) -> bool:
        """Whether a deal is one that the caller wants."""
        return (
            self.search.lower() in deal.title.lower()
            and self.stage in {None, deal.stage}
            and self.contact_id in {None, deal.contact_id}
        )

"""What analytics reads of a contact and a deal, and the reports it makes of them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

Confidence = Literal["low", "medium", "high"]


class Model(BaseModel):
    """Frozen, and camelCase in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, populate_by_name=True)


class Contact(Model):
    """A contact of the CRM; what the reports do not need is left out."""

    id: str
    company: str = ""


class Deal(Model):
    """A deal of the CRM; what the reports do not need is left out."""

    contact_id: str
    amount: int
    stage: str
    probability: int

    @property
    def is_open(self) -> bool:
        """Whether the deal is neither won nor lost yet."""
        return not self.stage.startswith("closed")


class ContactsReport(Model):
    """How many contacts there are, and where they work."""

    total: int
    by_company: dict[str, int]


class StageTotal(Model):
    """The open deals at one stage."""

    count: int
    amount: int


class PipelineReport(Model):
    """The open deals; averages are 0 where there are none."""

    count: int
    total: int
    average: float
    average_probability: float
    by_stage: dict[str, StageTotal]
    by_company: dict[str, int]


class Forecast(Model):
    """What the open deals bring: if all are won, and weighted by their probability."""

    expected: int
    weighted: float
    confidence: Confidence

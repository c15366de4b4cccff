"""The sample data that every tenant begins with."""

from datetime import UTC, datetime

from examples.crm.models import Contact, Deal, Stage

_WHEN = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_WHO = "plugin-crm"


def _contact(contact_id: str, name: str, email: str, company: str, *tags: str) -> Contact:
    return Contact(id=contact_id, name=name, email=email, company=company, tags=tags, created_at=_WHEN, created_by=_WHO)


def _deal(deal_id: str, contact_id: str, title: str, amount: int, stage: Stage, *, probability: int) -> Deal:
    return Deal(
        id=deal_id,
        contact_id=contact_id,
        title=title,
        amount=amount,
        stage=stage,
        probability=probability,
        created_at=_WHEN,
        created_by=_WHO,
    )


CONTACTS = (
    _contact("cnt_1", "John Doe", "john.doe@acme.example", "Acme Corp", "vip", "enterprise"),
    _contact("cnt_2", "Jane Smith", "jane.smith@techco.example", "TechCo Inc", "technical", "enterprise"),
    _contact("cnt_3", "Bob Johnson", "bob@startup.example", "Startup.io", "startup", "early-stage"),
    _contact("cnt_4", "Alice Williams", "alice@global.example", "Global Industries", "vip", "international"),
)

DEALS = (
    _deal("deal_1", "cnt_1", "Enterprise licence", 120_000, "negotiation", probability=75),
    _deal("deal_2", "cnt_2", "Platform migration", 45_000, "proposal", probability=60),
    _deal("deal_3", "cnt_3", "Starter package", 12_000, "qualified", probability=80),
    _deal("deal_4", "cnt_4", "International rollout", 250_000, "lead", probability=30),
)

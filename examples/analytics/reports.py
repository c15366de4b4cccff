"""The reports as pure functions: contacts and deals in, figures out."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from examples.analytics.models import (
    Confidence,
    Contact,
    ContactsReport,
    Deal,
    Forecast,
    PipelineReport,
    StageTotal,
)

NO_COMPANY = "unknown"

HIGH_SHARE, MEDIUM_SHARE = 2 / 3, 1 / 3
"""The weighted part of the expected revenue from which a forecast is of high, or of medium, confidence."""


def contacts_report(contacts: Sequence[Contact]) -> ContactsReport:
    """How many contacts there are, and in which companies."""
    companies = Counter(contact.company or NO_COMPANY for contact in contacts)
    return ContactsReport(total=len(contacts), by_company=dict(companies))


def pipeline_report(contacts: Sequence[Contact], deals: Sequence[Deal]) -> PipelineReport:
    """The open deals in figures, by stage and by the company of their contact."""
    pipeline = [deal for deal in deals if deal.is_open]
    return PipelineReport(
        count=len(pipeline),
        total=sum(deal.amount for deal in pipeline),
        average=_mean([deal.amount for deal in pipeline]),
        average_probability=_mean([deal.probability for deal in pipeline]),
        by_stage=_by_stage(pipeline),
        by_company=_by_company(contacts, pipeline),
    )


def forecast(deals: Sequence[Deal]) -> Forecast:
    """The revenue to expect of the open deals."""
    pipeline = [deal for deal in deals if deal.is_open]
    expected = sum(deal.amount for deal in pipeline)
    weighted = sum(deal.amount * deal.probability for deal in pipeline) / 100
    return Forecast(expected=expected, weighted=weighted, confidence=confidence(expected, weighted))


def confidence(expected: float, weighted: float) -> Confidence:
    """How far to trust a forecast: by the share of the expected revenue that its probabilities leave.

    From two thirds on it is high, from one third on medium; less, or no deals at all, is low.
    """
    share = weighted / expected if expected else 0.0
    if share >= HIGH_SHARE:
        return "high"
    return "medium" if share >= MEDIUM_SHARE else "low"


def _mean(values: Sequence[int]) -> float:
    return round(fmean(values), 2) if values else 0.0


def _by_stage(deals: Sequence[Deal]) -> dict[str, StageTotal]:
    counts, amounts = Counter[str](), Counter[str]()
    for deal in deals:
        counts[deal.stage] += 1
        amounts[deal.stage] += deal.amount
    return {stage: StageTotal(count=count, amount=amounts[stage]) for stage, count in counts.items()}


def _by_company(contacts: Sequence[Contact], deals: Sequence[Deal]) -> dict[str, int]:
    companies = {contact.id: contact.company for contact in contacts}
    amounts = Counter[str]()
    for deal in deals:
        amounts[companies.get(deal.contact_id) or NO_COMPANY] += deal.amount
    return dict(amounts)

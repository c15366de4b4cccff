"""The figures of the reports, from the CRM's sample data and from next to none."""

import pytest

from examples.analytics.models import Contact, Deal, StageTotal
from examples.analytics.reports import confidence, contacts_report, forecast, pipeline_report
from examples.crm import seed

CONTACTS = [Contact.model_validate(contact.model_dump()) for contact in seed.CONTACTS]
DEALS = [Deal.model_validate(deal.model_dump()) for deal in seed.DEALS]
WON = Deal(contact_id="cnt_1", amount=1_000_000, stage="closed-won", probability=100)


def test_the_contacts_report_counts_by_company() -> None:
    report = contacts_report([*CONTACTS, Contact(id="cnt_5", company="Acme Corp"), Contact(id="cnt_6")])

    assert report.total == 6
    assert report.by_company == {
        "Acme Corp": 2,
        "TechCo Inc": 1,
        "Startup.io": 1,
        "Global Industries": 1,
        "unknown": 1,
    }


def test_the_pipeline_of_the_sample_data() -> None:
    report = pipeline_report(CONTACTS, DEALS)

    assert (report.count, report.total, report.average, report.average_probability) == (4, 427000, 106750, 61.25)
    assert report.by_stage == {
        "negotiation": StageTotal(count=1, amount=120000),
        "proposal": StageTotal(count=1, amount=45000),
        "qualified": StageTotal(count=1, amount=12000),
        "lead": StageTotal(count=1, amount=250000),
    }
    assert report.by_company["Global Industries"] == 250000


def test_the_forecast_of_the_sample_data() -> None:
    report = forecast(DEALS)

    assert (report.expected, report.weighted, report.confidence) == (427000, 201600, "medium")


def test_closed_deals_are_in_no_report() -> None:
    assert pipeline_report(CONTACTS, [*DEALS, WON]) == pipeline_report(CONTACTS, DEALS)
    assert forecast([*DEALS, WON]) == forecast(DEALS)


def test_without_deals_every_figure_is_zero() -> None:
    report = pipeline_report([], [])

    assert (report.count, report.total, report.average, report.average_probability) == (0, 0, 0, 0)
    assert forecast([]).model_dump() == {"expected": 0, "weighted": 0, "confidence": "low"}


def test_a_deal_of_an_unknown_contact_counts_for_an_unknown_company() -> None:
    assert pipeline_report([], DEALS[:1]).by_company == {"unknown": 120000}


@pytest.mark.parametrize(
    ("expected", "weighted", "level"),
    [
        (300, 300, "high"),
        (300, 200, "high"),
        (300, 199, "medium"),
        (300, 100, "medium"),
        (300, 99, "low"),
        (0, 0, "low"),
    ],
)
def test_confidence_follows_the_share_that_is_left(expected: float, weighted: float, level: str) -> None:
    assert confidence(expected, weighted) == level


def test_a_report_is_camel_case_in_json() -> None:
    assert pipeline_report(CONTACTS, DEALS).model_dump(by_alias=True)["averageProbability"] == 61.25

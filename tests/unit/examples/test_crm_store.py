"""The CRM's books: sample data, paging, filters, and tenants that never see one another."""

from typing import Any

import pytest
from pydantic import ValidationError

from examples.crm.models import ContactInput, ContactQuery, DealInput, DealQuery, Page
from examples.crm.store import Store

CONTACT = {"name": "Eve", "email": "eve@example.org"}
DEAL = {"title": "Big", "contactId": "cnt_1", "amount": 5}


def test_every_tenant_begins_with_the_sample_data() -> None:
    book = Store().of("acme-corp")
    contacts, deals = (
        book.contacts.select(ContactQuery().admits, Page())[0],
        book.deals.select(DealQuery().admits, Page())[0],
    )

    assert [(contact.id, contact.name) for contact in contacts] == [
        ("cnt_1", "John Doe"),
        ("cnt_2", "Jane Smith"),
        ("cnt_3", "Bob Johnson"),
        ("cnt_4", "Alice Williams"),
    ]
    assert [(deal.id, deal.contact_id, deal.amount, deal.stage, deal.probability) for deal in deals] == [
        ("deal_1", "cnt_1", 120000, "negotiation", 75),
        ("deal_2", "cnt_2", 45000, "proposal", 60),
        ("deal_3", "cnt_3", 12000, "qualified", 80),
        ("deal_4", "cnt_4", 250000, "lead", 30),
    ]


def test_tenants_do_not_see_one_another() -> None:
    store = Store()
    store.of("acme-corp").contacts.remove("cnt_1")

    assert store.of("acme-corp").contacts.get("cnt_1") is None
    assert store.of("globex").contacts.get("cnt_1") is not None


def test_an_id_is_never_given_out_twice() -> None:
    contacts = Store().of("acme-corp").contacts
    [first] = contacts.select(lambda contact: contact.id == "cnt_1", Page())[0]
    new = contacts.put(first.model_copy(update={"id": contacts.new_id()}))
    contacts.remove(new.id)

    assert (new.id, contacts.new_id(), len(contacts)) == ("cnt_5", "cnt_6", 4)


@pytest.mark.parametrize(
    ("query", "ids", "total"),
    [
        ({}, ["cnt_1", "cnt_2", "cnt_3", "cnt_4"], 4),
        ({"limit": "2"}, ["cnt_1", "cnt_2"], 4),
        ({"limit": "2", "offset": "3"}, ["cnt_4"], 4),
        ({"offset": "9"}, [], 4),
        ({"search": "SMITH"}, ["cnt_2"], 1),
        ({"search": "techco"}, ["cnt_2"], 1),
        ({"tag": "vip"}, ["cnt_1", "cnt_4"], 2),
        ({"tag": "vip", "search": "global", "unknown": "1"}, ["cnt_4"], 1),
        ({"tag": "none"}, [], 0),
    ],
)
def test_contacts_are_searched_tagged_and_paged(query: dict[str, str], ids: list[str], total: int) -> None:
    wanted = ContactQuery.model_validate(query)
    page, found = Store().of("acme-corp").contacts.select(wanted.admits, wanted)

    assert ([contact.id for contact in page], found) == (ids, total)


@pytest.mark.parametrize(
    ("query", "ids"),
    [({"stage": "lead"}, ["deal_4"]), ({"contactId": "cnt_2"}, ["deal_2"]), ({"search": "ROLL"}, ["deal_4"])],
)
def test_deals_are_filtered(query: dict[str, str], ids: list[str]) -> None:
    wanted = DealQuery.model_validate(query)
    page, _ = Store().of("acme-corp").deals.select(wanted.admits, wanted)

    assert [deal.id for deal in page] == ids


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "ten"}, {"offset": "-1"}, {"stage": "won"}]
)
def test_a_query_out_of_its_limits_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        DealQuery.model_validate(query)


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "n" * 101}, {"email": "nobody"}, {"email": None}, {"tags": "vip"}, {"tags": [""]}]
)
def test_a_contact_that_breaks_a_rule_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ContactInput.model_validate(CONTACT | change)


@pytest.mark.parametrize(
    "change",
    [{"title": ""}, {"contactId": None}, {"amount": -1}, {"amount": 1.5}, {"probability": 101}, {"stage": "won"}],
)
def test_a_deal_that_breaks_a_rule_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DealInput.model_validate(DEAL | change)


def test_what_a_contact_and_a_deal_need_is_enough() -> None:
    assert ContactInput.model_validate(CONTACT).tags == ()
    assert DealInput.model_validate(DEAL).stage == "lead"

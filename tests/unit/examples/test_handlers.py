"""The handlers of the four plugins, called as functions."""

from typing import Any

import pytest

from contracts.errors import CodedError, InvalidRequestError
from examples import analytics, crm, invoicing, marketing
from plugin_runtime import Plugin, Reply
from tests.unit.examples.platform import Platform, ids

EVE = {"name": "Eve", "email": "eve@example.org", "company": "Acme Corp", "tags": ["new"]}
CREATED = "crm.events.contact.created"


@pytest.fixture
def platform() -> Platform:
    return Platform(crm.create(), analytics.create(), marketing.create(), invoicing.create())


async def ask(
    platform: Platform, method: str, service: str, path: str, *, tenant: str = "acme-corp", **options: Any
) -> Reply:
    return await platform.tenant(tenant).service(service).request(method, path, **options)  # type: ignore[return-value]


@pytest.mark.parametrize("module", [crm, analytics, marketing, invoicing])
def test_every_endpoint_of_a_manifest_has_its_handler(module: Any) -> None:
    plugin: Plugin = module.create()

    plugin.definition.verify()


async def test_a_list_of_contacts_says_how_many_there_are_in_all(platform: Platform) -> None:
    reply = await ask(platform, "GET", "crm.contacts", "/contacts", query={"tag": "vip", "limit": 1})

    assert (ids(reply.data), reply.headers) == (["cnt_1"], {"x-total-count": "2"})


async def test_a_contact_is_created_changed_and_deleted(platform: Platform) -> None:
    created = await ask(platform, "POST", "crm.contacts", "/contacts", body=EVE)
    changed = await ask(platform, "PUT", "crm.contacts", "/contacts/cnt_5", body=EVE | {"name": "Eva"})
    deleted = await ask(platform, "DELETE", "crm.contacts", "/contacts/cnt_5")

    assert (created.status, created.data | EVE) == (201, created.data)
    assert (created.data["id"], created.data["createdBy"]) == ("cnt_5", "plugin-test")
    assert (changed.status, changed.data) == (200, created.data | {"name": "Eva"})
    assert (deleted.status, deleted.data) == (204, None)
    assert platform.events == [
        (f"crm.events.contact.{change}", {"contactId": "cnt_5"}) for change in ("created", "updated", "deleted")
    ]


async def test_the_number_of_contacts_is_shared(platform: Platform) -> None:
    await ask(platform, "POST", "crm.contacts", "/contacts", body=EVE)

    assert platform.data == {("acme-corp", "crm.cache", "contact_count"): 5}


async def test_a_contact_is_created_even_where_its_number_cannot_be_shared(platform: Platform) -> None:
    platform.data_is_down = True

    assert (await ask(platform, "POST", "crm.contacts", "/contacts", body=EVE)).status == 201


async def test_tenants_have_contacts_of_their_own(platform: Platform) -> None:
    await ask(platform, "POST", "crm.contacts", "/contacts", body=EVE)
    other = await ask(platform, "GET", "crm.contacts", "/contacts/cnt_5", tenant="globex")

    assert (other.status, other.data) == (404, {"error": "Contact not found", "id": "cnt_5"})


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(("resource", "what"), [("contacts", "Contact"), ("deals", "Deal")])
async def test_what_is_not_there_is_not_found(platform: Platform, method: str, resource: str, what: str) -> None:
    reply = await ask(platform, method, f"crm.{resource}", f"/{resource}/none", body=EVE)

    assert (reply.status, reply.data) == (404, {"error": f"{what} not found", "id": "none"})
    assert platform.events == []


@pytest.mark.parametrize("body", [None, [], "Eve", {}, {"name": "Eve", "email": 5}])
async def test_a_body_that_is_no_contact_is_refused_with_every_reason(platform: Platform, body: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^body(\.name|\.email)?: ") as caught:
        await ask(platform, "POST", "crm.contacts", "/contacts", body=body)

    assert all({"path", "message"} == set(detail) for detail in caught.value.details["errors"])
    assert platform.events == []


async def test_a_body_that_is_no_deal_is_refused_with_every_reason(platform: Platform) -> None:
    reply = await ask(platform, "POST", "crm.deals", "/deals", body={"title": "Big"})

    assert (reply.status, reply.data["error"]) == (400, "Validation failed")
    assert all({"loc", "msg", "type"} == set(detail) for detail in reply.data["details"])
    assert platform.events == []


async def test_a_deal_is_created_changed_and_deleted(platform: Platform) -> None:
    deal = {"title": "Big", "contactId": "cnt_1", "amount": 5, "stage": "lead", "probability": 10}
    created = await ask(platform, "POST", "crm.deals", "/deals", body=deal)
    changed = await ask(platform, "PUT", "crm.deals", "/deals/deal_5", body=deal | {"stage": "closed-won"})
    deleted = await ask(platform, "DELETE", "crm.deals", "/deals/deal_5")

    assert (created.status, created.data | deal) == (201, created.data)
    assert changed.data == created.data | {"stage": "closed-won"}
    assert deleted.status == 204
    assert [key for key, _ in platform.events] == [
        f"crm.events.deal.{word}" for word in ("created", "updated", "deleted")
    ]


async def test_a_deal_of_an_unknown_contact_is_refused(platform: Platform) -> None:
    reply = await ask(platform, "POST", "crm.deals", "/deals", body={"title": "Big", "contactId": "cnt_9", "amount": 5})

    assert (reply.status, reply.data) == (400, {"error": "Unknown contact", "contactId": "cnt_9"})


async def test_the_reports_are_made_of_what_the_crm_answers(platform: Platform) -> None:
    contacts, pipeline, forecast = [
        (await ask(platform, "GET", "analytics.reports", f"/reports/{name}")).data
        for name in ("contacts", "pipeline", "forecast")
    ]

    assert contacts["total"] == 4
    assert (pipeline["total"], pipeline["average"], pipeline["averageProbability"]) == (427000, 106750, 61.25)
    assert forecast == {"expected": 427000, "weighted": 201600, "confidence": "medium"}


async def test_reports_read_every_page(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.analytics.crm.PAGE_SIZE", 2)

    assert (await ask(platform, "GET", "analytics.reports", "/reports/contacts")).data["total"] == 4


async def test_a_report_without_the_crm_fails_with_its_name() -> None:
    with pytest.raises(CodedError, match=r"Service crm\.contacts not found or unavailable"):
        await ask(Platform(analytics.create()), "GET", "analytics.reports", "/reports/contacts")


async def test_a_new_contact_is_welcomed_once(platform: Platform) -> None:
    await platform.deliver(CREATED, {"contactId": "cnt_1"})
    await platform.deliver(CREATED, {"contactId": "cnt_1"})
    campaigns = await ask(platform, "GET", "marketing.campaigns", "/campaigns")
    members = await ask(platform, "GET", "marketing.campaigns", "/campaigns/welcome/members")

    assert campaigns.data == [{"id": "welcome", "members": 1}]
    assert members.data == [{"contactId": "cnt_1", "name": "John Doe", "email": "john.doe@acme.example"}]


@pytest.mark.parametrize("plugins", [[], [crm]], ids=["no CRM", "contact gone"])
async def test_a_contact_that_cannot_be_looked_up_is_welcomed_by_its_id(plugins: list[Any]) -> None:
    platform = Platform(marketing.create(), *[plugin.create() for plugin in plugins])
    await platform.deliver(CREATED, {"contactId": "cnt_9"})
    members = await ask(platform, "GET", "marketing.campaigns", "/campaigns/welcome/members")

    assert members.data == [{"contactId": "cnt_9", "name": None, "email": None}]


@pytest.mark.parametrize("data", [None, {}, {"contactId": 5}])
async def test_an_event_without_a_contact_is_an_error(platform: Platform, data: Any) -> None:
    with pytest.raises(ValueError, match="ContactCreated"):
        await platform.deliver(CREATED, data)


async def test_an_unknown_campaign_is_not_found(platform: Platform) -> None:
    reply = await ask(platform, "GET", "marketing.campaigns", "/campaigns/none/members")

    assert (reply.status, reply.data) == (404, {"error": "Campaign not found", "id": "none"})


async def test_an_invoice_is_written_from_deal_and_contact(platform: Platform) -> None:
    created = await ask(platform, "POST", "invoicing.invoices", "/invoices", body={"dealId": "deal_1"})
    found = await ask(platform, "GET", "invoicing.invoices", "/invoices/inv_1")
    listed = await ask(platform, "GET", "invoicing.invoices", "/invoices")

    assert (created.status, created.data) == (
        201,
        {
            "id": "inv_1",
            "number": "INV-00001",
            "dealId": "deal_1",
            "amount": 120000,
            "customer": {"name": "John Doe", "company": "Acme Corp"},
        },
    )
    assert (found.data, listed.data) == (created.data, [created.data])
    assert platform.events == [("invoicing.events.invoice.created", {"invoiceId": "inv_1", "dealId": "deal_1"})]


@pytest.mark.parametrize("deal", ["deal_9", "../contacts", "a/b?c#d"])
async def test_an_invoice_for_an_unknown_deal_names_it(platform: Platform, deal: str) -> None:
    reply = await ask(platform, "POST", "invoicing.invoices", "/invoices", body={"dealId": deal})

    assert (reply.status, reply.data) == (404, {"error": "Deal not found", "id": deal})
    assert platform.events == []


async def test_an_invoice_for_a_deal_whose_contact_is_gone_names_the_contact(platform: Platform) -> None:
    await ask(platform, "DELETE", "crm.contacts", "/contacts/cnt_1")
    reply = await ask(platform, "POST", "invoicing.invoices", "/invoices", body={"dealId": "deal_1"})

    assert (reply.status, reply.data) == (404, {"error": "Contact not found", "id": "cnt_1"})


@pytest.mark.parametrize("body", [None, {}, {"dealId": ""}, {"dealId": 5}])
async def test_an_invoice_without_a_deal_is_refused(platform: Platform, body: Any) -> None:
    reply = await ask(platform, "POST", "invoicing.invoices", "/invoices", body=body)

    assert (reply.status, reply.data["error"]) == (400, "Validation failed")


async def test_an_unknown_invoice_is_not_found(platform: Platform) -> None:
    reply = await ask(platform, "GET", "invoicing.invoices", "/invoices/inv_9")

    assert (reply.status, reply.data) == (404, {"error": "Invoice not found", "id": "inv_9"})

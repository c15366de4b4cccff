"""The small stores of marketing and invoicing."""

from examples.invoicing import invoices
from examples.marketing.campaigns import WELCOME, Campaigns, Member
from examples.marketing.campaigns import Store as CampaignStore

DEAL = invoices.Deal(id="deal_1", contact_id="cnt_1", amount=120000)
JOHN = invoices.Contact(name="John Doe", company="Acme Corp")


def test_a_contact_joins_a_campaign_once() -> None:
    campaigns = Campaigns()

    assert campaigns.join(WELCOME, Member(contact_id="cnt_5", name="Eve"))
    assert not campaigns.join(WELCOME, Member(contact_id="cnt_5"))
    assert campaigns.members(WELCOME) == [Member(contact_id="cnt_5", name="Eve")]
    assert [(summary.id, summary.members) for summary in campaigns.summaries()] == [("welcome", 1)]


def test_an_unknown_campaign_has_no_list_of_members() -> None:
    assert Campaigns().members("nobody") is None
    assert Campaigns().members(WELCOME) == []


def test_campaigns_of_tenants_are_apart() -> None:
    store = CampaignStore()
    store.of("acme-corp").join(WELCOME, Member(contact_id="cnt_5"))

    assert store.of("acme-corp").has(WELCOME, "cnt_5")
    assert not store.of("globex").has(WELCOME, "cnt_5")


def test_an_invoice_has_the_deals_amount_and_the_customers_name() -> None:
    invoice = invoices.Invoices().write(DEAL, JOHN)

    assert invoice.model_dump(by_alias=True) == {
        "id": "inv_1",
        "number": "INV-00001",
        "dealId": "deal_1",
        "amount": 120000,
        "customer": {"name": "John Doe", "company": "Acme Corp"},
    }


def test_invoices_are_numbered_without_gaps_for_each_tenant() -> None:
    store = invoices.Store()
    numbers = [store.of(tenant).write(DEAL, JOHN).number for tenant in ("acme-corp", "globex", "acme-corp")]

    assert numbers == ["INV-00001", "INV-00001", "INV-00002"]
    assert [invoice.id for invoice in store.of("acme-corp").all()] == ["inv_1", "inv_2"]
    assert store.of("globex").get("inv_2") is None

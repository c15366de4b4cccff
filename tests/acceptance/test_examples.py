"""The sample plugins together: a CRM, and what analytics, marketing and invoicing make of it."""

from typing import Any

import pytest

from broker.testing import running
from contracts.errors import InvalidRequestError, ServiceNotFoundError, UnresolvableError
from contracts.manifest import PluginManifest
from examples import analytics, crm, invoicing, marketing
from plugin_runtime import Plugin, TenantClient
from tests.acceptance.plugins import Ears, make_caller, make_plugin
from tests.acceptance.world import ACME, GLOBEX, World, short, status_is
from tests.waiting import eventually

SERVICES = ("analytics.reports", "crm.contacts", "crm.deals", "invoicing.invoices", "marketing.campaigns")
PIPELINE = {
    "count": 4,
    "total": 427_000,
    "average": 106_750,
    "averageProbability": 61.25,
    "byStage": {
        "negotiation": {"count": 1, "amount": 120_000},
        "proposal": {"count": 1, "amount": 45_000},
        "qualified": {"count": 1, "amount": 12_000},
        "lead": {"count": 1, "amount": 250_000},
    },
    "byCompany": {"Acme Corp": 120_000, "TechCo Inc": 45_000, "Startup.io": 12_000, "Global Industries": 250_000},
}
FORECAST = {"expected": 427_000, "weighted": 201_600, "confidence": "medium"}
MARY = {"name": "Mary Major", "email": "mary@example.com", "company": "Acme Corp"}


def all_four() -> list[Plugin]:
    """The plugins, dependencies first."""
    return [crm.create(), analytics.create(), marketing.create(), invoicing.create()]


async def audience(world: World, *, tenant: str = ACME) -> TenantClient:
    """The tenant of a world in which all four run."""
    for plugin in all_four():
        await world.connect(plugin, tenants=[ACME, GLOBEX])
    return await world.tenant(make_caller(*SERVICES, name="audience"), tenant=tenant)


async def members(acme: TenantClient) -> list[Any]:
    found = await acme.service("marketing.campaigns").get("/campaigns/welcome/members")
    return list(found)


def joined(acme: TenantClient, name: str) -> Any:
    """For `eventually`: the contact is in the welcome campaign."""

    async def holds() -> bool:
        return name in {member["name"] for member in await members(acme)}

    return holds


async def test_all_services_are_healthy(world: World) -> None:
    acme = await audience(world)

    assert [short(found) for found in await acme.registry.list()] == [(name, "1.0.0", "HEALTHY") for name in SERVICES]


async def test_reports_give_the_figures_of_the_sample_data(world: World) -> None:
    reports = (await audience(world)).service("analytics.reports")

    assert await reports.get("/reports/pipeline") == PIPELINE
    assert await reports.get("/reports/forecast") == FORECAST
    assert (await reports.get("/reports/contacts"))["total"] == 4


async def test_broker_and_plugins_run_embedded_in_one_process() -> None:
    plugins, caller = all_four(), make_caller("analytics.reports", name="audience")
    async with running(*plugins, caller, tenants=[ACME]):
        reports = caller.tenant(ACME).service("analytics.reports")

        assert await reports.get("/reports/pipeline") == PIPELINE
        assert await reports.get("/reports/forecast") == FORECAST


async def test_new_contact_joins_the_welcome_campaign_once(world: World) -> None:
    acme = await audience(world)
    created = await acme.service("crm.contacts").request("POST", "/contacts", body=MARY)
    await eventually(joined(acme, "Mary Major"))
    await acme.service("crm.contacts").post("/contacts", body={**MARY, "name": "Another"})
    await eventually(joined(acme, "Another"))

    assert (created.status, created.data["createdBy"]) == (201, "plugin-audience")
    assert [member["name"] for member in await members(acme)].count("Mary Major") == 1


async def test_contact_created_while_marketing_was_away_joins_when_it_comes_back(world: World) -> None:
    await world.connect(crm.create())
    first = await world.connect(marketing.create())
    acme = await world.tenant(make_caller(*SERVICES, name="audience"))
    await world.stop(first)
    await acme.service("crm.contacts").post("/contacts", body=MARY)
    await world.connect(marketing.create())

    assert await eventually(joined(acme, "Mary Major"))


async def test_count_of_contacts_is_shared(world: World) -> None:
    acme = await audience(world)
    await acme.service("crm.contacts").post("/contacts", body=MARY)
    entry = await acme.data.entry("crm.cache", "contact_count")

    assert entry is not None
    assert (entry.value, entry.owner_id) == (5, "plugin-crm")


async def test_invoice_is_written_from_deal_and_contact(world: World) -> None:
    ears, ledger = Ears(), make_plugin("ledger")
    ears.on(ledger, "invoicing.events.#")
    await world.connect(ledger)
    invoices = (await audience(world)).service("invoicing.invoices")
    result = await invoices.request("POST", "/invoices", body={"dealId": "deal_1"})
    invoice = result.data
    await eventually(lambda: ears.heard)

    assert (result.status, invoice["number"], invoice["amount"]) == (201, "INV-00001", 120_000)
    assert invoice["customer"] == {"name": "John Doe", "company": "Acme Corp"}
    assert await invoices.get(f"/invoices/{invoice['id']}") == invoice
    assert ears.heard[0].data == {"invoiceId": invoice["id"], "dealId": "deal_1"}


async def test_refusals_of_the_samples_say_what_is_wrong(world: World) -> None:
    acme = await audience(world)
    for service, method, path, body, status, error in (
        ("crm.contacts", "GET", "/contacts/cnt_9", None, 404, "Contact not found"),
        ("crm.deals", "POST", "/deals", {"title": ""}, 400, "Validation failed"),
        ("crm.deals", "POST", "/deals", {"title": "x", "contactId": "cnt_9", "amount": 1}, 400, "Unknown contact"),
        ("invoicing.invoices", "POST", "/invoices", {"dealId": "deal_9"}, 404, "Deal not found"),
        ("marketing.campaigns", "GET", "/campaigns/none/members", None, 404, "Campaign not found"),
    ):
        result = await acme.service(service).request(method, path, body=body)

        assert (result.status, result.data["error"]) == (status, error)
    with pytest.raises(InvalidRequestError, match=r"^body\.name: must have at least 1 .*; body\.email: is required"):
        await acme.service("crm.contacts").post("/contacts", body={"name": ""})


async def test_tenants_have_a_book_each(world: World) -> None:
    acme = await audience(world)
    await acme.service("crm.contacts").delete("/contacts/cnt_1")
    globex = await world.tenant(make_caller(*SERVICES, name="observer"), tenant=GLOBEX)

    assert len(await acme.service("crm.contacts").get("/contacts")) == 3
    assert len(await globex.service("crm.contacts").get("/contacts")) == 4


async def test_stopped_crm_degrades_nobody_but_its_callers_hear_of_it_at_once(world: World) -> None:
    runner = await world.connect(crm.create())
    await world.connect(marketing.create())
    acme = await world.tenant(make_caller(*SERVICES, name="audience"))
    await world.stop(runner)

    with pytest.raises(ServiceNotFoundError, match=r"^Service crm\.contacts not found or unavailable"):
        await acme.service("crm.contacts").get("/contacts", timeout=30)
    assert await acme.service("marketing.campaigns").get("/campaigns") == [{"id": "welcome", "members": 0}]


async def test_analytics_without_crm_is_degraded_until_it_comes(world: World) -> None:
    runner = await world.connect(analytics.create())
    acme = runner.tenant(ACME)
    assert runner.answer is not None
    assert runner.answer.reasons == ("Missing dependency: plugin-crm (required by plugin-analytics)",)
    await world.connect(crm.create())
    await eventually(status_is(acme, "analytics.reports", "HEALTHY"))

    assert await acme.service("analytics.reports").get("/reports/forecast") == FORECAST


async def test_plugin_that_needs_another_crm_is_refused(world: World) -> None:
    acme = await audience(world)
    dependency = {"pluginId": "plugin-crm", "version": "^2.0.0"}
    document = {"id": "plugin-next", "name": "Next", "version": "1.0.0", "api": {"dependencies": [dependency]}}
    console = await world.connect(make_plugin("console"))
    await console.platform.publish_manifest(PluginManifest.load(document))

    with pytest.raises(UnresolvableError, match=r"Version mismatch: plugin-crm@1\.0\.0 does not satisfy \^2\.0\.0"):
        await acme.dependencies.install("plugin-next")

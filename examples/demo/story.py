"""The story: what the bus promises, step by step, each step held against what must come out."""

import asyncio
from typing import Any

from contracts.errors import ServiceNotFoundError, UnresolvableError
from contracts.manifest import PluginManifest
from contracts.registry import PluginAnnouncement, ServiceAnnouncement
from examples.demo.narrator import DemoError, Narrator, Watch
from examples.demo.stage import PLUGINS, Stage
from plugin_runtime import TenantClient

SERVICES = {"crm.contacts", "crm.deals", "analytics.reports", "marketing.campaigns", "invoicing.invoices"}
ORDER = ["plugin-crm", "plugin-analytics", "plugin-marketing", "plugin-invoicing"]
NEEDS_TWO = {
    "id": "plugin-prophecy",
    "name": "Prophecy",
    "version": "1.0.0",
    "api": {"dependencies": [{"pluginId": "plugin-crm", "version": "^2.0.0"}]},
}
PATIENCE_SECONDS = 10.0


async def tell(stage: Stage, narrator: Narrator) -> None:
    """Tell it all; every step raises `DemoError` where it does not come out right."""
    narrator.tell(f"Plexica Bus, {stage.name}")
    acme = stage.narrator.tenant(stage.tenant)
    await install(stage, narrator, acme)
    await (find_running if stage.runs_already else start)(stage, narrator, acme)
    await call(narrator, acme)
    await react(narrator, acme)
    await invoice(narrator, acme)
    await share(narrator, acme)
    await mismatch(stage, narrator, acme)
    await stop(stage, narrator, acme)


async def install(stage: Stage, narrator: Narrator, acme: TenantClient) -> None:
    """Manifests become known, and are installed in the order that their dependencies ask for."""
    with narrator.step("Manifests become known; dependencies decide what may be installed"):
        await stage.narrator.platform.create_tenant(acme.id)
        await stage.narrator.platform.publish_manifest(stage.narrator.manifest)
        await acme.dependencies.install("plugin-demo")
        for plugin in ORDER:
            await stage.narrator.platform.publish_manifest(PLUGINS[plugin]().manifest)
        reason = await refusal(acme, "plugin-analytics")
        narrator.fact(f"refused: {reason}", reason, "Missing dependency: plugin-crm (required by plugin-analytics)")
        with acme.registry.watch(f"{acme.id}.plugin.installed.*") as installed:
            for plugin in ORDER:
                await acme.dependencies.install(plugin)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    announced = await anext(installed)
                if isinstance(announced, PluginAnnouncement):
                    narrator.tell(
                        f"announced: {announced.plugin_id} {announced.version} installed in {announced.tenant}"
                    )
        resolution = await acme.dependencies.resolve("plugin-analytics")
        order = " → ".join(resolution.install_order)
        narrator.fact(f"install order: {order}", list(resolution.install_order), ORDER[:2])


async def start(stage: Stage, narrator: Narrator, acme: TenantClient) -> None:
    """The plugins start, register, and are announced."""
    with narrator.step("Plugins start and register; the registry announces them"):
        watch = Watch()
        with acme.registry.watch("_.service.registered.#") as announcements:
            for plugin in ORDER:
                await stage.start(plugin)
            missing = set(SERVICES)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while missing:
                    found = await anext(announcements)
                    if isinstance(found, ServiceAnnouncement) and found.service.service_name in missing:
                        service = found.service
                        missing.discard(service.service_name)
                        narrator.tell(f"announced: {service.service_name} {service.version} by {service.plugin_id}")
        took = watch.seconds
        narrator.fact("all five services are HEALTHY", await healthy(narrator, acme), SERVICES, seconds=took)


async def find_running(stage: Stage, narrator: Narrator, acme: TenantClient) -> None:
    """The plugins run since before the story, for other tenants; installed here, they serve this one too."""
    with narrator.step("Plugins that run already serve the new tenant; the registry knows them"):
        narrator.tell(f"nobody started anything for {stage.tenant}")
        narrator.fact("all five services are HEALTHY", await healthy(narrator, acme), SERVICES)


async def call(narrator: Narrator, acme: TenantClient) -> None:
    """Analytics calls the CRM to answer."""
    with narrator.step("Analytics calls the CRM"):
        reports = acme.service("analytics.reports")
        watch = Watch()
        pipeline = await reports.get("/reports/pipeline")
        took = watch.seconds
        narrator.fact(f"pipeline total {pipeline['total']}", pipeline["total"], 427000, seconds=took)
        average, probability = pipeline["average"], pipeline["averageProbability"]
        narrator.fact(f"average deal {average:g}", average, 106750)
        narrator.fact(f"average probability {probability} %", probability, 61.25)
        forecast = await reports.get("/reports/forecast")
        weighted = forecast["weighted"]
        narrator.fact(f"weighted forecast {weighted:g}", weighted, 201600)


async def react(narrator: Narrator, acme: TenantClient) -> None:
    """Marketing hears of a new contact, without polling."""
    with narrator.step("Marketing hears crm.events.contact.created, nobody polls"):
        contacts = acme.service("crm.contacts")
        body = {"name": "Eve Adams", "email": "eve@example.com", "company": "Paradise Ltd"}
        watch = Watch()
        contact = await contacts.post("/contacts", body=body)
        narrator.tell(f"CRM created {contact['id']} and published crm.events.contact.created")
        members = await joined(acme, contact["id"])
        took = watch.seconds
        narrator.fact("the new contact is in the welcome campaign", members, ["Eve Adams"], seconds=took)


async def invoice(narrator: Narrator, acme: TenantClient) -> None:
    """Invoicing asks the CRM for deal and contact."""
    with narrator.step("Invoicing turns a deal into an invoice"):
        deals = await acme.service("crm.deals").get("/deals")
        deal = max(_items(deals), key=lambda item: int(item["amount"]))
        watch = Watch()
        result = await acme.service("invoicing.invoices").request("POST", "/invoices", body={"dealId": deal["id"]})
        made = result.data
        text = f"{made['number']}: {made['amount']} for {made['customer']['name']}, {made['customer']['company']}"
        narrator.fact(text, (result.status, made["amount"]), (201, 250000), seconds=watch.seconds)


async def share(narrator: Narrator, acme: TenantClient) -> None:
    """A shared value is set, read, expires, and is announced each time."""
    with narrator.step("A shared value is announced, read, and expires"):
        async with acme.data.watch("workflow.state.*") as changes, asyncio.timeout(PATIENCE_SECONDS):
            await acme.data.set("workflow.state", "approval_pending", {"approver": "user_456"}, ttl=1)
            change = await anext(changes)
            narrator.fact(f"announced: {change.kind} {change.key}", change.kind, "set")
            value = await acme.data.get("workflow.state", "approval_pending")
            narrator.fact(f"read: {value}", value, {"approver": "user_456"})
            watch = Watch()
            change = await anext(changes)
            narrator.fact(f"announced: {change.kind} {change.key}", change.kind, "expired", seconds=watch.seconds)
            entry = await acme.data.entry("workflow.state", "approval_pending")
            narrator.fact("it cannot be read any more", entry, None)


async def mismatch(stage: Stage, narrator: Narrator, acme: TenantClient) -> None:
    """A plugin that needs another CRM is refused, with the reason."""
    with narrator.step("A plugin that needs CRM 2 is refused"):
        await stage.narrator.platform.publish_manifest(PluginManifest.load(NEEDS_TWO))
        reason = await refusal(acme, "plugin-prophecy")
        narrator.fact(f"refused: {reason}", reason, "Version mismatch: plugin-crm@1.0.0 does not satisfy ^2.0.0")


async def stop(stage: Stage, narrator: Narrator, acme: TenantClient) -> None:
    """The CRM stops; its callers are told at once, not at their deadline."""
    with narrator.step("The CRM stops; its callers know at once"):
        with acme.registry.watch("_.service.deregistered.crm.contacts") as announcements:
            await stage.stop("plugin-crm")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await anext(announcements)
        narrator.tell("announced: crm.contacts deregistered")
        watch = Watch()
        try:
            await acme.service("crm.contacts").get("/contacts", timeout=30)
        except ServiceNotFoundError as error:
            took = watch.seconds
            narrator.fact(error.message, took < 1, True, seconds=took)
        else:
            raise DemoError("a call to a stopped CRM was answered")


async def healthy(narrator: Narrator, acme: TenantClient) -> set[str]:
    """Show what the registry lists, and return the names of the healthy services."""
    services = await acme.registry.list()
    rows = [(item.service_name, item.version, item.plugin_id, item.status, str(item.instances)) for item in services]
    narrator.table("service", "version", "plugin", "status", "instances", rows=rows)
    return {item.service_name for item in services if item.status == "HEALTHY"}


async def refusal(acme: TenantClient, plugin: str) -> str:
    """The reason for which a plugin is not installed."""
    try:
        await acme.dependencies.install(plugin)
    except UnresolvableError as error:
        return error.message
    raise DemoError(f"{plugin} was installed although its dependencies are not met")


async def joined(acme: TenantClient, contact_id: str) -> list[str]:
    """The new member's name, as soon as marketing has it; the audience looks, marketing itself was told."""
    campaigns = acme.service("marketing.campaigns")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            members = await campaigns.get("/campaigns/welcome/members")
            found = [str(item["name"]) for item in members if item["contactId"] == contact_id]
            if found:
                return found
            await asyncio.sleep(0.01)


def _items(answer: Any) -> list[dict[str, Any]]:
    return list(answer["items"]) if isinstance(answer, dict) else list(answer)

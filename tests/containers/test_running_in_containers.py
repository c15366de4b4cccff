"""compose.yaml does what its comments say: it comes up, tells the story, and survives restarts with its data."""

import asyncio
import re
import subprocess
import sys

import pytest

from contracts.errors import PlexicaError
from examples.demo.stage import narrating_plugin
from plugin_runtime import Plugin, TenantClient
from tests.containers.compose import ROOT, SERVICES, ComposeProject
from tests.waiting import eventually

BACK_SECONDS = 60.0
CALLS = (
    ("crm.contacts", "/contacts"),
    ("crm.deals", "/deals"),
    ("analytics.reports", "/reports/pipeline"),
    ("marketing.campaigns", "/campaigns"),
    ("invoicing.invoices", "/invoices"),
)


async def all_answer(acme: TenantClient) -> bool:
    """Whether every service answers, and the broker itself."""
    try:
        for service, path in CALLS:
            await acme.service(service).get(path, timeout=2)
        await acme.data.set("workflow.state", "seen", "yes", ttl=60)
        return await acme.data.get("workflow.state", "seen") == "yes"
    except PlexicaError:
        return False


async def the_store(observer: Plugin) -> dict[str, object]:
    """What the broker must not forget; when instances were last heard of is no part of it."""
    found: dict[str, object] = {"tenants": await observer.platform.tenants()}
    found["plugins"] = await observer.platform.plugins()
    for tenant in ("acme-corp", "globex"):
        client = observer.tenant(tenant)
        services = await client.registry.list()
        found[f"{tenant} services"] = [(item.id, item.plugin_id, item.status, item.instances) for item in services]
        found[f"{tenant} installations"] = await client.dependencies.installations()
        found[f"{tenant} data"] = await client.data.entry("workflow.state", "kept")
    return found


async def test_every_container_says_that_it_is_healthy(project: ComposeProject, acme: TenantClient) -> None:
    assert project.health() == dict.fromkeys(SERVICES, "healthy")
    assert await all_answer(acme)


async def test_no_container_of_ours_runs_as_root(project: ComposeProject) -> None:
    for service in SERVICES[1:]:
        assert project.call("exec", "-T", service, "id", "-u").strip() == "10001"


async def test_a_service_that_nobody_serves_is_unhealthy(project: ComposeProject) -> None:
    project.stop("invoicing")
    try:
        with pytest.raises(AssertionError, match=r"plugin-invoicing: nobody serves invoicing\.invoices 1\.0\.0"):
            project.call("exec", "-T", "crm", "plexica", "ping", "examples/invoicing/plugin.json")
    finally:
        project.up()


async def test_the_demo_tells_its_story_with_them(project: ComposeProject) -> None:
    told = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "examples.demo", "--compose"],
        cwd=ROOT,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    project.wait_healthy()

    assert told.returncode == 0, told.stdout + told.stderr
    assert re.search(r"\d+ facts in 8 steps came out right", told.stdout)
    async with narrating_plugin().connected(project.url, prefix="", tenants=["acme-corp"]) as observer:
        assert [name for name in await observer.platform.tenants() if name.startswith("demo-")] == []


@pytest.mark.parametrize("service", SERVICES)
async def test_a_restart_is_survived_by_all_others(project: ComposeProject, acme: TenantClient, service: str) -> None:
    """The observer stays connected over the restart, as every plugin does."""
    await asyncio.to_thread(project.restart, service)

    await eventually(lambda: all_answer(acme), BACK_SECONDS)
    await asyncio.to_thread(project.wait_healthy)
    assert await all_answer(acme)


async def test_data_and_messages_are_there_after_down_and_up(project: ComposeProject) -> None:
    """An event that waits for a plugin which is away waits in RabbitMQ's volume, all else in the broker's."""
    observer = narrating_plugin()
    async with observer.connected(project.url, prefix="", tenants=["acme-corp", "globex"]):
        await observer.tenant("globex").dependencies.install("plugin-crm")
        for tenant in ("acme-corp", "globex"):
            await observer.tenant(tenant).data.set("workflow.state", "kept", {"by": tenant})
        before = await the_store(observer)
        assert before["tenants"] == ["acme-corp", "globex"]
        assert all(before.values()), "there is something to lose"
        await asyncio.to_thread(project.stop, "marketing")
        contact = (
            await observer.tenant("acme-corp")
            .service("crm.contacts")
            .post("/contacts", body={"name": "Eve Adams", "email": "eve@example.com"})
        )

    await asyncio.to_thread(project.down)
    assert project.health() == {}
    await asyncio.to_thread(project.up)

    async with observer.connected(project.url, prefix="", tenants=["acme-corp"]):
        after = await the_store(observer)
        campaigns = observer.tenant("acme-corp").service("marketing.campaigns")

        async def has_joined() -> bool:
            members = await campaigns.get("/campaigns/welcome/members")
            return [member["contactId"] for member in members] == [contact["id"]]

        await eventually(has_joined)

    assert after == before

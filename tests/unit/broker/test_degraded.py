"""A tenant that lacks a dependency: who is told what of it, and when."""

from typing import Any

import pytest

from broker.registry.statuses import Transition
from contracts.registry import ServiceStatus
from tests.unit.broker.control_plane import CRM, Plane, control_plane, manifest, need

REPORTS = "analytics.reports"
ANALYTICS = manifest("analytics", needs=[need("crm")], services={"reports": "1.0.0"})
BETTER = manifest("analytics", "1.1.0", services={"reports": "1.0.0"})
"""It needs nothing, and offers the same service version."""


async def lacking_in(plane: Plane, *tenants: str) -> None:
    """Analytics runs and is installed in acme-corp and globex; in these tenants without the CRM that it needs."""
    await plane.publish(CRM)
    await plane.register(ANALYTICS)
    for tenant in ("acme-corp", "globex"):
        if tenant not in tenants:
            await plane.install("plugin-crm", tenant=tenant)
        await plane.install("plugin-analytics", tenant=tenant, force=True)
    await plane.announced()


async def status(plane: Plane, tenant: str) -> ServiceStatus:
    return (await plane.control.registry.discover(tenant, REPORTS)).status


async def told(plane: Plane) -> list[tuple[str, list[str]]]:
    """What was announced of the reports' status since asked last."""
    found: list[dict[str, Any]] = [body for key, body in await plane.announced() if key.endswith(f"status.{REPORTS}")]
    return [(body["service"]["status"], body["service"].get("degradedIn", [])) for body in found]


async def test_a_service_is_degraded_in_the_tenant_that_lacks_something_and_nowhere_else() -> None:
    async with control_plane() as plane:
        await lacking_in(plane, "acme-corp")

        assert (await status(plane, "acme-corp"), await status(plane, "globex")) == ("DEGRADED", "HEALTHY")
        shown = (await plane.control.registry.list("acme-corp", plugin_id="plugin-analytics", limit=9)).services
        assert [(record.status, record.degraded_in) for record in shown] == [("DEGRADED", ())]


async def test_each_change_of_the_tenants_that_lack_something_is_announced_once() -> None:
    async with control_plane() as plane:
        await lacking_in(plane)
        await plane.uninstall("plugin-crm", tenant="globex", force=True)
        await plane.uninstall("plugin-crm", tenant="acme-corp", force=True)
        await plane.install("plugin-crm", tenant="globex")
        await plane.control.sweeper.sweep()

        assert await told(plane) == [
            ("HEALTHY", ["globex"]),
            ("HEALTHY", ["acme-corp", "globex"]),
            ("HEALTHY", ["acme-corp"]),
        ]


async def test_whoever_registers_is_announced_with_the_tenants_that_lack_something() -> None:
    async with control_plane() as plane:
        await lacking_in(plane, "acme-corp")
        answer = await plane.register(ANALYTICS, "two")

        ((_, body),) = await plane.announced()
        assert (body["service"]["status"], body["service"]["degradedIn"]) == ("HEALTHY", ["acme-corp"])
        assert (answer.status, answer.reasons) == (
            "DEGRADED",
            ("Missing dependency: plugin-crm (required by plugin-analytics)",),
        )


async def test_a_tenant_in_which_another_version_offers_the_same_lacks_nothing() -> None:
    """1.0.0 lingers there as long as its instance runs."""
    async with control_plane() as plane:
        await lacking_in(plane, "acme-corp")
        await plane.register(BETTER, "two")
        await plane.install("plugin-analytics")

        assert await status(plane, "acme-corp") == "HEALTHY"
        await plane.announced()
        await plane.register(BETTER, "three")
        ((_, body),) = await plane.announced()
        assert body["service"]["degradedIn"] == []


@pytest.mark.parametrize(
    ("before", "after", "is_departure"),
    [("HEALTHY", "UNAVAILABLE", True), ("UNAVAILABLE", "UNAVAILABLE", False), ("HEALTHY", "DEGRADED", False)],
)
def test_what_is_gone_is_not_gone_again_where_only_the_tenants_change(
    before: ServiceStatus, after: ServiceStatus, is_departure: bool
) -> None:
    """With a departure the presence is announced and the queue emptied."""
    assert Transition((REPORTS, "1.0.0"), before, after).is_departure is is_departure

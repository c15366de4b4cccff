"""What was done by force stays written, with who did it and what stood against it."""

import json
from typing import Any

from contracts.dependencies import InstallRequest, UninstallRequest, UpgradeRequest
from tests.unit.broker.control_plane import ANALYTICS, CRM, Plane, control_plane, manifest

ACME, CONSOLE = "acme-corp", "plugin-console"
MISSING = "Missing dependency: plugin-crm (required by plugin-analytics)"


async def written(plane: Plane) -> list[tuple[Any, ...]]:
    rows = await plane.database.rows("SELECT * FROM overrides ORDER BY id")
    assert all(row["at"].endswith("Z") for row in rows)
    return [
        (row["operation"], row["tenant"], row["plugin_id"], row["version"], row["caller"], *json.loads(row["reasons"]))
        for row in rows
    ]


async def test_an_install_and_an_upgrade_by_force_are_written() -> None:
    async with control_plane() as plane:
        later = manifest("analytics", "1.1.0", needs=[item.to_json() for item in ANALYTICS.api.dependencies])
        await plane.publish(CRM, ANALYTICS, later)
        await plane.tenants.create(ACME)
        first = InstallRequest(plugin_id="plugin-analytics", version="1.0.0", force=True)
        await plane.control.lifecycle.install(ACME, first, caller=CONSOLE)
        second = UpgradeRequest(plugin_id="plugin-analytics", force=True)
        await plane.control.lifecycle.upgrade(ACME, second, caller=CONSOLE)

        assert await written(plane) == [
            ("install", ACME, "plugin-analytics", "1.0.0", CONSOLE, MISSING),
            ("upgrade", ACME, "plugin-analytics", "1.1.0", CONSOLE, MISSING),
        ]


async def test_what_was_taken_by_force_is_written_though_nothing_else_of_it_is_left() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, ANALYTICS)
        await plane.install("plugin-crm", "plugin-analytics")
        request = UninstallRequest(plugin_id="plugin-crm", force=True)
        await plane.control.lifecycle.uninstall(ACME, request, caller=CONSOLE)
        await plane.control.removal.remove("plugin-analytics", force=True, caller=CONSOLE)
        await plane.tenants.remove(ACME)

        assert await written(plane) == [
            ("uninstall", ACME, "plugin-crm", "1.0.0", CONSOLE, "required by plugin-analytics"),
            ("remove", ACME, "plugin-analytics", "1.0.0", CONSOLE, "the plugin was removed by force"),
        ]


async def test_force_that_overrode_nothing_is_not_written() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.install("plugin-crm", force=True)
        await plane.uninstall("plugin-crm", force=True)

        assert await written(plane) == []

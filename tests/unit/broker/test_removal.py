"""Plugins that the broker shall know no more."""

import pytest

from contracts.errors import NotConnectedError, PluginNotFoundError, StillRequiredError, VersionMismatchError
from contracts.topology import Binding
from tests.unit.broker.control_plane import ANALYTICS, CRM, Plane, control_plane, heard, manifest


async def known(plane: Plane) -> list[str]:
    return [f"{item.id}@{item.version}" for item in (await plane.control.manifests.list()).plugins]


async def rows(plane: Plane) -> dict[str, int]:
    """How many rows each table of plugins has."""
    tables = ("plugins", "services", "dependencies", "installations", "instances", "subscriptions", "unmet", "watches")
    counted = [(table, await plane.database.row(f"SELECT count(*) FROM {table}")) for table in tables]  # noqa: S608
    return {table: row[0] for table, row in counted if row is not None and row[0]}


async def test_all_versions_go_or_one() -> None:
    async with control_plane() as plane:
        await plane.publish(*(manifest("crm", version) for version in ("1.0.0", "1.1.0", "2.0.0")))
        one = await plane.control.removal.remove("plugin-crm", version="1.1.0")
        left = await known(plane)
        rest = await plane.control.removal.remove("plugin-crm")

        assert (one.versions, left) == (("1.1.0",), ["plugin-crm@1.0.0", "plugin-crm@2.0.0"])
        assert (rest.versions, await known(plane)) == (("1.0.0", "2.0.0"), [])


async def test_what_is_not_known_is_not_found() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)

        with pytest.raises(PluginNotFoundError, match="plugin-crn is not known; did you mean 'plugin-crm'"):
            await plane.control.removal.remove("plugin-crn")
        with pytest.raises(PluginNotFoundError, match=r"plugin-crm@2\.0\.0 is not known: known are 1\.0\.0"):
            await plane.control.removal.remove("plugin-crm", version="2.0.0")


async def test_an_installed_plugin_stays_and_the_error_says_where() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.install("plugin-crm")
        await plane.install("plugin-crm", tenant="globex")

        with pytest.raises(StillRequiredError, match=r"1\.0\.0 is installed in tenant acme-corp; 1") as caught:
            await plane.control.removal.remove("plugin-crm")
        assert [item["reason"] for item in caught.value.details["blockedBy"]] == [
            "1.0.0 is installed in tenant acme-corp",
            "1.0.0 is installed in tenant globex",
        ]
        assert await known(plane) == ["plugin-crm@1.0.0"]


async def test_force_uninstalls_everywhere_first_and_says_so() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, ANALYTICS)
        for tenant in ("acme-corp", "globex"):
            await plane.install("plugin-crm", "plugin-analytics", tenant=tenant)
        await plane.announced()
        await plane.control.removal.remove("plugin-crm", force=True)

        announced = await plane.announced()
        assert [key for key, _ in announced] == [
            "acme-corp.plugin.uninstalled.plugin-crm",
            "globex.plugin.uninstalled.plugin-crm",
        ]
        assert all(body["forced"] and body["reasons"] == ["the plugin was removed by force"] for _, body in announced)
        assert (await plane.control.lifecycle.resolve("globex", "plugin-analytics")).errors == (
            "Missing dependency: plugin-crm (required by plugin-analytics)",
        )


async def test_a_running_instance_is_in_the_way_even_with_force() -> None:
    """It would make the plugin known again with its next heartbeat."""
    async with control_plane() as plane:
        await plane.register(CRM, "seven")

        with pytest.raises(StillRequiredError, match=r"instance seven of 1\.0\.0 runs: stop it first"):
            await plane.control.removal.remove("plugin-crm", force=True)


async def test_nothing_of_it_is_left() -> None:
    async with control_plane() as plane:
        queues = plane.queues()
        await plane.register(CRM, "seven", subscriptions=[heard("welcome", "shop.events.#")])
        await plane.install("plugin-crm")
        await plane.control.watches.watch("acme-corp", "plugin-crm", "seven", "crm.cache.#")
        plane.time.seconds += 20
        await plane.control.sweeper.sweep()  # the instance went without a word
        await plane.control.removal.remove("plugin-crm", force=True)

        assert await rows(plane) == {}
        assert plane.queues() == queues
        assert plane.vhost.bindings() == ()


async def test_a_lost_instance_that_comes_back_is_told_to_register_again() -> None:
    async with control_plane() as plane:
        await plane.register(CRM, "seven")
        plane.time.seconds += 20
        await plane.control.sweeper.sweep()
        await plane.control.removal.remove("plugin-crm")
        await plane.register(CRM, "seven")

        assert await known(plane) == ["plugin-crm@1.0.0"]
        assert "replies.plugin-crm.seven" in plane.queues()


async def test_removing_one_version_leaves_the_queues_of_the_others() -> None:
    async with control_plane() as plane:
        await plane.register(manifest("crm", "1.1.0", services={"contacts": "1.1.0"}), "seven")
        await plane.publish(manifest("crm", "1.0.0", services={"contacts": "1.0.0"}))
        await plane.control.removal.remove("plugin-crm", version="1.0.0")

        assert "calls.crm.contacts.1.1.0" in plane.queues()


async def test_a_removal_that_rabbitmq_does_not_do_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with control_plane() as plane:
        await plane.register(CRM, "seven", subscriptions=[heard("welcome", "shop.events.#")])
        await plane.install("plugin-crm")
        plane.time.seconds += 20
        await plane.control.sweeper.sweep()
        before = await rows(plane)

        async def fail(_binding: Binding) -> None:
            raise NotConnectedError("gone")

        monkeypatch.setattr(plane.transport, "unbind", fail)
        with pytest.raises(NotConnectedError):
            await plane.control.removal.remove("plugin-crm", force=True)
        assert await rows(plane) == before


async def test_a_manifest_is_that_of_the_highest_version_in_the_range() -> None:
    async with control_plane() as plane:
        await plane.publish(*(manifest("crm", version) for version in ("1.0.0", "1.1.0", "2.0.0")))
        manifests = plane.control.manifests

        assert (await manifests.manifest("plugin-crm", "^1.0.0")).version == "1.1.0"
        assert (await manifests.manifest("plugin-crm")).version == "2.0.0"
        with pytest.raises(VersionMismatchError, match=r"no version in \^3\.0\.0"):
            await manifests.manifest("plugin-crm", "^3.0.0")

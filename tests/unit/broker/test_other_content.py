"""A version whose manifest somebody runs with is not replaced beneath them."""

import pytest

from contracts.errors import InvalidRequestError
from contracts.names import OPERATOR_PLUGIN
from tests.unit.broker.control_plane import CRM, Plane, control_plane, manifest

MISTYPED = manifest("crm", services={"contact": "1.0.0"})
REFUSED = (
    r'^plugin-crm@1\.0\.0 is registered with other content by instance one: raise "version", or stop that instance '
    r"first; this one differs in api\.services \(without crm\.contacts, with crm\.contact\)$"
)


async def silence(plane: Plane) -> None:
    plane.time.seconds += 20
    await plane.control.sweeper.sweep()


@pytest.mark.parametrize("auto_install", [True, False])
async def test_a_mistyped_manifest_takes_no_service_from_the_running_instance(*, auto_install: bool) -> None:
    async with control_plane(auto_install=auto_install) as plane:
        await plane.register(CRM, tenants=["acme-corp"])
        await plane.install("plugin-crm")
        before = plane.queues(), plane.bindings("calls")
        with pytest.raises(InvalidRequestError, match=REFUSED) as caught:
            await plane.register(MISTYPED, "two", tenants=["acme-corp"])
        record = await plane.control.registry.discover("acme-corp", "crm.contacts")

        assert caught.value.details["instanceId"] == "one"
        assert (record.status, record.instances) == ("HEALTHY", 1)
        assert (plane.queues(), plane.bindings("calls")) == before


@pytest.mark.parametrize("caller", ["plugin-crm", OPERATOR_PLUGIN])
async def test_nor_is_other_content_published_while_an_instance_runs(caller: str) -> None:
    async with control_plane() as plane:
        await plane.register(CRM)

        with pytest.raises(Exception, match=r"registered with other content by instance one|may not replace"):
            await plane.control.manifests.publish(MISTYPED, caller=caller)
        assert await plane.control.manifests.manifest("plugin-crm") == CRM


async def test_an_instance_may_not_change_what_another_one_runs_with() -> None:
    async with control_plane() as plane:
        await plane.register(CRM, "one")
        await plane.register(CRM, "two")

        with pytest.raises(InvalidRequestError, match="by instance one"):
            await plane.register(MISTYPED, "two")


async def test_the_only_instance_replaces_its_own_content() -> None:
    async with control_plane() as plane:
        await plane.register(CRM)
        await plane.register(MISTYPED)

        assert await plane.control.manifests.manifest("plugin-crm") == MISTYPED


async def test_what_nobody_runs_with_any_more_is_replaced() -> None:
    """The restart of a developer, even after a crash."""
    async with control_plane() as plane:
        await plane.register(CRM)
        await silence(plane)
        await plane.register(MISTYPED, "two")

        assert await plane.control.manifests.manifest("plugin-crm") == MISTYPED


async def test_another_version_stands_in_nobodys_way() -> None:
    async with control_plane() as plane:
        await plane.register(CRM)
        await plane.register(manifest("crm", "1.0.1", services={"contact": "1.0.0"}), "two")
        await plane.publish(CRM)

        assert await plane.control.manifests.manifest("plugin-crm", "1.0.0") == CRM

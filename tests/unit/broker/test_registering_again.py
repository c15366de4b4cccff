"""What a known instance keeps when it registers again, and what every registration tells."""

from contracts.registry import DeregisterRequest, ServiceRegistration
from tests.unit.broker.control_plane import ANALYTICS, CRM, Plane, control_plane, manifest

BOTH = manifest("crm", services={"contacts": "1.0.0", "deals": "1.0.0"})
CONTACTS = ("calls.crm.contacts.1.0.0", "acme-corp.crm.contacts.1.0.0")
DEALS = ("calls.crm.deals.1.0.0", "acme-corp.crm.deals.1.0.0")


async def take_back(plane: Plane, service: str) -> None:
    await plane.control.registry.deregister("plugin-crm", DeregisterRequest(instance_id="one", service_name=service))


async def test_a_service_that_was_taken_back_stays_so() -> None:
    """Every reconnect registers again; that must not undo what the plugin said."""
    async with control_plane(auto_install=True) as plane:
        await plane.register(BOTH, tenants=["acme-corp"])
        await take_back(plane, "crm.contacts")
        await plane.announced()
        await plane.register(BOTH, tenants=["acme-corp"])

        assert plane.bindings("calls") == {DEALS}
        assert await plane.announced_keys() == ["_.service.registered.crm.deals"]


async def test_a_service_that_was_taken_back_comes_back_when_it_is_registered() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(BOTH, tenants=["acme-corp"])
        await take_back(plane, "crm.contacts")
        wanted = ServiceRegistration(instance_id="one", service_name="crm.contacts")
        await plane.control.registry.register_service("plugin-crm", wanted)
        await plane.register(BOTH, tenants=["acme-corp"])

        assert plane.bindings("calls") == {CONTACTS, DEALS}


async def test_a_new_instance_serves_everything() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(BOTH, tenants=["acme-corp"])
        await take_back(plane, "crm.contacts")
        await plane.register(BOTH, "two", tenants=["acme-corp"])

        assert plane.bindings("calls") == {CONTACTS, DEALS}


async def test_a_service_registered_beside_the_manifest_is_kept() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"])
        extra = ServiceRegistration(
            instance_id="one", service_name="crm.deals", version="1.0.0", endpoints=CRM.api.services[0].endpoints
        )
        await plane.control.registry.register_service("plugin-crm", extra)
        await plane.register(CRM, tenants=["acme-corp"])

        assert plane.bindings("calls") == {CONTACTS, DEALS}


async def test_another_manifest_brings_its_new_services_and_nothing_of_the_former() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"])
        await take_back(plane, "crm.contacts")
        await plane.register(BOTH, tenants=["acme-corp"])
        assert plane.bindings("calls") == {DEALS}

        await plane.register(manifest("crm", services={"leads": "1.0.0"}), tenants=["acme-corp"])
        assert plane.bindings("calls") == {("calls.crm.leads.1.0.0", "acme-corp.crm.leads.1.0.0")}


async def test_events_are_heard_wherever_any_version_is_installed() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"])
        newer = manifest("crm", "2.0.0", services={"contacts": "2.0.0"})
        answer = await plane.register(newer, "two", tenants=["globex"])

        assert answer.tenants == ("globex",)
        assert answer.heard_tenants == ("acme-corp", "globex")


async def test_every_view_says_as_of_which_revision_it_is_true() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"])
        answer = await plane.register(ANALYTICS, "two", tenants=["acme-corp"])
        last = (await plane.announced())[-1][1]["revision"]
        asked = await plane.control.registry.versions("acme-corp", "crm.contacts")

        assert [view.revision for view in answer.views] == [answer.revision] == [last]
        assert asked.revision == last

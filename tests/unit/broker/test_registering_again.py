"""What a known instance keeps when it registers again, and what every registration tells."""

from contracts.registry import DeregisterRequest, ServiceRegistration
from tests.unit.broker.control_plane import ANALYTICS, CRM, Plane, control_plane, manifest, need

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


async def test_calls_are_answered_wherever_any_version_with_the_same_service_version_is_installed() -> None:
    """They come by one queue; 2.0.0 has another queue, and is none of it."""
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp", "globex"])
        await plane.register(manifest("crm", "2.0.0", services={"contacts": "2.0.0"}), "two", tenants=["initech"])
        newer = manifest("crm", "1.1.0", services={"contacts": "1.0.0", "deals": "1.0.0"})
        answer = await plane.register(newer, "three", tenants=["globex"])

        assert answer.tenants == ("globex",)
        assert answer.serving == {"crm.contacts": ("acme-corp", "globex"), "crm.deals": ("globex",)}


async def test_an_announcement_says_what_all_installed_versions_offer() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM, manifest("crm", "2.0.0", services={"contacts": "2.0.0", "deals": "1.0.0"}))
        await plane.install("plugin-crm", range_="1.0.0")
        await plane.install("plugin-crm", range_="2.0.0")
        await plane.uninstall("plugin-crm")

        offered = [body["offers"] for key, body in await plane.announced() if ".plugin." in key]
        assert offered == [
            ["crm.contacts@1.0.0"],
            ["crm.contacts@1.0.0", "crm.contacts@2.0.0", "crm.deals@1.0.0"],
            ["crm.contacts@2.0.0", "crm.deals@1.0.0"],
            [],
        ]


async def test_every_tenant_in_which_an_instance_may_act_is_shown_to_it() -> None:
    """It answers calls and hears events of globex, though its own version is not installed there."""
    async with control_plane(auto_install=True) as plane:
        await plane.register(ANALYTICS, tenants=["globex"])
        older = manifest("analytics", "0.9.0", needs=[need("crm")], services={"reports": "1.0.0"})
        answer = await plane.register(older, "two", tenants=["acme-corp"])

        assert [view.tenant for view in answer.views] == ["acme-corp", "globex"]


async def test_every_view_says_as_of_which_revision_it_is_true() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"])
        answer = await plane.register(ANALYTICS, "two", tenants=["acme-corp"])
        last = (await plane.announced())[-1][1]["revision"]
        asked = await plane.control.registry.versions("acme-corp", "crm.contacts")

        assert [view.revision for view in answer.views] == [answer.revision] == [last]
        assert asked.revision == last

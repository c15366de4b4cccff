"""Instances come, report and go; services are found."""

import asyncio

import pytest

from broker.registry.service import RETIRE_AFTER_SECONDS
from contracts.errors import (
    IncompatibleRuntimeError,
    InvalidRequestError,
    NameTakenError,
    PermissionDeniedError,
    ServiceNotFoundError,
    TenantNotFoundError,
    UnresolvableError,
    VersionMismatchError,
)
from contracts.registry import DeregisterRequest, Heartbeat, ServiceRegistration
from tests.unit.broker.control_plane import ANALYTICS, CRM, Plane, control_plane, heard, manifest, request

CONTACTS = "calls.crm.contacts.1.0.0"
BOUND = {(CONTACTS, "acme-corp.crm.contacts.1.0.0")}


async def beat(plane: Plane, plugin: str = "plugin-crm", instance: str = "one", status: str = "HEALTHY") -> bool:
    answer = await plane.control.registry.heartbeat(plugin, Heartbeat(instance_id=instance, status=status))
    return answer.known


async def leave(plane: Plane, **fields: object) -> None:
    body = {"instanceId": "one", **fields}
    await plane.control.registry.deregister("plugin-crm", DeregisterRequest.parse(body))


async def crm_running(plane: Plane) -> None:
    await plane.publish(CRM)
    await plane.install("plugin-crm")
    await plane.register(CRM)
    await plane.announced()


async def test_registering_declares_and_binds_everything_before_the_answer() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.install("plugin-crm")
        answer = await plane.register(CRM, subscriptions=[heard("welcome", "billing.events.#")])

        assert answer.tenants == ("acme-corp",)
        assert answer.call_queues == {"crm.contacts": CONTACTS}
        assert answer.subscription_queues == {"welcome": "events.plugin-crm.welcome"}
        assert {answer.reply_queue, answer.instance_queue, CONTACTS, "dead.plugin-crm"} <= plane.queues()
        assert plane.bindings("calls") == BOUND
        assert plane.bindings("events") == {("events.plugin-crm.welcome", "acme-corp.billing.events.#")}


async def test_registering_is_announced_with_the_next_revision() -> None:
    async with control_plane() as plane:
        answer = await plane.register(CRM)

        announced = await plane.announced()
        assert [key for key, _ in announced] == [
            "_.dependency.declared.plugin-crm",
            "_.service.registered.crm.contacts",
        ]
        assert [body["revision"] for _, body in announced] == [1, 2]
        assert announced[1][1]["service"]["status"] == "HEALTHY"
        assert answer.revision == 2


async def test_a_plugin_installed_nowhere_serves_no_tenant() -> None:
    async with control_plane() as plane:
        answer = await plane.register(CRM, tenants=["acme-corp"])

        assert answer.tenants == ()
        assert plane.bindings("calls") == set()


async def test_with_auto_install_registering_makes_the_tenant_and_installs() -> None:
    async with control_plane(auto_install=True) as plane:
        answer = await plane.register(CRM, tenants=["acme-corp", "tech-co"])

        assert answer.tenants == ("acme-corp", "tech-co")
        assert len(plane.bindings("calls")) == 2


async def test_a_plugin_whose_requirement_is_missing_starts_degraded_and_turns_healthy_when_it_appears() -> None:
    async with control_plane(auto_install=True) as plane:
        answer = await plane.register(ANALYTICS, tenants=["acme-corp"])
        await plane.announced()
        await plane.register(CRM, "two", tenants=["acme-corp"])

        assert answer.status == "DEGRADED"
        assert answer.reasons == ("Missing dependency: plugin-crm (required by plugin-analytics)",)
        statuses = [body for key, body in await plane.announced() if key == "_.service.status.analytics.reports"]
        assert [body["service"]["status"] for body in statuses] == ["HEALTHY"]


async def test_a_strict_plugin_whose_requirement_is_missing_is_refused_and_nothing_stays() -> None:
    async with control_plane(auto_install=True) as plane:
        with pytest.raises(UnresolvableError, match="Missing dependency: plugin-crm"):
            await plane.register(ANALYTICS, tenants=["acme-corp"], strict=True)

        assert await plane.announced() == []
        assert plane.bindings("calls") == set()
        assert await beat(plane, "plugin-analytics") is False


async def test_views_show_every_installed_version_of_the_declared_dependencies() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, "two", tenants=["acme-corp"])
        answer = await plane.register(ANALYTICS, tenants=["acme-corp"])

        (view,) = answer.views
        assert [(record.id, record.status) for record in view.services] == [("crm.contacts@1.0.0", "HEALTHY")]


@pytest.mark.parametrize(
    ("caller", "fields", "error"),
    [
        ("plugin-crm", {"runtime_version": "9.0"}, IncompatibleRuntimeError),
        ("plugin-evil", {}, PermissionDeniedError),
    ],
)
async def test_who_may_not_register_is_refused(caller: str, fields: dict[str, str], error: type[Exception]) -> None:
    async with control_plane() as plane:
        with pytest.raises(error):
            await plane.control.registry.register(caller, request(CRM, **fields))

        assert await plane.announced() == []


async def test_the_brokers_own_id_cannot_be_registered() -> None:
    async with control_plane() as plane:
        with pytest.raises(InvalidRequestError, match="reserved"):
            await plane.register(manifest("system"))


async def test_an_instance_id_of_another_plugin_is_refused() -> None:
    async with control_plane() as plane:
        await plane.register(CRM)

        with pytest.raises(NameTakenError, match="belongs to plugin-crm"):
            await plane.register(ANALYTICS)


async def test_the_same_instance_may_register_again_and_gets_its_topology_back() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        await plane.transport.delete_queue(CONTACTS)
        await plane.register(CRM)

        assert plane.bindings("calls") == BOUND
        record = await plane.control.registry.discover("acme-corp", "crm.contacts")
        assert record.instances == 1


async def test_many_instances_register_at_once() -> None:
    async with control_plane(auto_install=True) as plane:
        names = [f"i{number}" for number in range(20)]
        await asyncio.gather(*(plane.register(CRM, name, tenants=["acme-corp"]) for name in names))

        record = await plane.control.registry.discover("acme-corp", "crm.contacts")
        assert record.instances == 20
        assert plane.bindings("calls") == BOUND


async def test_a_changed_pattern_replaces_the_old_one() -> None:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"], subscriptions=[heard("welcome", "a.b")])
        await plane.register(CRM, tenants=["acme-corp"], subscriptions=[heard("welcome", "a.c")])

        assert plane.bindings("events") == {("events.plugin-crm.welcome", "acme-corp.a.c")}


async def test_a_broadcast_comes_to_the_instance_queue() -> None:
    async with control_plane(auto_install=True) as plane:
        wanted = heard("all", "crm.cache.*", source="data", broadcast=True)
        await plane.register(CRM, tenants=["acme-corp"], subscriptions=[wanted])

        assert plane.bindings("data") == {("instance.plugin-crm.one", "acme-corp.crm.cache.*")}


# Discovery


async def test_discovery_answers_the_highest_version_in_the_range() -> None:
    async with control_plane(auto_install=True) as plane:
        for version in ("1.0.0", "2.0.0"):
            item = manifest("crm", version, services={"contacts": version})
            await plane.register(item, f"v{version[0]}", tenants=["acme-corp"])

        registry = plane.control.registry
        assert (await registry.discover("acme-corp", "crm.contacts", "^1.0.0")).version == "1.0.0"
        assert (await registry.discover("acme-corp", "crm.contacts")).version == "2.0.0"
        await beat(plane, instance="v2", status="DEGRADED")
        assert (await registry.discover("acme-corp", "crm.contacts")).version == "1.0.0"


async def test_a_service_that_is_not_installed_is_answered_with_those_that_are() -> None:
    """The details have the same keys as those of every other refusal to choose."""
    async with control_plane() as plane:
        await crm_running(plane)
        with pytest.raises(ServiceNotFoundError, match=r"did you mean 'crm\.contacts'") as caught:
            await plane.control.registry.discover("acme-corp", "crm.contact", "^1.0.0")

        asked = {"service": "crm.contact", "range": "^1.0.0", "versions": []}
        assert caught.value.details == {**asked, "available": ["crm.contacts"]}


async def test_a_version_out_of_range_is_a_mismatch_that_names_what_is_there() -> None:
    async with control_plane() as plane:
        await crm_running(plane)

        with pytest.raises(VersionMismatchError, match=r"\^2\.0\.0; installed: 1\.0\.0"):
            await plane.control.registry.discover("acme-corp", "crm.contacts", "^2.0.0")


async def test_a_service_that_nobody_serves_is_not_found_yet_in_the_view() -> None:
    async with control_plane() as plane:
        await plane.publish(CRM)
        await plane.install("plugin-crm")

        with pytest.raises(ServiceNotFoundError, match=r"^Service crm\.contacts not found or unavailable$"):
            await plane.control.registry.discover("acme-corp", "crm.contacts")
        view = await plane.control.registry.versions("acme-corp", "crm.contacts")
        assert [record.status for record in view.services] == ["UNAVAILABLE"]


async def test_a_service_is_hidden_from_tenants_without_the_plugin() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        await plane.tenants.create("tech-co")

        with pytest.raises(ServiceNotFoundError):
            await plane.control.registry.discover("tech-co", "crm.contacts")
        with pytest.raises(TenantNotFoundError):
            await plane.control.registry.discover("nobody", "crm.contacts")


async def test_listing_filters_and_pages() -> None:
    async with control_plane(auto_install=True) as plane:
        item = manifest("crm", services={"contacts": "1.0.0", "deals": "1.0.0"})
        await plane.register(item, tenants=["acme-corp"])
        await plane.register(ANALYTICS, "two", tenants=["acme-corp"])

        listed = await plane.control.registry.list("acme-corp", plugin_id="plugin-crm", page=2, limit=1)
        assert (listed.count, [item.id for item in listed.services]) == (2, ["crm.deals@1.0.0"])
        assert (await plane.control.registry.list("acme-corp", status="UNAVAILABLE", limit=9)).count == 0


# Leases


async def test_silence_is_announced_once_and_ends_unbound_purged_and_told() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        plane.time.seconds += 11
        await plane.control.sweeper.sweep()
        await plane.control.sweeper.sweep()
        assert await plane.announced_keys() == ["_.service.status.crm.contacts"]

        plane.time.seconds += 5
        await plane.control.sweeper.sweep()
        await plane.control.sweeper.sweep()
        assert await plane.announced_keys() == ["_.service.status.crm.contacts", "_.presence.crm.contacts"]
        assert plane.bindings("calls") == set()


async def test_a_late_instance_comes_back() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        plane.time.seconds += 20
        await plane.control.sweeper.sweep()
        await plane.announced()

        assert await beat(plane) is True
        announced = await plane.announced()
        assert [(key, body["service"]["status"]) for key, body in announced] == [
            ("_.service.status.crm.contacts", "HEALTHY")
        ]
        assert plane.bindings("calls") == BOUND


async def test_another_instance_keeps_the_service_up() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        await plane.register(CRM, "two")
        await plane.announced()
        plane.time.seconds += 14
        await beat(plane, instance="two")
        plane.time.seconds += 2
        await plane.control.sweeper.sweep()

        assert plane.bindings("calls") == BOUND
        assert await plane.announced() == []


async def test_a_restarted_broker_grants_a_lease_of_grace() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        plane.time.seconds += 100
        plane.control.sweeper.grant_grace()
        plane.time.seconds += 9
        await plane.control.sweeper.sweep()

        assert await plane.announced() == []


async def test_a_plugin_that_says_it_is_degraded_is_announced_so() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        await beat(plane, status="DEGRADED")

        ((_, body),) = await plane.announced()
        assert body["service"]["status"] == "DEGRADED"


async def test_an_unknown_instance_is_told_to_register_again() -> None:
    async with control_plane() as plane:
        assert await beat(plane, instance="nobody") is False


async def test_nobody_reports_for_another_plugin() -> None:
    async with control_plane() as plane:
        await crm_running(plane)

        with pytest.raises(PermissionDeniedError):
            await beat(plane, "plugin-evil")


async def test_an_instance_gone_for_long_is_forgotten() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        for seconds in (20, 700):
            plane.time.seconds += seconds
            await plane.control.sweeper.sweep()

        assert await beat(plane) is False
        assert "instance.plugin-crm.one" not in plane.queues()


# Leaving


async def test_the_last_instance_that_leaves_unbinds_the_service() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        await leave(plane)

        assert plane.bindings("calls") == set()
        ((key, body),) = await plane.announced()
        assert (key, body["service"]["instances"]) == ("_.service.deregistered.crm.contacts", 0)
        assert (await plane.control.registry.list("acme-corp", limit=9)).count == 0


async def test_the_queues_of_who_left_go_once_it_has_drained_them() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        await leave(plane)
        await plane.control.sweeper.sweep()
        assert "replies.plugin-crm.one" in plane.queues()

        plane.time.seconds += RETIRE_AFTER_SECONDS
        await plane.control.sweeper.sweep()
        assert "replies.plugin-crm.one" not in plane.queues()


async def test_one_service_can_be_taken_back_and_registered_again() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        await leave(plane, serviceName="crm.contacts")
        assert plane.bindings("calls") == set()

        wanted = ServiceRegistration(instance_id="one", service_name="crm.contacts")
        record = await plane.control.registry.register_service("plugin-crm", wanted)
        assert record.status == "HEALTHY"
        assert plane.bindings("calls") == BOUND


async def test_all_takes_a_service_back_for_every_instance() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        await plane.register(CRM, "two")
        await leave(plane, serviceName="crm.contacts", all=True)

        assert plane.bindings("calls") == set()


async def test_a_service_that_is_not_there_cannot_be_taken_back() -> None:
    async with control_plane() as plane:
        await crm_running(plane)

        with pytest.raises(ServiceNotFoundError):
            await leave(plane, serviceName="crm.deals")
        with pytest.raises(ServiceNotFoundError):
            await leave(plane, instanceId="nobody")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"service_name": "crm.deals"}, InvalidRequestError),
        ({"service_name": "crm.contacts", "version": "2.0.0"}, InvalidRequestError),
    ],
)
async def test_a_service_must_come_from_somewhere(fields: dict[str, str], error: type[Exception]) -> None:
    async with control_plane() as plane:
        await crm_running(plane)

        with pytest.raises(error):
            await plane.control.registry.register_service(
                "plugin-crm", ServiceRegistration(instance_id="one", **fields)
            )


async def test_a_service_of_another_plugin_is_taken() -> None:
    async with control_plane() as plane:
        await crm_running(plane)
        wanted = ServiceRegistration(
            instance_id="one", service_name="billing.bills", version="1.0.0", endpoints=CRM.api.services[0].endpoints
        )

        with pytest.raises(NameTakenError, match="belongs to plugin-billing"):
            await plane.control.registry.register_service("plugin-crm", wanted)

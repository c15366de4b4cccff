"""The registry: who offers what, told by announcements, and who went without a word."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from contracts.codec import encode
from contracts.errors import (
    BrokerLockedError,
    IncompatibleRuntimeError,
    InvalidRequestError,
    NameTakenError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ServiceNotFoundError,
    ServiceUnavailableError,
    TenantNotFoundError,
    VersionMismatchError,
)
from contracts.ids import new_id
from contracts.registry import DependencyAnnouncement, PluginAnnouncement, ServiceAnnouncement
from plugin_runtime import Call, Plugin, Runner, registration
from plugin_runtime.transport.base import Message
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import make_caller, make_crm, make_plugin, need
from tests.acceptance.world import ACME, GLOBEX, LEASE_SECONDS, World, short, status_is
from tests.waiting import eventually

SERVICE = "crm.contacts"
BEAT_SECONDS = LEASE_SECONDS / 3
NOT_FOUND = r"^Service crm\.contacts not found or unavailable"


async def short_lived(open_world: OpenWorld) -> World:
    """A world in which a lease runs out while one watches."""
    return await open_world(lease_seconds=LEASE_SECONDS, heartbeat_seconds=BEAT_SECONDS)


def make_stuck() -> tuple[Plugin, list[Call]]:
    """A CRM whose handlers begin and never end."""
    crm, started = make_plugin("crm", "GET /contacts", "POST /contacts"), list[Call]()

    async def wait(call: Call) -> None:
        started.append(call)
        await asyncio.Event().wait()

    crm.service(SERVICE).get("/contacts")(wait)
    crm.service(SERVICE).post("/contacts")(wait)
    return crm, started


async def answer_nothing(_call: Call) -> None:
    """A handler."""


async def heard(announcements: Any, count: int = 1) -> list[Any]:
    """The next announcements."""
    async with asyncio.timeout(5):
        return [await anext(announcements) for _ in range(count)]


async def said(runner: Runner, path: str, **fields: Any) -> Any:
    """Speak to the registry as a runtime does, but with words of one's own."""
    body = {"instanceId": runner.instance, **fields}
    registry = runner.tenant("_").service("system.registry")
    return await (registry.post if path == "/deregister" else registry.put)(path, body=body)


# Announcements


async def test_start_and_stop_of_a_plugin_are_announced(world: World) -> None:
    acme = await world.tenant()
    with acme.registry.watch("_.service.#") as announcements:
        runner = await world.connect(make_crm(version="1.2.0"))
        await world.stop(runner)
        registered, deregistered = await heard(announcements, 2)

    assert isinstance(registered, ServiceAnnouncement)
    assert (registered.change, deregistered.change) == ("registered", "deregistered")
    assert short(registered.service) == (SERVICE, "1.2.0", "HEALTHY")
    assert short(deregistered.service) == (SERVICE, "1.2.0", "UNAVAILABLE")
    assert registered.instance_id == deregistered.instance_id == runner.instance


async def test_every_announcement_has_the_next_revision(world: World) -> None:
    acme = await world.tenant()
    with acme.registry.watch() as announcements:
        await world.connect(make_crm())
        await acme.dependencies.uninstall("plugin-crm")
        revisions = [found.revision for found in await heard(announcements, 4)]

    assert revisions == list(range(revisions[0], revisions[0] + 4))


async def test_installation_is_announced_in_its_tenant(world: World) -> None:
    acme = await world.tenant()
    with acme.registry.watch(f"{GLOBEX}.plugin.*.plugin-crm") as announcements:
        await world.connect(make_crm(version="1.0.0"), tenants=[ACME, GLOBEX])
        await world.connect(make_crm(version="1.1.0"), tenants=[GLOBEX])
        found = await heard(announcements, 2)

    assert all(isinstance(one, PluginAnnouncement) for one in found)
    assert [(one.change, one.tenant, one.version) for one in found] == [
        ("installed", GLOBEX, "1.0.0"),
        ("upgraded", GLOBEX, "1.1.0"),
    ]


async def test_change_of_status_is_announced_once(open_world: OpenWorld) -> None:
    world = await short_lived(open_world)
    crm = await world.connect(make_crm())
    acme = await world.tenant()
    with acme.registry.watch("_.service.status.#") as announcements:
        world.silence(crm)
        found = await heard(announcements, 2)
        await world.beat(crm)
        found += await heard(announcements, 1)

    assert [one.service.status for one in found] == ["DEGRADED", "UNAVAILABLE", "HEALTHY"]


async def test_forged_announcement_is_not_believed(world: World) -> None:
    await world.connect(make_crm())
    acme = await world.tenant()
    assert await acme.service(SERVICE).get("/contacts") == "served"
    raw = await world.raw("plugin-mallory")
    body = encode({"revision": 10**6, "serviceName": SERVICE, "version": "1.0.0"})
    with acme.registry.watch() as announcements:
        for content in (body, b"{"):
            message = Message(body=content, type="presence", message_id=new_id())
            await raw.publish(message, exchange=world.topology.registry, routing_key=f"_.presence.{SERVICE}")
        await world.connect(make_plugin("marketing"))
        (first, *_) = await heard(announcements)

    assert isinstance(first, DependencyAnnouncement)
    assert await acme.service(SERVICE).get("/contacts") == "served"


# Discovery


async def test_discovery_tells_everything_about_a_service(world: World) -> None:
    for _ in range(2):
        await world.connect(make_crm(version="1.2.0"))
    acme = await world.tenant()
    found = await acme.registry.discover(SERVICE, "^1.0.0")

    assert (found.id, found.plugin_id) == ("crm.contacts@1.2.0", "plugin-crm")
    assert short(found) == (SERVICE, "1.2.0", "HEALTHY")
    assert (found.instances, [item.path for item in found.endpoints]) == (2, ["/contacts"])
    assert found.last_seen_at is not None


async def test_known_service_is_discovered_and_called_without_asking_the_broker(world: World) -> None:
    await world.connect(make_crm())
    analytics = await world.connect(make_plugin("analytics", needs=(need("crm", service=SERVICE),)))
    acme = analytics.tenant(ACME)
    with world.sent_by(analytics) as sent:
        for _ in range(3):
            await acme.registry.discover(SERVICE)
        assert sent == []
        await acme.service(SERVICE).get("/contacts")

    assert [one.routing_key for one in sent] == [f"{ACME}.{SERVICE}.1.0.0"]


async def test_undeclared_service_is_asked_for_once(world: World) -> None:
    await world.connect(make_crm())
    analytics = await world.connect(make_plugin("analytics"))
    acme = analytics.tenant(ACME)
    with world.sent_by(analytics) as sent:
        for _ in range(3):
            await acme.registry.discover(SERVICE)

    assert [one.routing_key for one in sent] == [f"{ACME}.system.registry.1.0.0"]


async def test_absence_is_remembered_as_well(world: World) -> None:
    analytics = await world.connect(make_plugin("analytics"))
    acme = analytics.tenant(ACME)
    with world.sent_by(analytics) as sent:
        for _ in range(3):
            with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
                await acme.registry.discover(SERVICE)

    assert len(sent) == 1


@pytest.mark.parametrize("needs", [(), (need("crm", "*", SERVICE, required=False),)])
async def test_cached_view_follows_the_announcements(world: World, needs: Any) -> None:
    """Absent, then served, then a better version beside it, and so back again."""
    acme = await world.tenant(make_plugin("analytics", needs=needs))

    async def version() -> str:
        try:
            return (await acme.registry.discover(SERVICE)).version
        except ServiceNotFoundError:
            return "none"

    async def is_seen(expected: str) -> None:
        async def holds() -> bool:
            return await version() == expected

        assert await eventually(holds, 3)

    await is_seen("none")
    old = await world.connect(make_crm(version="1.0.0"))
    await is_seen("1.0.0")
    new = await world.connect(make_crm(version="2.0.0"))
    await is_seen("2.0.0")
    await world.stop(new)
    await is_seen("1.0.0")
    await world.stop(old)
    await is_seen("none")


async def test_healthy_version_is_preferred_to_a_degraded_one(world: World) -> None:
    await world.connect(make_crm("old", version="1.0.0"))
    await world.connect(make_crm("new", version="2.0.0", needs=(need("billing"),)))
    acme = await world.tenant()

    assert await acme.service(SERVICE).get("/contacts") == "old"
    assert await acme.service(SERVICE, "^2.0.0").get("/contacts") == "new"


async def test_discovery_refuses_in_the_words_of_the_guide(world: World) -> None:
    runner = await world.connect(make_crm(version="1.5.0"))
    acme = runner.tenant(ACME)

    with pytest.raises(VersionMismatchError, match=r"Service crm\.contacts has no version in \^2\.0\.0"):
        await acme.registry.discover(SERVICE, "^2.0.0")
    with pytest.raises(ServiceNotFoundError, match=r"^Service crm\.deals not found or unavailable"):
        await acme.registry.discover("crm.deals")
    with pytest.raises(TenantNotFoundError, match="Tenant 'nowhere' not found"):
        await runner.tenant("nowhere").registry.discover(SERVICE)
    with pytest.raises(InvalidRequestError, match="service name"):
        await acme.registry.discover("CRM_Contacts")


async def test_list_is_sorted_and_can_be_filtered(world: World) -> None:
    for version in ("2.0.0", "10.0.0", "1.0.0"):
        await world.connect(make_crm(version=version))
    billing = make_plugin("billing", "GET /x", needs=(need("gone"),))
    billing.service("billing.contacts").get("/x")(_nothing)
    acme = await world.tenant(billing)
    everything = [short(found) for found in await acme.registry.list()]
    crm = [(SERVICE, version, "HEALTHY") for version in ("1.0.0", "2.0.0", "10.0.0")]

    assert everything == [("billing.contacts", "1.0.0", "DEGRADED"), *crm]
    assert [short(found) for found in await acme.registry.list(plugin="plugin-crm")] == crm
    assert [short(found) for found in await acme.registry.list(status="DEGRADED")] == everything[:1]
    assert await acme.registry.list(status="UNAVAILABLE") == []


async def test_list_refuses_filters_that_are_none(world: World) -> None:
    runner = await world.connect(make_caller())
    acme = runner.tenant(ACME)

    with pytest.raises(InvalidRequestError, match="status must be one of HEALTHY, DEGRADED, UNAVAILABLE"):
        await acme.registry.list(status="healthy")
    with pytest.raises(InvalidRequestError, match="pluginId"):
        await acme.registry.list(plugin="crm")
    with pytest.raises(TenantNotFoundError):
        await runner.tenant("nowhere").registry.list()


async def _nothing(_call: Call) -> None: ...


# The guide's registration of one service


async def test_service_can_be_taken_back_and_offered_again(world: World) -> None:
    crm = await world.connect(make_crm())
    acme = await world.tenant()
    await crm.tenant(ACME).registry.deregister(SERVICE)
    with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
        await acme.service(SERVICE).get("/contacts")
    metadata = {"description": "Contact management API", "maintainer": "crm-team@example.com"}
    await crm.tenant(ACME).registry.register(SERVICE, base_url="http://localhost:3100", metadata=metadata)
    await eventually(status_is(acme, SERVICE, "HEALTHY"))
    (found,) = await acme.registry.list()

    assert await acme.service(SERVICE).get("/contacts") == "served"
    assert found.base_url == "http://localhost:3100"
    assert found.metadata.model_extra == metadata


async def test_instance_takes_back_its_own_part_or_all(world: World) -> None:
    first, second = [await world.connect(make_crm()) for _ in range(2)]
    acme = await world.tenant()
    await first.tenant(ACME).registry.deregister(SERVICE)
    (left,) = await acme.registry.list()
    await first.tenant(ACME).registry.register(SERVICE)
    await second.tenant(ACME).registry.deregister(SERVICE, all=True)

    assert (left.instances, left.status) == (1, "HEALTHY")
    with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
        await acme.service(SERVICE).get("/contacts")


async def test_what_is_not_registered_cannot_be_taken_back(world: World) -> None:
    crm = await world.connect(make_crm())
    registry = crm.tenant(ACME).registry
    await registry.deregister(SERVICE)

    with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
        await registry.deregister(SERVICE)
    with pytest.raises(ServiceNotFoundError, match=r"^Service crm\.deals not found"):
        await registry.deregister("crm.deals")
    with pytest.raises(InvalidRequestError, match="serviceName"):
        await registry.deregister("CRM")


async def test_registration_that_breaks_a_rule_says_which(world: World) -> None:
    crm = await world.connect(make_crm())
    table: list[tuple[str, dict[str, Any]]] = [
        (r"the manifest has crm\.contacts@1\.0\.0, found 2\.0\.0", {"serviceName": SERVICE, "version": "2.0.0"}),
        (r"the manifest does not list crm\.deals", {"serviceName": "crm.deals"}),
        ("baseUrl", {"serviceName": SERVICE, "baseUrl": "not a url"}),
        ("rateLimit", {"serviceName": SERVICE, "metadata": {"rateLimit": -1}}),
        ("name: unknown key", {"serviceName": SERVICE, "name": "x"}),
        ("serviceName: is required", {}),
    ]
    for message, fields in table:
        with pytest.raises(InvalidRequestError, match=message):
            await said(crm, "/services", **fields)


async def test_instance_speaks_for_itself_only(world: World) -> None:
    crm, mallory = await world.connect(make_crm()), await world.connect(make_plugin("mallory"))

    for path in ("/heartbeat", "/deregister"):
        with pytest.raises(PermissionDeniedError, match="belongs to plugin-crm, not to plugin-mallory"):
            await said(mallory, path, instanceId=crm.instance)
    with pytest.raises(PermissionDeniedError, match="belongs to plugin-crm"):
        await said(mallory, "/services", instanceId=crm.instance, serviceName=SERVICE)


# Who may register


async def test_incompatible_runtime_is_refused_and_told_the_range(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("0.0.9", "0.2.0", "9.0", "not a version"):
        monkeypatch.setattr(registration, "runtime_version", lambda version=version: version)

        with pytest.raises(IncompatibleRuntimeError, match=r"accepted is .*<0\.2") as caught:
            await world.connect(make_crm())
        assert caught.value.details["found"] == version
        assert "<0.2" in caught.value.details["accepted"]


async def test_another_protocol_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "PROTOCOL", 2)

    with pytest.raises(IncompatibleRuntimeError, match="speaks protocol 2, this broker speaks 1"):
        await world.connect(make_crm())


async def test_plugin_cannot_register_in_the_name_of_another(world: World) -> None:
    await world.connect(make_crm())

    with pytest.raises(PermissionDeniedError, match="Plugin plugin-mallory may not register plugin-crm"):
        await world.connect(make_crm("forged"), identity="plugin-mallory")
    acme = await world.tenant()
    (found,) = await acme.registry.list()
    assert found.instances == 1


async def test_instance_id_of_another_plugin_is_taken(world: World) -> None:
    crm, billing = await world.connect(make_crm()), make_plugin("billing")
    request = {
        "protocol": 1,
        "runtimeVersion": registration.runtime_version(),
        "manifest": billing.manifest.to_json(),
    }
    caller = await world.connect(billing)

    with pytest.raises(NameTakenError, match=f"Instance {crm.instance} belongs to plugin-crm, not to plugin-billing"):
        await said(caller, "/register", instanceId=crm.instance, **request)


async def test_reserved_id_is_refused(world: World) -> None:
    for name in ("system", "broker", "plexica"):
        with pytest.raises(InvalidRequestError, match=f"'plugin-{name}' is reserved for the broker"):
            await world.connect(make_plugin(name))


async def test_refused_plugin_leaves_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXICA_STRICT", "yes")
    with pytest.raises(Exception, match="Missing dependency"):
        await world.connect(make_crm(needs=(need("billing"),)))
    monkeypatch.delenv("PLEXICA_STRICT")
    console = await world.connect(make_plugin("console"))

    assert [plugin.id for plugin in await console.platform.plugins()] == ["plugin-console"]
    assert await console.tenant(ACME).registry.list() == []


# Leases


async def test_instance_that_goes_without_a_word_becomes_unavailable(open_world: OpenWorld) -> None:
    world = await short_lived(open_world)
    crm = await world.connect(make_crm())
    acme = await world.tenant()
    assert await acme.service(SERVICE).get("/contacts") == "served"
    await world.crash(crm)

    await eventually(status_is(acme, SERVICE, "UNAVAILABLE"), 5)
    with pytest.raises(ServiceNotFoundError, match=NOT_FOUND):
        await acme.service(SERVICE).get("/contacts")


async def test_pending_calls_fail_when_the_last_instance_went(open_world: OpenWorld) -> None:
    """What may be repeated is told so; of the rest nobody knows whether it was run."""
    world = await short_lived(open_world)
    plugin, started = make_stuck()
    crm = await world.connect(plugin)
    contacts = (await world.tenant()).service(SERVICE)
    reading, writing = (asyncio.ensure_future(ask("/contacts")) for ask in (contacts.get, contacts.post))
    await eventually(lambda: len(started) == 2)
    await world.crash(crm)
    done = await asyncio.wait_for(asyncio.gather(reading, writing, return_exceptions=True), 5)

    assert [type(found) for found in done] == [ServiceUnavailableError, OutcomeUnknownError]
    assert "The last instance of crm.contacts 1.0.0 went away" in str(done[0])


async def test_call_made_after_the_crash_fails_before_its_deadline_too(open_world: OpenWorld) -> None:
    """The queue is still there and takes it; when the lease runs out its caller is told."""
    world = await short_lived(open_world)
    crm = await world.connect(make_crm())
    contacts = (await world.tenant()).service(SERVICE)
    await contacts.get("/contacts")
    await world.crash(crm)

    with pytest.raises((ServiceUnavailableError, ServiceNotFoundError)):
        await contacts.get("/contacts", timeout=10)


async def test_call_in_hand_of_a_dying_instance_is_run_by_another_if_it_may(world: World) -> None:
    plugin, started = make_stuck()
    dying = await world.connect(plugin)
    contacts = (await world.tenant()).service(SERVICE)
    reading, writing = (asyncio.ensure_future(ask("/contacts")) for ask in (contacts.get, contacts.post))
    await eventually(lambda: len(started) == 2)
    rescuer = make_plugin("crm", "GET /contacts", "POST /contacts")
    service = rescuer.service(SERVICE)

    @service.get("/contacts")
    @service.post("/contacts")
    async def answer(call: Call) -> Any:
        return [call.method, call.redelivered]

    await world.connect(rescuer)
    await world.crash(dying)

    assert await asyncio.wait_for(reading, 5) == ["GET", True]
    with pytest.raises(OutcomeUnknownError, match="it is not run twice"):
        await asyncio.wait_for(writing, 5)


async def test_service_stays_healthy_while_one_of_two_instances_lives(open_world: OpenWorld) -> None:
    world = await short_lived(open_world)
    first, _ = await world.connect(make_crm()), await world.connect(make_crm())
    acme = await world.tenant()
    await world.crash(first)

    async def one_is_left() -> bool:
        (found,) = await acme.registry.list()
        return (found.instances, found.status) == (1, "HEALTHY")

    await eventually(one_is_left, 5)
    assert await acme.service(SERVICE).get("/contacts") == "served"


async def test_silent_instance_is_degraded_first_and_still_answers(open_world: OpenWorld) -> None:
    world = await open_world(lease_seconds=1.5, heartbeat_seconds=0.3)
    crm = await world.connect(make_crm())
    acme = await world.tenant()
    world.silence(crm)

    await eventually(status_is(acme, SERVICE, "DEGRADED"), 5)
    assert await acme.service(SERVICE).get("/contacts") == "served"


def want_registration(runner: Runner) -> None:
    runner._heart.lose_track()


def want_grants(runner: Runner) -> None:
    held = runner._grants._held[ACME]
    held.renew_at, held.used_at = 0.0, time.monotonic()


@pytest.mark.parametrize(("path", "wants"), [("/register", want_registration), ("/grants", want_grants)])
async def test_broker_that_is_slow_with_something_else_still_hears_heartbeats(
    open_world: OpenWorld, path: str, wants: Callable[[Runner], None]
) -> None:
    world = await short_lived(open_world)
    crm, acme = await world.connect(make_crm()), await world.tenant()
    asked, goes_on, system = (
        list[Call](),
        asyncio.Event(),
        world.broker._runner._server._admission._routers["system.registry"],
    )
    answer = system.match("PUT", path).mark

    async def wait(call: Call) -> None:
        asked.append(call)
        await goes_on.wait()

    object.__setattr__(answer, "handler", wait)
    wants(crm)
    with world.sent_by(crm) as sent:
        await eventually(lambda: asked and len(sent) > 2 * LEASE_SECONDS / BEAT_SECONDS)
    found = await acme.registry.list()
    goes_on.set()

    assert [short(one) for one in found] == [(SERVICE, "1.0.0", "HEALTHY")]


async def test_late_heartbeat_brings_an_instance_back(open_world: OpenWorld) -> None:
    world = await short_lived(open_world)
    crm = await world.connect(make_crm())
    acme = await world.tenant()
    world.silence(crm)
    await eventually(status_is(acme, SERVICE, "UNAVAILABLE"), 5)
    await world.beat(crm)
    await world.settled()

    assert [short(found) for found in await acme.registry.list()] == [(SERVICE, "1.0.0", "HEALTHY")]
    assert await acme.service(SERVICE).get("/contacts") == "served"


async def test_plugin_registers_again_with_a_broker_that_forgot_it(open_world: OpenWorld) -> None:
    world = await short_lived(open_world)
    await world.connect(make_crm())
    acme = await world.tenant()
    await world.stop_broker()
    await world.start_broker()

    await eventually(status_is_or_absent(acme), 5)
    assert await acme.service(SERVICE).get("/contacts") == "served"


def status_is_or_absent(client: Any) -> Any:
    """The service is HEALTHY; the tenant may not be there again yet, nor the plugin in it."""

    async def holds() -> bool:
        try:
            return bool(await status_is(client, SERVICE, "HEALTHY")())
        except (TenantNotFoundError, PermissionDeniedError):
            return False

    return holds


async def test_plugins_call_one_another_while_the_broker_is_away(world: World) -> None:
    await world.connect(make_crm())
    acme = await world.tenant(make_plugin("analytics", needs=(need("crm", service=SERVICE),)))
    await world.stop_broker()

    assert await acme.service(SERVICE).get("/contacts", timeout=5) == "served"
    assert await acme.emit("analytics.events.report.made", {})
    await world.start_broker()


async def test_second_broker_is_refused(world: World) -> None:
    second = World(world._place, store=None)

    with pytest.raises(BrokerLockedError, match=r"another broker holds queue 'broker\.lock'"):
        await second.start_broker()

    assert await (await world.tenant()).registry.list() == []


# Two manifests of one version


async def test_mistyped_manifest_of_a_running_version_is_refused_and_harms_nobody(world: World) -> None:
    served = await world.connect(make_crm())
    caller = await world.tenant()
    mistyped = make_plugin("crm", "GET /contacts", service="contact")
    mistyped.service("crm.contact").get("/contacts")(answer_nothing)
    with pytest.raises(InvalidRequestError, match=f'other content by instance {served.instance}: raise "version"'):
        await world.connect(mistyped)

    assert await caller.service(SERVICE).get("/contacts") == "served"


async def test_changed_manifest_is_taken_once_the_former_instance_has_stopped(world: World) -> None:
    await world.stop(await world.connect(make_crm()))
    changed = make_plugin("crm", "GET /contacts", "GET /deals")
    for path in ("/contacts", "/deals"):
        changed.service(SERVICE).get(path)(answer_nothing)
    await world.connect(changed)

    assert await (await world.tenant()).service(SERVICE).get("/deals") is None

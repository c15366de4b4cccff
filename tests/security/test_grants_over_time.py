"""Grants in the course of time: outages, rotations, restarts, uninstallations."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from broker.grants.rules import ROTATE_AFTER_SECONDS
from contracts.errors import PermissionDeniedError, TenantNotFoundError
from contracts.grants import GRANT_SECONDS, OUTAGE_GRACE_SECONDS, SILENCE_SECONDS
from contracts.manifest import Dependency
from plugin_runtime import Runner
from plugin_runtime.grants import PAUSE_SECONDS
from tests.acceptance.conftest import OpenWorld
from tests.acceptance.plugins import Ears, make_plugin
from tests.acceptance.world import ACME, CONSOLE, GLOBEX, World
from tests.security.victims import READ, WRITE, Crm, ask, asking, refusal
from tests.unit.plugin_runtime.tokens import Key, make_grant
from tests.waiting import eventually

ME = "plugin-analytics"
FORGED = Key("forged").sign(make_grant(sub=ME))


def fall_silent(world: World, runner: Runner) -> None:
    """The instance has not heard the broker for as long as that it counts as away."""
    registrar: Any = runner._registrar
    world.silence(runner)
    registrar._pulse.heard_at = time.monotonic() - SILENCE_SECONDS


async def test_grant_that_ended_is_taken_within_the_grace_while_the_broker_is_silent(world: World) -> None:
    crm = Crm()
    runner = await world.connect(crm.plugin)
    ended = world.token(ME, ended_seconds_ago=OUTAGE_GRACE_SECONDS - 60)
    long_ago = world.token(ME, ended_seconds_ago=OUTAGE_GRACE_SECONDS + 60)
    assert refusal(await ask(world, ended))[0] == "UNAUTHENTICATED"
    fall_silent(world, runner)

    assert (await ask(world, ended)).data == "read"
    assert refusal(await ask(world, long_ago))[0] == "UNAUTHENTICATED"
    assert crm.served == [ME]


async def test_plugins_with_grants_that_ended_call_one_another_while_the_broker_is_away(world: World) -> None:
    callee = await world.connect(Crm().plugin)
    caller = await world.connect(asking())
    for runner in (callee, caller):
        fall_silent(world, runner)
    ended = world.token(ME, ended_seconds_ago=600.0)
    await world.stop_broker()
    held = caller._grants._held[ACME]
    held.token, held.renew_at, held.urgent_at = ended, 0.0, 0.0

    assert await caller.tenant(ACME).service("crm.contacts").get("/contacts", timeout=10) == "read"
    await world.start_broker()


async def test_caller_whose_grant_was_refused_gets_another_and_calls_once_more(world: World) -> None:
    crm = Crm()
    await world.connect(crm.plugin)
    caller = await world.connect(asking())
    caller._grants._held[ACME].token = world.token(ME, ended_seconds_ago=600.0)

    assert await caller.tenant(ACME).service("crm.contacts").get("/contacts") == "read"
    assert crm.served == [ME]


async def test_broker_that_was_away_takes_what_nobody_could_renew_meanwhile(world: World) -> None:
    await world.tenant()
    ended, key = world.token(ME, ended_seconds_ago=600.0), f"{ACME}.system.registry.1.0.0"
    registrar: Any = world.broker._runner._registrar

    assert (await ask(world, ended, key=key)).error is not None  # an endpoint that is not there, not a grant
    assert refusal(await ask(world, ended, key=key))[0] == "ENDPOINT_NOT_FOUND"
    registrar._back_at -= SILENCE_SECONDS
    assert refusal(await ask(world, ended, key=key))[0] == "UNAUTHENTICATED"


async def test_broker_that_is_asked_to_answer_every_61_seconds_is_not_silent_in_between(open_world: OpenWorld) -> None:
    world = await open_world(heartbeat_seconds=61.0, lease_seconds=130.0)
    callee = await world.connect(Crm().plugin)
    registrar: Any = callee._registrar
    registrar._pulse.heard_at -= 122.0
    ended = world.token(ME, ended_seconds_ago=600.0)

    assert refusal(await ask(world, ended))[0] == "UNAUTHENTICATED"
    registrar._pulse.heard_at -= 61.0
    assert (await ask(world, ended)).data == "read"


@pytest.mark.parametrize(("heartbeat_seconds", "answered"), [(1.0, 2), (5.0, 3), (10.1, 6)])
async def test_broker_is_asked_to_answer_the_more_often_the_rarer_heartbeats_are(
    open_world: OpenWorld, heartbeat_seconds: float, answered: int
) -> None:
    world = await open_world(heartbeat_seconds=heartbeat_seconds, lease_seconds=130.0)
    runner = await world.connect(make_plugin("analytics"))
    world.silence(runner)

    with world.sent_by(runner) as sent:
        for _ in range(6):
            await world.beat(runner)

    assert [one.type for one in sent].count("call") == answered


# Renewal


async def test_grant_is_renewed_at_half_life_with_the_heartbeat(open_world: OpenWorld) -> None:
    world = await open_world(heartbeat_seconds=0.1, lease_seconds=30.0)
    caller = await world.connect(make_plugin("analytics"))
    await caller.tenant(ACME).emit("analytics.events.report.made", {})
    held = caller._grants._held[ACME]
    held.renew_at -= GRANT_SECONDS / 2

    await eventually(lambda: caller._grants._held[ACME] is not held)
    assert caller._grants._held[ACME].renew_at - time.monotonic() > GRANT_SECONDS / 2 - 30


async def test_grant_is_asked_for_once_and_used_for_all_that_follows(world: World) -> None:
    caller = await world.connect(asking())
    caller._grants.drop(ACME)
    with world.sent_by(caller) as sent:
        for _ in range(3):
            await caller.tenant(ACME).emit("analytics.events.report.made", {})

    assert [one.routing_key for one in sent].count("_.system.registry.1.0.0") == 1


async def test_uninstallation_ends_the_grant_and_an_installation_brings_another(world: World) -> None:
    caller = await world.connect(make_plugin("analytics"))
    console = (await world.connect(make_plugin("console"), tenants=(GLOBEX,))).tenant(ACME)
    analytics = caller.tenant(ACME)
    await analytics.emit("analytics.events.report.made", {})
    await console.dependencies.uninstall(ME)
    await eventually(lambda: ACME not in caller._grants._held)

    with pytest.raises(
        PermissionDeniedError, match=f"^Plugin {ME} is not installed in tenant {ACME}: plexica install {ME} -t {ACME}$"
    ):
        await analytics.emit("analytics.events.report.made", {})
    await console.dependencies.install(ME)
    assert await analytics.emit("analytics.events.report.made", {})


async def test_what_an_upgrade_grants_is_known_at_once(world: World) -> None:
    await world.connect(Crm().plugin)
    former = await world.connect(asking(READ))
    with pytest.raises(PermissionDeniedError, match=f"lacks {WRITE}"):
        await former.tenant(ACME).service("crm.contacts").post("/contacts")
    latter = await world.connect(asking(READ, WRITE, version="1.1.0"))

    assert await latter.tenant(ACME).service("crm.contacts").post("/contacts") == "written"
    await eventually(lambda: ACME not in former._grants._held)
    assert await former.tenant(ACME).service("crm.contacts").post("/contacts") == "written"


async def test_what_is_declared_later_is_granted_when_the_same_version_is_installed_again(world: World) -> None:
    await world.connect(Crm().plugin)
    acme = await world.tenant(asking(READ))
    with pytest.raises(PermissionDeniedError):
        await acme.service("crm.contacts").post("/contacts")
    need = {"pluginId": "plugin-crm", "serviceName": "crm.contacts", "version": "*", "permissions": [READ, WRITE]}
    await acme.dependencies.declare([Dependency.parse({**need, "required": False})])
    console = await world.tenant(make_plugin("console"))
    await console.dependencies.install("plugin-analytics")

    async def written() -> bool:
        with suppress(PermissionDeniedError):
            return bool(await acme.service("crm.contacts").post("/contacts") == "written")
        return False

    await eventually(written)


async def test_nobody_speaks_for_a_tenant_that_is_not_there(world: World) -> None:
    acme = await world.tenant()
    nowhere = (await world.connect(make_plugin("console"))).tenant("nowhere")

    with pytest.raises(TenantNotFoundError, match=r"^Tenant 'nowhere' not found: plexica tenant create nowhere$"):
        await nowhere.emit("console.events.a.b", {})
    assert await acme.emit("analytics.events.report.made", {})


async def test_operator_speaks_for_a_tenant_in_which_it_is_not_installed(world: World) -> None:
    await world.tenant()
    console = (await world.connect(make_plugin(CONSOLE.removeprefix("plugin-")), tenants=(GLOBEX,))).tenant(ACME)

    assert [found.plugin_id for found in await console.dependencies.installations()] == [ME]


# Keys


async def rotate(world: World) -> None:
    """The broker replaces its key, as if 30 days had passed."""
    grants = world.broker.subjects.grants
    grants._now = lambda: time.time() + ROTATE_AFTER_SECONDS + 1
    await grants.prepare()
    await world.settled()


async def test_rotation_under_way_fails_no_call_and_no_event(world: World) -> None:
    crm, marketing = Crm(), make_plugin("marketing")
    ears = Ears().on(marketing, "analytics.events.#")
    callee = await world.connect(crm.plugin)
    await world.connect(marketing)
    caller = await world.connect(asking())
    analytics, before = caller.tenant(ACME), caller._grants._held[ACME].token
    await rotate(world)
    await eventually(lambda: len(callee._grants._keys) == 2)

    assert await analytics.service("crm.contacts").get("/contacts") == "read"  # signed by the former key
    caller._grants.drop(ACME)
    assert await analytics.service("crm.contacts").get("/contacts") == "read"
    assert await analytics.registry.list() != []
    assert caller._grants._held[ACME].token != before
    await analytics.emit("analytics.events.report.made", {})
    await eventually(lambda: ears.heard)


async def test_receiver_that_missed_a_rotation_asks_for_the_keys(world: World) -> None:
    crm = Crm()
    callee = await world.connect(crm.plugin)
    former = world.broker.subjects.grants.keys
    await rotate(world)
    await eventually(lambda: len(callee._grants._keys) == 2)
    callee._grants._keys.replace(former)

    assert (await ask(world, world.token(ME))).data == "read"
    assert len(callee._grants._keys) == 2


async def test_event_whose_key_nobody_can_be_asked_for_is_tried_again(world: World) -> None:
    marketing = make_plugin("marketing")
    ears = Ears().on(marketing, "crm.events.#")
    hearer = await world.connect(marketing)
    await world.tenant(make_plugin("crm"))
    keys = world.broker.subjects.grants.keys
    token = world.token("plugin-crm")
    await world.stop_broker()
    hearer._grants._keys.replace(())
    await world.emit_raw(b"{}", x_grant=token)
    await eventually(lambda: hearer._grants._keys_asked_at > 0)
    hearer._grants._keys.replace(keys)

    assert await eventually(lambda: [found.attempt for found in ears.heard] == [2])
    await world.start_broker()


async def make_late(world: World, callee: Runner, token: str) -> None:
    """The receiver asked for the keys a moment ago, and has heard of no rotation since."""
    assert (await ask(world, token)).error is not None
    former = world.broker.subjects.grants.keys
    await rotate(world)
    await eventually(lambda: len(callee._grants._keys) == 2)
    callee._grants._keys.replace(former)


async def test_unknown_key_a_moment_before_a_rotation_buries_no_event(world: World) -> None:
    crm = Crm()
    ears = Ears().on(crm.plugin, "analytics.events.#")
    callee = await world.connect(crm.plugin)
    caller = await world.connect(asking())
    await make_late(world, callee, FORGED)
    caller._grants.drop(ACME)
    with capture_logs() as logs:
        await caller.tenant(ACME).emit("analytics.events.report.made", {})
        await eventually(lambda: [one for one in logs if one["event"] == "event.retry_scheduled"])
    callee._grants._keys_asked_at -= PAUSE_SECONDS

    assert await eventually(lambda: [found.attempt for found in ears.heard] == [2])


async def test_call_under_a_key_that_cannot_be_asked_for_yet_may_be_repeated(world: World) -> None:
    crm = Crm()
    callee = await world.connect(crm.plugin)
    await world.tenant(asking())
    await make_late(world, callee, FORGED)

    assert refusal(await ask(world, world.token(ME)))[0] == "SERVICE_UNAVAILABLE"
    callee._grants._keys_asked_at -= PAUSE_SECONDS
    assert (await ask(world, world.token(ME))).data == "read"
    assert crm.served == [ME]


async def test_key_that_the_broker_never_had_is_refused_for_good_once_it_was_asked(world: World) -> None:
    callee = await world.connect(Crm().plugin)

    assert refusal(await ask(world, FORGED))[0] == "UNAUTHENTICATED"
    assert refusal(await ask(world, FORGED))[0] == "SERVICE_UNAVAILABLE"
    callee._grants._keys_asked_at -= PAUSE_SECONDS
    assert refusal(await ask(world, FORGED))[0] == "UNAUTHENTICATED"


async def test_restarted_broker_keeps_its_key(open_world: OpenWorld, tmp_path: Path) -> None:
    world = await open_world(store=tmp_path / "broker.db")
    await world.connect(Crm().plugin)
    analytics = await world.tenant(asking())
    keys = world.broker.subjects.grants.keys
    await world.stop_broker()
    await world.start_broker()

    assert world.broker.subjects.grants.keys == keys
    assert await analytics.registry.list() != []
    assert await analytics.service("crm.contacts").get("/contacts") == "read"

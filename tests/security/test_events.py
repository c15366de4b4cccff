"""Events, changes, replies and announcements of somebody who may not say them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.codec import encode
from contracts.ids import new_id
from contracts.topology import Binding
from plugin_runtime import Call, Plugin
from plugin_runtime.transport.base import Message
from tests.acceptance.plugins import Ears, make_crm, make_plugin, need
from tests.acceptance.world import ACME, GLOBEX, World
from tests.unit.plugin_runtime.tokens import Key, make_grant
from tests.waiting import eventually

OWNER, HEARER = "plugin-crm", "plugin-marketing"
CREATED = f"{ACME}.crm.events.contact.created"


async def hearing(world: World, **options: Any) -> Ears:
    """Marketing hears the CRM's contacts in both tenants."""
    marketing = make_plugin("marketing")
    ears = Ears().on(marketing, "crm.events.contact.*", **options)
    await world.connect(marketing, tenants=(ACME, GLOBEX))
    return ears


async def waits_for_another_attempt(world: World) -> bool:
    return await world.depth(world.topology.delay_queue(HEARER, "ears", 1).name) == 1


ATTACKS: dict[str, tuple[Callable[[World], dict[str, Any]], str]] = {
    "no grant": (lambda _: {"x_grant": None}, "UnauthenticatedError"),
    "stolen": (lambda world: {"x_grant": world.token("plugin-analytics")}, "UnauthenticatedError"),
    "other tenant": (lambda world: {"x_grant": world.token(OWNER, GLOBEX)}, "PermissionDeniedError"),
    "other key": (lambda _: {"x_grant": Key("forged").sign(make_grant(sub=OWNER))}, "UnauthenticatedError"),
    "namespace of another": (lambda _: {"identity": "plugin-mallory"}, "PermissionDeniedError"),
    "the tenant of another key": (lambda _: {"x_tenant_id": GLOBEX}, "PermissionDeniedError"),
    "in the name of another": (lambda _: {"x_caller_plugin_id": "plugin-sales"}, "UnauthenticatedError"),
    "as a change of data": (lambda _: {"type": "data.set"}, "InvalidRequestError"),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_event_of_somebody_who_may_not_say_it_goes_to_the_dead_letters(world: World, attack: str) -> None:
    ears = await hearing(world)
    make, error = ATTACKS[attack]
    await world.emit_raw(b"{}", **make(world))

    (letter,) = await world.dead_letters(HEARER)

    assert letter.message.headers["x-error-type"] == error
    assert ears.heard == []


async def test_event_of_its_owner_is_heard_though_its_grant_ended_long_ago(world: World) -> None:
    ears = await hearing(world)
    await world.emit_raw(b"{}", x_grant=world.token(OWNER, ended_seconds_ago=30 * 86_400.0))

    assert await eventually(lambda: ears.keys == ["crm.events.contact.created"])


async def test_event_under_a_key_that_the_subscription_did_not_ask_for_reaches_no_handler(world: World) -> None:
    """As a CC header would bring it. Another version may have asked for it, so it comes again before it is buried."""
    ears, key = await hearing(world), f"{ACME}.crm.events.deal.created"
    queue = world.topology.event_queue(HEARER, "ears").name
    await (await world.raw()).bind(Binding(queue, world.topology.events, key))
    await world.emit_raw(b"{}", key=key)
    await eventually(lambda: waits_for_another_attempt(world))
    assert ears.heard == []


async def test_event_that_only_a_newer_version_asked_for_is_not_lost_to_an_older_one(world: World) -> None:
    """Both share the subscription's queue while an upgrade rolls."""
    older, newer = (make_plugin("marketing", version=version) for version in ("1.0.0", "1.1.0"))
    Ears().on(older, "crm.events.contact.*")
    ears = Ears().on(newer, "crm.events.#")
    crm = await world.tenant(make_crm())
    await world.stop(await world.connect(newer))
    running = await world.connect(older)
    await crm.emit("crm.events.contact.created", {})
    await (await world.raw()).bind(
        Binding(world.topology.event_queue(HEARER, "ears").name, world.topology.events, f"{ACME}.crm.events.#")
    )
    await crm.emit("crm.events.deal.created", {})
    await eventually(lambda: waits_for_another_attempt(world))
    await world.stop(running)
    await world.connect(newer)
    assert await eventually(lambda: ears.keys == ["crm.events.deal.created"])


async def test_broadcast_without_a_right_grant_is_refused(world: World) -> None:
    ears = await hearing(world, broadcast=True)
    with capture_logs() as logs:
        await world.emit_raw(b"{}", x_grant=None)
        await world.emit_raw(b"{}")
        await eventually(lambda: ears.heard)

    assert len(ears.heard) == 1
    assert [one["event"] for one in logs if one["event"] == "event.broadcast_refused"] == ["event.broadcast_refused"]


# Another attempt

ORIGINAL = {
    "x_original_exchange": "plexica.events",
    "x_original_routing_key": CREATED,
    "x_original_publisher": OWNER,
    "x_original_type": "event",
}


async def redeliver(world: World, identity: str, **changes: Any) -> None:
    headers = {"x_grant": world.token(OWNER), **ORIGINAL, **changes}
    exchange, key = world.topology.redelivery, f"{HEARER}.ears"
    await world.emit_raw(b"{}", identity=identity, exchange=exchange, key=key, **headers)


async def test_attempt_that_the_subscriber_published_again_is_handled(world: World) -> None:
    ears = await hearing(world)
    await redeliver(world, HEARER)

    assert await eventually(lambda: [found.publisher for found in ears.heard] == [OWNER])


@pytest.mark.parametrize(
    ("identity", "changes"),
    [
        ("plugin-mallory", {}),
        (OWNER, {}),
        (HEARER, {"x_original_publisher": "plugin-mallory"}),
        (HEARER, {"x_original_routing_key": f"{GLOBEX}.crm.events.contact.created"}),
        (HEARER, {"x_original_exchange": "plexica.data", "x_original_type": "data.set"}),
        (HEARER, {"x_grant": None}),
    ],
)
async def test_redelivery_that_is_none_is_refused(world: World, identity: str, changes: dict[str, Any]) -> None:
    ears = await hearing(world)
    await redeliver(world, identity, **changes)
    await world.dead_letters(HEARER)

    assert ears.heard == []


async def test_grant_travels_on_with_an_event_that_is_tried_again(world: World) -> None:
    marketing, attempts = make_plugin("marketing"), list[int]()

    @marketing.on("crm.events.#", name="ears")
    async def fail_first(event: Any) -> None:
        attempts.append(event.attempt)
        if event.attempt == 1:
            raise RuntimeError("not yet")

    await world.connect(marketing)
    crm = await world.tenant(make_crm())
    await crm.emit("crm.events.contact.created", {})

    assert await eventually(lambda: attempts == [1, 2])


# What the broker alone says


async def test_change_of_data_that_a_plugin_published_is_refused(world: World) -> None:
    marketing = make_plugin("marketing")
    ears = Ears().on_data(marketing, "crm.cache.*")
    await world.connect(marketing)
    body = encode({"kind": "set", "namespace": "crm.cache", "key": "n", "value": 1, "revision": 1, "ownerId": OWNER})
    await world.emit_raw(body, exchange=world.topology.data, key=f"{ACME}.crm.cache.n", type="data.set")

    (letter,) = await world.dead_letters(HEARER)

    assert "only 'plugin-system' may" in str(letter.message.headers["x-error"])
    assert ears.heard == []


async def test_watched_change_that_a_plugin_published_is_refused(world: World) -> None:
    acme = await world.tenant()
    body = {"kind": "set", "namespace": "crm.cache", "key": "n", "value": "forged", "revision": 1, "ownerId": OWNER}
    async with acme.data.watch("crm.cache.*") as changes:
        key = f"{ACME}.crm.cache.n"
        await world.emit_raw(encode(body), exchange=world.topology.data, key=key, type="data.set")
        await acme.data.set("crm.cache", "n", "true")
        async with asyncio.timeout(5):
            found = await anext(changes)

    assert found.value == "true"


async def test_announcement_that_a_plugin_published_is_not_believed(world: World) -> None:
    """A forged uninstallation would silence a plugin."""
    crm = await world.connect(make_crm())
    acme = await world.tenant(make_plugin("analytics", needs=(need("crm", service="crm.contacts"),)))
    fields = {"change": "uninstalled", "tenant": ACME, "pluginId": OWNER, "version": "1.0.0", "revision": 10_000}
    key = f"{ACME}.plugin.uninstalled.{OWNER}"
    with capture_logs() as logs:
        await world.emit_raw(encode(fields), exchange=world.topology.registry, key=key, type="plugin.uninstalled")
        await eventually(lambda: [one for one in logs if one["event"] == "instance.refused"])

    assert await acme.service("crm.contacts").get("/contacts") == "served"
    assert await crm.tenant(ACME).emit("crm.events.contact.created", {})


# Replies


async def test_reply_of_somebody_else_is_not_taken_for_the_callees(world: World) -> None:
    crm, goes_on = make_plugin("crm", "GET /contacts"), asyncio.Event()

    @crm.service("crm.contacts").get("/contacts")
    async def contacts(_call: Call) -> str:
        await goes_on.wait()
        return "true"

    await world.connect(crm)
    calling, answer = await in_flight(world)
    with capture_logs() as logs:
        for identity, exchange in (("plugin-mallory", world.topology.replies), (OWNER, world.topology.events)):
            await forge_reply(world, calling, identity, exchange)
        await eventually(lambda: len([one for one in logs if one["event"] == "call.reply_refused"]) == 2)
    goes_on.set()

    assert await answer == "true"


async def in_flight(world: World) -> tuple[Any, "asyncio.Task[Any]"]:
    """An instance of analytics, and its call that waits for its reply."""
    analytics: Plugin = make_plugin("analytics", needs=(need("crm", service="crm.contacts"),))
    runner = await world.connect(analytics)
    answer = asyncio.create_task(runner.tenant(ACME).service("crm.contacts").get("/contacts"))
    await eventually(lambda: len(runner._client._pending))
    return runner, answer


async def forge_reply(world: World, caller: Any, identity: str, exchange: str) -> None:
    (correlation_id,) = caller._client._pending._waiting
    body = encode({"status": 200, "headers": {}, "data": "forged"})
    message = Message(body=body, type="reply", message_id=new_id(), correlation_id=correlation_id)
    transport = await world.raw(identity)
    if exchange != world.topology.replies:
        await transport.bind(Binding(caller.answer.reply_queue, exchange, caller._client._reply_to))
    await transport.publish(message, exchange=exchange, routing_key=caller._client._reply_to)

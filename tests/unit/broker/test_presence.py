"""A hint from RabbitMQ makes the broker look; what it sees decides who is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from broker.registry.leases import FORGET_AFTER_SECONDS
from broker.registry.presence import RESTORING_SECONDS, STARTING_SECONDS, Presence
from contracts.registry import Heartbeat
from contracts.topology import RABBITMQ_EVENTS
from plugin_runtime.transport.base import Delivery
from tests.unit.broker.control_plane import CRM, Plane, control_plane
from tests.unit.plugin_runtime.deliveries import make_delivery
from tests.waiting import eventually

CONTACTS = "calls.crm.contacts.1.0.0"
REPLIES = "replies.plugin-crm.one"
GONE = ["_.service.status.crm.contacts", "_.presence.crm.contacts"]


@asynccontextmanager
async def watched(lease_seconds: float = 15.0) -> AsyncIterator[tuple[Plane, Presence]]:
    """The CRM runs, registered a while ago, and nobody consumes yet."""
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"])
        await plane.announced()
        plane.time.seconds += STARTING_SECONDS
        yield (
            plane,
            Presence(
                database=plane.database,
                departures=plane.control.departures,
                transport=plane.transport,
                topology=plane.topology,
                vhost="bus",
                registered=plane.control.registry.registered,
                lease_seconds=lease_seconds,
                now=plane.time,
            ),
        )


def event(queue: object = REPLIES, *, vhost: str = "bus", exchange: str = RABBITMQ_EVENTS) -> Delivery:
    """RabbitMQ tells that a queue lost a consumer."""
    headers = {"queue": queue if isinstance(queue, str) else None, "vhost": vhost, "consumer_tag": "a/b/replies"}
    return make_delivery(exchange=exchange, routing_key="consumer.deleted", publisher=None, type_="", headers=headers)


async def consume(plane: Plane, queue: str = REPLIES) -> None:
    await plane.transport.consume(queue, lambda _: None, prefetch=1, role="replies")


async def test_an_instance_without_a_consumer_is_given_up_told_and_unbound() -> None:
    async with watched() as (plane, presence):
        await presence.look(["one"])
        await presence.look(["one"])

        assert await plane.announced_keys() == GONE
        assert plane.bindings("calls") == set()


async def test_what_waits_for_a_version_that_is_gone_is_dropped() -> None:
    async with watched() as (plane, presence):
        message = make_delivery().message
        await plane.transport.publish(message, exchange="plexica.calls", routing_key="acme-corp.crm.contacts.1.0.0")
        await presence.look(["one"])

        assert (await plane.transport.depth(CONTACTS)).messages == 0


async def test_one_that_consumes_stays() -> None:
    async with watched() as (plane, presence):
        await consume(plane)
        await presence.look(["one"])

        assert await plane.announced() == []


async def test_another_instance_keeps_the_service_up() -> None:
    async with watched() as (plane, presence):
        await plane.register(CRM, "two")
        await plane.announced()
        await presence.look(["one"])

        assert await plane.announced() == []
        assert CONTACTS in {queue for queue, _ in plane.bindings("calls")}


async def test_one_whose_queue_is_gone_is_gone() -> None:
    async with watched() as (plane, presence):
        await plane.transport.delete_queue(REPLIES)
        await presence.look(["one"])

        assert await plane.announced_keys() == GONE


async def test_one_that_just_registered_is_spared_and_looked_at_again() -> None:
    async with watched() as (plane, presence):
        await plane.register(CRM)
        await plane.announced()
        await presence.look(["one"])
        assert await plane.announced() == []

        plane.time.seconds += RESTORING_SECONDS
        running = asyncio.create_task(presence.run())
        await eventually(lambda: bound_nowhere(plane))
        running.cancel()
        assert await plane.announced_keys() == GONE


async def test_one_that_registers_while_it_is_judged_is_not_given_up() -> None:
    async with watched() as (plane, _):
        judged = dict(plane.control.registry.registered)
        await plane.register(CRM)
        await plane.announced()
        await plane.control.departures.take("plugin-crm", judged, plane.control.registry.registered)

        assert await plane.announced() == []


async def test_its_next_heartbeat_brings_it_back() -> None:
    async with watched() as (plane, presence):
        await presence.look(["one"])
        await plane.announced()
        await plane.control.registry.heartbeat("plugin-crm", Heartbeat(instance_id="one"))

        ((key, body),) = await plane.announced()
        assert (key, body["service"]["status"]) == ("_.service.status.crm.contacts", "HEALTHY")


async def test_reconciling_gives_up_everybody_who_is_missing() -> None:
    async with watched() as (plane, presence):
        await plane.register(CRM, "two")
        await consume(plane, "replies.plugin-crm.two")
        plane.time.seconds += STARTING_SECONDS
        await presence.reconcile()

        states = await plane.database.rows("SELECT id, state FROM instances ORDER BY id")
        assert [tuple(row) for row in states] == [("one", "UNAVAILABLE"), ("two", "HEALTHY")]


async def test_an_event_makes_it_look() -> None:
    async with watched() as (plane, presence):
        running = asyncio.create_task(presence.run())
        presence.on_event(event())
        presence.on_event(event())
        await eventually(lambda: bound_nowhere(plane))
        running.cancel()

        assert await plane.announced_keys() == GONE


@pytest.mark.parametrize(
    "strange",
    [
        event(vhost="another"),
        event(exchange="plexica.registry"),
        event(exchange=""),
        event(CONTACTS),
        event("other.replies.plugin-crm.one"),
        event("replies.plugin-crm"),
        event("replies.plugin-crm.nobody"),
        event(7),
    ],
)
async def test_what_is_none_of_its_business_changes_nothing(strange: Delivery) -> None:
    async with watched() as (plane, presence):
        running = asyncio.create_task(presence.run())
        presence.on_event(strange)
        await asyncio.sleep(0.05)  # nothing is what should happen
        running.cancel()

        assert await plane.announced() == []


async def test_events_are_not_heeded_while_everybody_is_on_the_way_back() -> None:
    async with watched() as (plane, presence):
        running = asyncio.create_task(presence.run())
        presence.expect_return()
        presence.on_event(event())
        await asyncio.sleep(0.05)  # nothing is what should happen
        running.cancel()

        assert await plane.announced() == []


async def test_after_a_return_everybody_is_looked_at() -> None:
    async with watched(lease_seconds=0.1) as (plane, presence):
        running = asyncio.create_task(presence.run())
        presence.expect_return()
        await eventually(lambda: bound_nowhere(plane))
        running.cancel()

        assert await plane.announced_keys() == GONE


async def test_without_the_event_exchange_it_says_so_once() -> None:
    async with watched() as (_, presence):
        with capture_logs() as logs:
            await presence.listen()
            await presence.listen()

        (entry,) = [one for one in logs if one["event"] == "presence.by_lease_only"]
        assert "event_exchange.vhost = bus" in entry["hint"]


async def test_a_service_whose_last_instance_is_forgotten_is_announced_as_deregistered_once() -> None:
    async with watched() as (plane, presence):
        await presence.look(["one"])
        await plane.announced()
        plane.time.seconds += FORGET_AFTER_SECONDS
        await plane.control.sweeper.sweep()
        await plane.control.sweeper.sweep()

        ((key, body),) = await plane.announced()
        assert (key, body["service"]["status"]) == ("_.service.deregistered.crm.contacts", "UNAVAILABLE")
        assert (body["instanceId"], body["service"]["instances"]) == ("one", 0)


async def test_an_instance_that_is_forgotten_beside_another_is_not_announced() -> None:
    async with watched() as (plane, _):
        plane.time.seconds += FORGET_AFTER_SECONDS
        await plane.control.sweeper.sweep()
        await plane.register(CRM, "two")
        await plane.announced()
        await plane.control.sweeper.sweep()

        assert await plane.announced() == []


def bound_nowhere(plane: Plane) -> bool:
    return plane.bindings("calls") == set()

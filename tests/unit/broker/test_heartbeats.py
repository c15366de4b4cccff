"""Heartbeats that want no answer renew leases, and are believed no more than those that do."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.calls import CallReply, CallRequest
from contracts.codec import decode, encode
from contracts.registry import HEARTBEAT_TYPE, DeregisterRequest
from contracts.topology import HEARTBEAT_KEY
from plugin_runtime.transport.base import Delivery
from plugin_runtime.transport.memory import MemoryTransport
from tests.unit.broker.control_plane import CRM, Plane, control_plane
from tests.unit.plugin_runtime.deliveries import make_delivery
from tests.waiting import eventually


@asynccontextmanager
async def crm_running() -> AsyncIterator[Plane]:
    async with control_plane(auto_install=True) as plane:
        await plane.register(CRM, tenants=["acme-corp"])
        await plane.announced()
        yield plane


def heartbeat(
    body: Any = None,
    *,
    publisher: str | None = "plugin-crm",
    type_: str = HEARTBEAT_TYPE,
    exchange: str = "plexica.calls",
) -> Delivery:
    sent = {"instanceId": "one", "status": "HEALTHY", "load": 0} if body is None else body
    return make_delivery(
        exchange=exchange, routing_key=HEARTBEAT_KEY, publisher=publisher, type_=type_, body=json.dumps(sent).encode()
    )


def take(plane: Plane, delivery: Delivery | None = None) -> None:
    plane.control.heartbeats.take(delivery or heartbeat(), plane.transport)


async def silent_for(plane: Plane, seconds: float) -> list[str]:
    plane.time.seconds += seconds
    await plane.control.sweeper.sweep()
    return await plane.announced_keys()


async def test_it_renews_the_lease() -> None:
    async with crm_running() as plane:
        await plane.control.sweeper.sweep()
        plane.time.seconds += 9
        take(plane)

        assert await silent_for(plane, 9) == []


async def test_it_brings_back_an_instance_that_was_given_up() -> None:
    async with crm_running() as plane:
        await silent_for(plane, 20)
        take(plane)
        await eventually(lambda: bool(plane.bindings("calls")))

        ((key, body),) = await eventual_announcements(plane)
        assert (key, body["service"]["status"]) == ("_.service.status.crm.contacts", "HEALTHY")


async def test_what_an_instance_says_of_itself_is_announced() -> None:
    async with crm_running() as plane:
        take(plane, heartbeat({"instanceId": "one", "status": "DEGRADED", "load": 7}))

        ((_, body),) = await eventual_announcements(plane)
        assert body["service"]["status"] == "DEGRADED"


@pytest.mark.parametrize(
    ("delivery", "reason"),
    [
        (heartbeat(publisher=None), "nobody vouches"),
        (heartbeat(publisher="plugin-evil"), "belongs to plugin-crm"),
        (heartbeat(type_="event"), "type"),
        (heartbeat(exchange=""), "it came over exchange ''"),
        (heartbeat([]), "must be a JSON object"),
        (heartbeat({"instanceId": "one", "load": -1}), "load"),
    ],
)
async def test_one_that_cannot_be_believed_renews_nothing(delivery: Delivery, reason: str) -> None:
    async with crm_running() as plane:
        plane.time.seconds += 9
        with capture_logs() as logs:
            take(plane, delivery)
            await eventually(lambda: any(entry["event"] == "heartbeat.refused" for entry in logs))

        assert reason in next(entry["reason"] for entry in logs if entry["event"] == "heartbeat.refused")
        assert await silent_for(plane, 9) == ["_.service.status.crm.contacts", "_.presence.crm.contacts"]


async def test_one_of_an_instance_that_left_brings_nothing_back() -> None:
    async with crm_running() as plane:
        await plane.control.registry.deregister("plugin-crm", DeregisterRequest(instance_id="one"))
        await plane.announced()
        take(plane)

        assert await silent_for(plane, 0) == []
        assert await plane.database.rows("SELECT id FROM instances") == []


async def test_they_come_from_their_own_queue_and_are_dropped_while_the_broker_may_not_judge() -> None:
    async with crm_running() as plane:
        answers = [True, False]  # taken from the end
        await plane.control.heartbeats.listen(plane.transport, is_ready=answers.pop)
        plane.time.seconds += 9
        await publish(plane)
        await eventually(lambda: answers == [True])
        assert await silent_for(plane, 2) == ["_.service.status.crm.contacts"]

        await publish(plane)
        assert ("_.service.status.crm.contacts", "HEALTHY") in [
            (key, body["service"]["status"]) for key, body in await eventual_announcements(plane)
        ]


@pytest.mark.parametrize(
    ("instance", "answer"),
    [
        ("one", {"status": 200, "known": True}),
        ("nobody", {"status": 200, "known": False}),
        ("Two!", {"status": 400, "code": "INVALID_REQUEST"}),
    ],
)
async def test_one_that_comes_as_a_call_is_answered(instance: str, answer: dict[str, Any]) -> None:
    async with crm_running() as plane:
        replies: list[Delivery] = []
        await plane.transport.consume("replies.plugin-crm.one", replies.append, prefetch=1, role="replies")
        take(plane, call(CallRequest(method="PUT", path="/heartbeat", body={"instanceId": instance})))
        await eventually(lambda: replies)

        assert replies[0].message.correlation_id == "42"
        reply = CallReply.from_json(decode(replies[0].message.body))
        found = {"status": reply.status, **(reply.data or {}), **(reply.error or {})}
        assert found.items() >= answer.items()


async def test_one_that_wants_its_answer_elsewhere_gets_none() -> None:
    async with crm_running() as plane:
        replies: list[Delivery] = []
        await plane.transport.consume("replies.plugin-crm.one", replies.append, prefetch=1, role="replies")
        beat = CallRequest(method="PUT", path="/heartbeat", body={"instanceId": "one"})
        stranger = call(beat)
        stranger.message = replace(stranger.message, correlation_id="forged", reply_to="plugin-crm.one")
        stranger.publisher = "plugin-mallory"  # type: ignore[misc]
        take(plane, stranger)
        take(plane, call(beat))
        await eventually(lambda: replies)

        assert [reply.message.correlation_id for reply in replies] == ["42"]


def call(request: CallRequest) -> Delivery:
    delivery = make_delivery(
        exchange="plexica.calls",
        routing_key=HEARTBEAT_KEY,
        type_="call",
        headers={"x-tenant-id": "_"},
        body=encode(request.to_json()),
    )
    delivery.message = replace(delivery.message, correlation_id="42", reply_to="plugin-crm.one")
    return delivery


async def publish(plane: Plane) -> None:
    plugin = MemoryTransport(plane.vhost, identity="plugin-crm")
    await plugin.open()
    await plugin.publish(heartbeat().message, exchange="plexica.calls", routing_key=HEARTBEAT_KEY)
    await plugin.close()


async def eventual_announcements(plane: Plane) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []

    async def is_told() -> bool:
        found.extend(await plane.announced())
        return bool(found)

    await eventually(is_told)
    return found

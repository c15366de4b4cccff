"""Calls by direct reply-to: one reply, from the broker alone, in time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self, cast

import pytest

from contracts.calls import CallReply, CallRequest
from contracts.codec import encode
from contracts.errors import MissingQueueError, ReturnedMessageError, TenantNotFoundError, TransportError
from contracts.ids import new_id
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import Topology
from plugin_runtime.calls.direct import DirectCalls
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.base import Delivery, Message, OnDelivery, Transport
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.unit.plugin_runtime.deliveries import make_delivery

TOPOLOGY = Topology()
SERVICE = "system.tenants"
ASKED = CallRequest(method="GET", path="/tenants")
REPLY = CallReply(status=200, data={"tenants": []})


@pytest.fixture
async def vhost() -> MemoryVhost:
    return MemoryVhost()


@pytest.fixture
async def asker(vhost: MemoryVhost) -> AsyncIterator[MemoryTransport]:
    transport = MemoryTransport(vhost, identity="plugin-plexica")
    await transport.open()
    yield transport
    await transport.close()


class Answering:
    """Somebody who consumes the broker's queue and answers every call with the same bodies."""

    def __init__(self, vhost: MemoryVhost, *bodies: bytes, identity: str = SYSTEM_PLUGIN) -> None:
        self._transport = MemoryTransport(vhost, identity=identity)
        self._bodies = bodies
        self._work = TaskSet("answering")
        self.asked: list[Message] = []

    async def __aenter__(self) -> Self:
        await self._transport.open()
        for exchange in TOPOLOGY.exchanges():
            await self._transport.declare_exchange(exchange)
        queue = TOPOLOGY.system_queue(SERVICE, "1.0.0")
        await self._transport.declare_queue(queue)
        for binding in TOPOLOGY.system_bindings(SERVICE, "1.0.0"):
            await self._transport.bind(binding)
        await self._transport.consume(queue.name, self._on_call, prefetch=10, role="test")
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._work.drain(1.0)
        await self._transport.close()

    def _on_call(self, delivery: Delivery) -> None:
        self.asked.append(delivery.message)
        self._work.start(self._answer(delivery))

    async def _answer(self, delivery: Delivery) -> None:
        await delivery.acknowledge()
        call = delivery.message
        for body in self._bodies:
            reply = Message(body=body, type="reply", message_id=new_id(), correlation_id=call.correlation_id)
            await self._transport.publish(reply, exchange="", routing_key=str(call.reply_to), mandatory=False)


async def test_a_call_is_answered(vhost: MemoryVhost, asker: MemoryTransport) -> None:
    async with Answering(vhost, encode(REPLY.to_json())) as answering:
        reply = await DirectCalls(asker, TOPOLOGY).ask(
            SERVICE, ASKED, tenant="acme-corp", timeout=1.0, headers={"x-grant": "token"}
        )

    assert reply == REPLY
    [asked] = answering.asked
    assert asked.headers["x-tenant-id"] == "acme-corp"
    assert asked.headers["x-caller-plugin-id"] == "plugin-plexica"
    assert asked.headers["x-grant"] == "token"


async def test_a_coded_error_comes_back_as_the_reply_it_is(vhost: MemoryVhost, asker: MemoryTransport) -> None:
    refusal = CallReply.of_error(TenantNotFoundError("Tenant x not found"))

    async with Answering(vhost, encode(refusal.to_json())):
        reply = await DirectCalls(asker, TOPOLOGY).ask(SERVICE, ASKED, timeout=1.0)

    assert isinstance(reply.to_error(), TenantNotFoundError)


async def test_a_reply_of_somebody_else_is_not_taken(vhost: MemoryVhost, asker: MemoryTransport) -> None:
    async with Answering(vhost, encode(REPLY.to_json()), identity="plugin-mallory"):
        with pytest.raises(TimeoutError):
            await DirectCalls(asker, TOPOLOGY).ask(SERVICE, ASKED, timeout=0.05)


class Forging:
    """A transport whose direct caller hears a reply that came by this exchange."""

    identity = "plugin-plexica"

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange

    @asynccontextmanager
    async def direct_caller(self, on_reply: OnDelivery) -> AsyncIterator[Self]:
        self._on_reply = on_reply
        yield self

    async def publish(self, message: Message, **_options: Any) -> None:
        body = encode(REPLY.to_json())
        delivery = make_delivery(exchange=self._exchange, publisher=SYSTEM_PLUGIN, body=body)
        delivery.message = replace(delivery.message, correlation_id=message.correlation_id)
        self._on_reply(delivery)


async def test_a_reply_that_came_by_another_exchange_is_not_taken() -> None:
    own, other = Forging(""), Forging("plexica.replies")

    assert await DirectCalls(cast("Transport", own), TOPOLOGY).ask(SERVICE, ASKED, timeout=1.0) == REPLY
    with pytest.raises(TimeoutError):
        await DirectCalls(cast("Transport", other), TOPOLOGY).ask(SERVICE, ASKED, timeout=0.05)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"status": "200"}'])
async def test_a_malformed_reply_is_told_as_one(vhost: MemoryVhost, asker: MemoryTransport, body: bytes) -> None:
    async with Answering(vhost, body):
        with pytest.raises(TransportError, match="answer to /tenants is malformed"):
            await DirectCalls(asker, TOPOLOGY).ask(SERVICE, ASKED, timeout=1.0)


async def test_without_an_answer_the_call_ends_in_time(vhost: MemoryVhost, asker: MemoryTransport) -> None:
    async with Answering(vhost):
        with pytest.raises(TimeoutError):
            await DirectCalls(asker, TOPOLOGY).ask(SERVICE, ASKED, timeout=0.05)


async def test_on_a_bus_that_never_had_a_broker_the_call_fails_at_once(asker: MemoryTransport) -> None:
    with pytest.raises((ReturnedMessageError, MissingQueueError)):
        await DirectCalls(asker, TOPOLOGY).ask(SERVICE, ASKED, timeout=60.0)

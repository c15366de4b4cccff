"""The operator's connection: grants for tenants, and what is said when nobody answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from broker.cli.connection import OnlyBroker, caller_over, connected, over_rabbitmq
from contracts.calls import CallReply, CallRequest
from contracts.codec import GRANT_HEADER, TENANT_HEADER, decode, encode
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    EndpointNotFoundError,
    NotConnectedError,
    ServiceUnavailableError,
    TenantNotFoundError,
    UnreachableError,
)
from contracts.ids import new_id
from contracts.names import OPERATOR_PLUGIN, SYSTEM_PLUGIN
from contracts.topology import Topology
from plugin_runtime import RuntimeSettings
from plugin_runtime.calls.caller import NO_CONTEXT, Caller
from plugin_runtime.registry_client import DependencyClient, PlatformClient
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.base import Delivery, Message
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.ports import free_port

TOPOLOGY = Topology()
SERVICES = ("system.registry", "system.tenants", "system.dependencies")
SETTINGS = RuntimeSettings(url="amqp://guest:hush@localhost:5672/", prefix="")
GRANTED = {"grants": [{"tenant": "acme-corp", "token": "signed", "expiresIn": 300.0}], "keys": []}

Answer = Callable[[str], object]
"""What is answered at a path: data, an error, or None for silence."""


class Fake:
    """Answers as the broker would, and keeps what it was asked."""

    def __init__(self, transport: MemoryTransport, answer: Answer) -> None:
        self.transport = transport
        self.asked: list[tuple[str, Message]] = []
        self._answer = answer
        self._work = TaskSet("fake")

    async def start(self) -> None:
        for exchange in TOPOLOGY.exchanges():
            await self.transport.declare_exchange(exchange)
        for service in SERVICES:
            queue = TOPOLOGY.system_queue(service, "1.0.0")
            await self.transport.declare_queue(queue)
            for binding in TOPOLOGY.system_bindings(service, "1.0.0"):
                await self.transport.bind(binding)
            await self.transport.consume(queue.name, self._on_call, prefetch=10, role=service)

    def headers(self, path: str) -> list[dict[str, object]]:
        """The headers of each call to a path."""
        return [dict(message.headers) for found, message in self.asked if found == path]

    def _on_call(self, delivery: Delivery) -> None:
        self._work.start(self._reply(delivery))

    async def _reply(self, delivery: Delivery) -> None:
        await delivery.acknowledge()
        path = CallRequest.from_json(decode(delivery.message.body)).path
        self.asked.append((path, delivery.message))
        answer = self._answer(path)
        if answer is None:
            return
        reply = CallReply.of_error(answer) if isinstance(answer, CodedError) else CallReply(status=200, data=answer)
        message = Message(
            body=encode(reply.to_json()),
            type="reply",
            message_id=new_id(),
            correlation_id=delivery.message.correlation_id,
        )
        await self.transport.publish(message, exchange="", routing_key=str(delivery.message.reply_to), mandatory=False)


@asynccontextmanager
async def asking(answer: Answer, timeout: float = 5.0) -> AsyncIterator[tuple[Fake, Caller]]:
    vhost = MemoryVhost()
    broker = MemoryTransport(vhost, identity=SYSTEM_PLUGIN)
    await broker.open()
    fake = Fake(broker, answer)
    await fake.start()
    operator = MemoryTransport(vhost, identity=OPERATOR_PLUGIN)
    await operator.open()
    try:
        yield fake, caller_over(operator, SETTINGS, timeout=timeout)
    finally:
        await operator.close()
        await broker.close()


def installed_in(caller: Caller, tenant: str = "acme-corp") -> DependencyClient:
    return DependencyClient(caller, tenant, context=NO_CONTEXT, discovery=OnlyBroker())


async def test_a_tenants_grant_is_fetched_once_and_shown_with_each_call() -> None:
    answers = {"/grants": GRANTED, "/installations": {"installations": []}}

    async with asking(answers.get) as (fake, caller):
        for _ in range(2):
            await installed_in(caller).installations()

    assert len(fake.headers("/grants")) == 1
    assert fake.headers("/grants")[0][TENANT_HEADER] == "_"
    assert GRANT_HEADER not in fake.headers("/grants")[0]
    assert [headers[GRANT_HEADER] for headers in fake.headers("/installations")] == ["signed", "signed"]


async def test_what_belongs_to_no_tenant_needs_no_grant() -> None:
    async with asking({"/tenants": {"tenants": []}}.get) as (fake, caller):
        await PlatformClient(caller).tenants()

    assert [path for path, _ in fake.asked] == ["/tenants"]


async def test_a_broker_from_before_grants_is_asked_without_one() -> None:
    answers = {"/grants": EndpointNotFoundError("no such endpoint"), "/installations": {"installations": []}}

    async with asking(answers.get) as (fake, caller):
        await installed_in(caller).installations()

    assert GRANT_HEADER not in fake.headers("/installations")[0]


async def test_a_grant_that_is_refused_is_told_and_nothing_else_asked() -> None:
    async with asking({"/grants": TenantNotFoundError("Tenant 'acme-corp' not found")}.get) as (fake, caller):
        with pytest.raises(TenantNotFoundError):
            await installed_in(caller).installations()

    assert [path for path, _ in fake.asked] == ["/grants"]


async def test_a_broker_that_is_there_but_silent_leaves_the_outcome_unknown() -> None:
    async with asking(lambda _: None, timeout=0.05) as (_, caller):
        with pytest.raises(CallTimeoutError, match=r"did not answer GET /tenants in 0\.05 s; whether it was done is"):
            await PlatformClient(caller).tenants()


async def test_a_queue_that_nobody_consumes_means_no_broker() -> None:
    async with asking(lambda _: None, timeout=0.05) as (fake, caller):
        await fake.transport.close()
        with pytest.raises(ServiceUnavailableError, match="no broker answers on amqp://guest@localhost:5672/"):
            await PlatformClient(caller).tenants()


async def test_a_bus_without_queues_means_no_broker_at_once() -> None:
    transport = MemoryTransport(MemoryVhost(), identity=OPERATOR_PLUGIN)
    await transport.open()

    with pytest.raises(ServiceUnavailableError):
        await PlatformClient(caller_over(transport, SETTINGS, timeout=60.0)).tenants()
    await transport.close()


class NeverOpen(MemoryTransport):
    """RabbitMQ is away."""

    is_closed = False

    async def open(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.is_closed = True


async def test_a_rabbitmq_that_is_away_is_told_without_the_password() -> None:
    transport = NeverOpen(MemoryVhost(), identity=OPERATOR_PLUGIN)

    with pytest.raises(NotConnectedError, match=r"^RabbitMQ at amqp://guest@localhost:5672/ did not answer"):
        async with connected(SETTINGS, timeout=0.01, connect=lambda *_: transport):
            pass

    assert transport.is_closed


async def test_a_port_at_which_nobody_listens_is_told_at_once() -> None:
    port = free_port()
    settings = RuntimeSettings(url=f"amqp://guest:hush@127.0.0.1:{port}/")

    with pytest.raises(UnreachableError, match=rf"^nobody listens at 127\.0\.0\.1:{port} \(connection refused\)"):
        async with asyncio.timeout(5.0), connected(settings, timeout=60.0, connect=over_rabbitmq):
            pass

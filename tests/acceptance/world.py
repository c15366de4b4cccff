"""A broker in this process on one of the transports, and what tests do to it and to the plugins on it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broker.bootstrap import Broker, running_broker
from broker.settings import BrokerSettings
from contracts.calls import CallReply
from contracts.codec import CALLER_HEADER, GRANT_HEADER, TENANT_HEADER, decode, encode
from contracts.grants import GRANT_SECONDS, Grant
from contracts.ids import new_id
from contracts.names import NO_TENANT, SYSTEM_PLUGIN
from contracts.registry import ServiceRecord
from contracts.topology import Binding, Queue, Topology
from plugin_runtime import Plugin, Runner, TenantClient
from plugin_runtime.transport.base import Delivery, HeaderValue, Message, Transport
from plugin_runtime.transport.factory import DEFAULT_TRANSPORT, make_transport
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.acceptance.plugins import make_caller
from tests.conformance.collector import Collector

ACME, GLOBEX = "acme-corp", "globex"
CONSOLE = "plugin-console"
"""Who administers where a test does so itself."""
LEASE_SECONDS = 0.6
"""Short enough to see one run out."""


@dataclass(frozen=True)
class Sent:
    """A message as its publisher handed it to the transport."""

    exchange: str
    routing_key: str
    type: str
    reply_to: str | None


class World:
    """One bus: a broker, and the plugins and strangers that a test connects."""

    topology = Topology()

    def __init__(self, place: MemoryVhost | str, *, store: Path | None, **settings: Any) -> None:
        self._place = place
        self._store = store
        given = {"auto_install": True, "operators": (CONSOLE,), **settings}
        self._settings = BrokerSettings(prefix="", **given)
        self._broker: Broker | None = None
        self._hosting: asyncio.Task[None] | None = None
        self._goes = asyncio.Event()
        self._plugins: dict[Runner, tuple[AsyncExitStack, Transport]] = {}
        self._strangers: list[Transport] = []

    def transport(self, identity: str, instance: str = "") -> Transport:
        """A connection that is not open yet."""
        name = instance or new_id()[:12]
        if isinstance(self._place, MemoryVhost):
            return MemoryTransport(self._place, identity=identity, instance=name)
        return make_transport(DEFAULT_TRANSPORT, self._place, identity=identity, instance=name, insecure=True)

    # The broker

    @property
    def broker(self) -> Broker:
        assert self._broker is not None
        return self._broker

    async def start_broker(self) -> None:
        """Bring the broker up, in a task of its own, as in a process of its own."""
        self._goes = asyncio.Event()
        serving: asyncio.Future[Broker] = asyncio.get_running_loop().create_future()
        hosting = asyncio.create_task(self._host(serving))
        await asyncio.wait((hosting, serving), return_when=asyncio.FIRST_COMPLETED)
        if hosting.done():
            await hosting
        self._broker, self._hosting = await serving, hosting

    async def stop_broker(self) -> None:
        self._goes.set()
        hosting, self._hosting, self._broker = self._hosting, None, None
        if hosting is not None:
            await hosting

    async def settled(self) -> None:
        """Wait until every announcement made so far is with RabbitMQ."""
        await self.broker.drained()

    async def _host(self, serving: "asyncio.Future[Broker]") -> None:
        transport = self.transport(SYSTEM_PLUGIN, "broker")
        async with running_broker(self._settings, transport, store=self._store) as broker:
            serving.set_result(broker)
            await self._goes.wait()

    # Plugins

    async def connect(self, plugin: Plugin, *, tenants: Iterable[str] = (ACME,), identity: str | None = None) -> Runner:
        """Bring an instance up; it goes down with the world, or by `stop` or `crash`."""
        transport = self.transport(identity or plugin.id)
        stack = AsyncExitStack()
        try:
            runner = await stack.enter_async_context(plugin.connected(transport=transport, tenants=tenants))
        except BaseException:
            await transport.close()
            raise
        self._plugins[runner] = (stack, transport)
        await self.settled()
        return runner

    async def tenant(self, plugin: Plugin | None = None, *, tenant: str = ACME) -> TenantClient:
        """A tenant as a plugin sees it; unless given, that is `plugin-analytics`, which calls ``crm.contacts``."""
        runner = await self.connect(plugin or make_caller(), tenants=[tenant])
        return runner.tenant(tenant)

    async def stop(self, runner: Runner) -> None:
        """Stop an instance in order."""
        stack, _ = self._plugins.pop(runner)
        await stack.aclose()

    async def crash(self, runner: Runner) -> None:
        """Let an instance die as its process would: no word to anybody, work in flight is lost."""
        stack, transport = self._plugins.pop(runner)
        self.silence(runner)
        await transport.close()
        await runner._server.drain(0)
        await runner._events.drain(0)
        registrar: Any = runner._registrar
        runner.answer, registrar._may_be_registered = None, False  # so that stopping says no good-bye
        await stack.aclose()

    def silence(self, runner: Runner) -> None:
        """No more heartbeats come from an instance that otherwise lives."""
        runner._heart.cancel()

    def deafen(self, runner: Runner) -> None:
        """What an instance knows of the registry follows no announcement any more, as if they were late."""
        runner._view.apply = lambda _: True  # type: ignore[method-assign]

    def evict(self, runner: Runner, tenant: str = ACME) -> None:
        """An instance has heard that it serves a tenant no more; its queue is bound all the same."""
        for serving in runner._installations._serving.values():
            serving.change(tenant, is_in=False)
            serving._foreign.add(tenant)

    async def beat(self, runner: Runner) -> None:
        """One heartbeat of an instance."""
        await runner._registrar.heartbeat(runner._caller, 0)

    @contextmanager
    def sent_by(self, runner: Runner) -> Iterator[list[Sent]]:
        """Everything that an instance publishes within the context."""
        transport: Any = self._plugins[runner][1]
        publish, publish_soon = transport.publish, transport.publish_soon
        listed, seen = list[Sent](), set[str]()

        def note(message: Message, options: Any) -> None:
            if message.message_id not in seen:  # one way of publishing may take the other
                seen.add(message.message_id)
                listed.append(Sent(options["exchange"], options["routing_key"], message.type, message.reply_to))

        async def publishing(message: Message, **options: Any) -> None:
            note(message, options)
            await publish(message, **options)

        def publishing_soon(message: Message, **options: Any) -> Any:
            note(message, options)
            return publish_soon(message, **options)

        transport.publish, transport.publish_soon = publishing, publishing_soon
        try:
            yield listed
        finally:
            del transport.publish, transport.publish_soon

    # Grants

    def token(
        self, plugin: str, tenant: str = ACME, *, ended_seconds_ago: float = -GRANT_SECONDS, **claims: Any
    ) -> str:
        """A grant that this broker might have signed, whoever is installed wherever."""
        ends = int(time.time() - ended_seconds_ago)
        grant = Grant(sub=plugin, ten=tenant, iat=int(ends - GRANT_SECONDS), exp=ends, **claims)
        return self.broker.subjects.grants.signing.sign(grant)

    def with_grant(self, headers: dict[str, HeaderValue], plugin: str, key: str) -> dict[str, HeaderValue]:
        """The headers with the grant that a message under this routing key must carry, unless they have one."""
        tenant = key.partition(".")[0]
        is_needed = GRANT_HEADER not in headers and tenant != NO_TENANT
        return {**headers, GRANT_HEADER: self.token(plugin, tenant)} if is_needed else headers

    # Strangers

    async def raw(self, identity: str = "plugin-mallory") -> Transport:
        """A bare connection, for messages that no plugin of ours would publish."""
        transport = self.transport(identity)
        self._strangers.append(transport)
        await transport.open()
        return transport

    async def ask_raw(
        self,
        body: bytes,
        *,
        identity: str = "plugin-analytics",
        key: str = f"{ACME}.crm.contacts.1.0.0",
        exchange: str = topology.calls,
        type: str = "call",
        headers: Mapping[str, HeaderValue] | None = None,
    ) -> Message:
        """Publish these very bytes as a call and return the answer as it came; a grant is put in unless given."""
        transport, answers = await self.raw(identity), Collector()
        given = {TENANT_HEADER: ACME, CALLER_HEADER: identity} if headers is None else dict(headers)
        given = self.with_grant(given, identity, key)
        address = self.topology.reply_key(identity, new_id()[:12])
        queue = f"replies.{address}"
        await transport.declare_queue(Queue(name=queue, expires_seconds=60.0))
        await transport.bind(Binding(queue, self.topology.replies, address))
        consumer = await transport.consume(queue, answers, prefetch=1, role="replies", no_ack=True)
        message = Message(
            body=body, type=type, message_id=new_id(), correlation_id=new_id(), reply_to=address, headers=given
        )
        await transport.publish(message, exchange=exchange, routing_key=key)
        (answer,) = await answers.received(1)
        await consumer.cancel()
        await transport.delete_queue(queue)
        return answer.message

    async def emit_raw(
        self,
        body: bytes,
        *,
        identity: str = "plugin-crm",
        exchange: str = topology.events,
        key: str = f"{ACME}.crm.events.contact.created",
        type: str = "event",
        **headers: HeaderValue,
    ) -> None:
        """Publish these very bytes as an event, with a grant; header names come with underscores."""
        transport = await self.raw(identity)
        given = self.with_grant(
            {TENANT_HEADER: ACME, **{name.replace("_", "-"): value for name, value in headers.items()}}, identity, key
        )
        message = Message(body=body, type=type, message_id=new_id(), headers=given)
        await transport.publish(message, exchange=exchange, routing_key=key)

    async def dead_letters(self, plugin: str, count: int = 1) -> list[Delivery]:
        """Wait for so many dead letters of a plugin and take them."""
        transport, letters = await self.raw(plugin), Collector()
        consumer = await transport.consume(self.topology.dead_queue(plugin).name, letters, prefetch=100, role="dead")
        found = await letters.acknowledged(count)
        await consumer.cancel()
        return found

    async def depth(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        transport = self._strangers[0] if self._strangers else await self.raw()
        return (await transport.depth(queue)).messages

    async def close(self) -> None:
        for runner in list(reversed(self._plugins)):
            await self.stop(runner)
        for transport in self._strangers:
            await transport.close()
        await self.stop_broker()


@asynccontextmanager
async def world_on(place: MemoryVhost | str, *, store: Path | None = None, **settings: Any) -> AsyncIterator[World]:
    """A world with a running broker."""
    world = World(place, store=store, **settings)
    await world.start_broker()
    try:
        yield world
    finally:
        await world.close()


def call_bytes(method: str = "GET", path: str = "/contacts", **fields: Any) -> bytes:
    """A call as it crosses the wire."""
    return encode({"method": method, "path": path, **fields})


def reply_of(message: Message) -> CallReply:
    """What a raw answer says."""
    return CallReply.from_json(decode(message.body))


def status_is(client: TenantClient, service: str, status: str) -> Callable[[], Any]:
    """For `eventually`: the registry shows a service at this status."""

    async def holds() -> bool:
        return status in {found.status for found in await client.registry.list() if found.service_name == service}

    return holds


def short(record: ServiceRecord) -> tuple[str, str, str]:
    """A service on one line."""
    return record.service_name, record.version, record.status

"""A caller by hand: calls and cancels under ids that the test knows, and every reply as it comes."""

from collections.abc import Callable

from contracts.calls import CallReply
from contracts.codec import CALLER_HEADER, TENANT_HEADER
from contracts.ids import new_id
from contracts.topology import Binding, Queue
from plugin_runtime.transport.base import Delivery, HeaderValue, Message, Transport
from tests.acceptance.world import ACME, World, call_bytes, reply_of
from tests.conformance.collector import Collector
from tests.waiting import eventually

CALLER = "plugin-analytics"
INSTANCE = "byhand"


class RawCaller:
    """``plugin-analytics`` without its runtime; make it by `open`."""

    def __init__(self, world: World, transport: Transport) -> None:
        self._world = world
        self._transport = transport
        self._replies = Collector()
        self._on_reply: Callable[[Delivery], None] = self._replies

    @classmethod
    async def open(cls, world: World) -> "RawCaller":
        """Connect, with a reply queue."""
        made = cls(world, await world.raw(CALLER))
        queue, topology = f"replies.{CALLER}.{INSTANCE}", world.topology
        await made._transport.declare_queue(Queue(name=queue))
        await made._transport.bind(Binding(queue, topology.replies, topology.reply_key(CALLER, INSTANCE)))
        await made._transport.consume(queue, made._hear, prefetch=1000, role="replies", no_ack=True)
        return made

    def _hear(self, delivery: Delivery) -> None:
        self._on_reply(delivery)

    def on_reply(self, callback: Callable[[Delivery], None]) -> None:
        """Hand replies to this, rather than keep them."""
        self._on_reply = callback

    async def call(
        self, id_: str, method: str = "GET", path: str = "/contacts", *, tenant: str = ACME, **headers: HeaderValue
    ) -> None:
        """Publish a call to ``crm.contacts`` and wait for its confirm; header names come with underscores."""
        key = f"{tenant}.crm.contacts.1.0.0"
        given = {TENANT_HEADER: tenant, **{name.replace("_", "-"): value for name, value in headers.items()}}
        message = Message(
            body=call_bytes(method, path),
            type="call",
            message_id=new_id(),
            correlation_id=id_,
            reply_to=self._world.topology.reply_key(CALLER, INSTANCE),
            headers=self._world.with_grant(given, CALLER, key),
        )
        await self._transport.publish(message, exchange=self._world.topology.calls, routing_key=key)

    async def take_back(self, id_: str, *, identity: str = CALLER) -> None:
        """Publish the cancel of a call to the CRM, as the caller or as somebody else."""
        transport = self._transport if identity == CALLER else await self._world.raw(identity)
        headers: dict[str, HeaderValue] = {TENANT_HEADER: ACME, CALLER_HEADER: identity}
        message = Message(body=b"", type="cancel", message_id=new_id(), correlation_id=id_, headers=headers)
        topology = self._world.topology
        key = topology.cancel_key("plugin-crm")
        await transport.publish(message, exchange=topology.cancel, routing_key=key, mandatory=False)

    @property
    def answered(self) -> list[str]:
        """The ids of the calls that were answered so far, in that order."""
        return [one.message.correlation_id or "" for one in self._replies.deliveries]

    async def answer(self, id_: str) -> CallReply:
        """Wait for the answer to a call."""
        await eventually(lambda: id_ in self.answered)
        return reply_of(self._replies.deliveries[self.answered.index(id_)].message)

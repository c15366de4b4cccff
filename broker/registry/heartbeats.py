"""Heartbeats, on a queue of their own: taken by the hundred a second, from memory, with nothing to acknowledge.

One that is lost with the connection is made up for by the next, long before the lease ends. Most want no answer: one
that comes as a call gets it, to tell the instance that the broker is there, knows it, and what it announced last.
"""

from collections.abc import Callable, MutableMapping

import structlog

from broker.registry.roll import Roll
from broker.registry.service import Registry
from contracts.calls import CallReply, CallRequest
from contracts.codec import TENANT_HEADER, decode, encode
from contracts.errors import CodedError, MalformedMessageError, TransportError, UnauthenticatedError
from contracts.ids import new_id
from contracts.names import NO_TENANT
from contracts.registry import HEARTBEAT_SERVICE, HEARTBEAT_TYPE, SYSTEM_VERSION, Heartbeat
from contracts.topology import HEARTBEAT_KEY, HEARTBEAT_TTL_SECONDS, Topology
from plugin_runtime.identity import judge_call
from plugin_runtime.keys import KeyRing
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.base import Consumer, Delivery, Message, Transport

PREFETCH = 1000

_log = structlog.get_logger()


class Heartbeats:
    """Renews leases.

    Args:
        heard: When each instance was last heard; shared with registry and sweeper.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        registry: Registry,
        roll: Roll,
        topology: Topology,
        *,
        heard: MutableMapping[str, float],
        now: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._roll = roll
        self._topology = topology
        self._heard = heard
        self._now = now
        self._work = TaskSet("registry.heartbeats")
        self._consumer: Consumer | None = None

    async def listen(self, transport: Transport, *, is_ready: Callable[[], bool]) -> None:
        """Declare the queue and consume it; idempotent, and to be repeated after a reconnect.

        Args:
            transport: The broker's own connection; not closed here.
            is_ready: Whether this broker may judge now; what comes while it may not is dropped.

        Raises:
            TransportError: RabbitMQ did not do it.
        """
        queue = self._topology.heartbeat_queue()
        await transport.declare_queue(queue)
        await transport.bind(self._topology.heartbeat_binding())
        if self._consumer is None:
            self._consumer = await transport.consume(
                queue.name,
                lambda delivery: self.take(delivery, transport) if is_ready() else None,
                prefetch=PREFETCH,
                role="heartbeats",
                no_ack=True,
                outrank_zombies=True,
            )

    def take(self, delivery: Delivery, transport: Transport) -> None:
        """Take a heartbeat; one that cannot be believed is logged and changes nothing."""
        if delivery.message.type != HEARTBEAT_TYPE:
            self._work.start(self._answer(delivery, transport))
            return
        try:
            publisher, beat = self._believed(delivery)
        except (CodedError, MalformedMessageError) as error:
            _refused(delivery, error)
            return
        known = self._roll.at_hand(beat.instance_id)
        if known is not None and (known.plugin_id, known.reported, known.state) == (
            publisher,
            beat.status,
            beat.status,
        ):
            self._heard[known.id] = self._now()
        else:  # given up, touched a moment ago, or it says something new of itself
            self._work.start(self._judge(delivery, publisher, beat))

    async def _judge(self, delivery: Delivery, publisher: str, beat: Heartbeat) -> None:
        try:
            await self._registry.heartbeat(publisher, beat)
        except (CodedError, TransportError) as error:
            _refused(delivery, error)

    async def _answer(self, delivery: Delivery, transport: Transport) -> None:
        try:
            publisher = self._caller(delivery)
            request = CallRequest.from_json(decode(delivery.message.body))
            answer = await self._registry.heartbeat(publisher, Heartbeat.parse(request.body))
            reply = CallReply(status=200, data=answer.to_json())
        except CodedError as error:
            _refused(delivery, error)
            reply = CallReply.of_error(error)
        except (MalformedMessageError, TransportError) as error:
            _refused(delivery, error)  # it comes again
            return
        if not (delivery.message.reply_to or "").startswith(f"{delivery.publisher}."):
            return  # the broker's word would be believed wherever it is sent
        try:
            await self._publish(delivery.message, reply, transport)
        except TransportError as error:
            _log.info("heartbeat.not_answered", publisher=delivery.publisher, reason=str(error))

    def _caller(self, delivery: Delivery) -> str:
        # It carries no tenant, so nothing is asked of keys and clocks.
        origin = judge_call(
            delivery,
            self._topology,
            KeyRing(),
            service=HEARTBEAT_SERVICE,
            version=SYSTEM_VERSION,
            now=self._now(),
            is_broker_silent=False,
        )
        return origin.publisher

    async def _publish(self, call: Message, reply: CallReply, transport: Transport) -> None:
        message = Message(
            body=encode(reply.to_json()),
            type="reply",
            message_id=new_id(),
            correlation_id=call.correlation_id,
            headers={TENANT_HEADER: NO_TENANT},
            expiration_seconds=HEARTBEAT_TTL_SECONDS,
            persistent=False,
        )
        # Not mandatory: whoever is gone needs no answer.
        await transport.publish(
            message, exchange=self._topology.replies, routing_key=call.reply_to or "", mandatory=False
        )

    def _believed(self, delivery: Delivery) -> tuple[str, Heartbeat]:
        if delivery.publisher is None:
            raise UnauthenticatedError("nobody vouches for the publisher: the message carries no user_id")
        if (delivery.exchange, delivery.routing_key) != (self._topology.calls, HEARTBEAT_KEY):
            raise MalformedMessageError(f"it came over exchange '{delivery.exchange}' as '{delivery.routing_key}'")
        return delivery.publisher, Heartbeat.parse(decode(delivery.message.body))


def _refused(delivery: Delivery, error: Exception) -> None:
    _log.warning("heartbeat.refused", publisher=delivery.publisher, reason=str(error))

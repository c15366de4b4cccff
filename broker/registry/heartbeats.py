"""Heartbeats that want no answer, two of three: taken from a queue of their own, with nothing to acknowledge.

One that is lost with the connection is made up for by the next, long before the lease ends. Whoever is not simply fine
(an instance that was given up, or says something new of itself) goes the way of those that are answered.
"""

from collections.abc import Callable, MutableMapping

import structlog

from broker.registry.roll import Roll
from broker.registry.service import Registry
from contracts.codec import decode
from contracts.errors import CodedError, MalformedMessageError, PlexicaError
from contracts.registry import HEARTBEAT_TYPE, Heartbeat
from contracts.topology import Topology
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.base import Consumer, Delivery, Transport

PREFETCH = 1000

_log = structlog.get_logger()


class Heartbeats:
    """Renews leases.

    Args:
        heard: When each instance was last heard; shared with registry and sweeper.
        now: Seconds since the epoch.
    """

    def __init__(
        self, registry: Registry, roll: Roll, *, heard: MutableMapping[str, float], now: Callable[[], float]
    ) -> None:
        self._registry = registry
        self._roll = roll
        self._heard = heard
        self._now = now
        self._work = TaskSet("registry.heartbeats")
        self._consumer: Consumer | None = None

    async def listen(self, transport: Transport, topology: Topology, *, is_ready: Callable[[], bool]) -> None:
        """Declare the queue and consume it; idempotent, and to be repeated after a reconnect.

        Args:
            transport: The broker's own connection; not closed here.
            topology: The names of this bus.
            is_ready: Whether this broker may judge now; what comes while it may not is dropped.

        Raises:
            TransportError: RabbitMQ did not do it.
        """
        queue = topology.heartbeat_queue()
        await transport.declare_queue(queue)
        await transport.bind(topology.heartbeat_binding())
        if self._consumer is None:
            self._consumer = await transport.consume(
                queue.name,
                lambda delivery: self.on_delivery(delivery) if is_ready() else None,
                prefetch=PREFETCH,
                role="heartbeats",
                no_ack=True,
                outrank_zombies=True,
            )

    def on_delivery(self, delivery: Delivery) -> None:
        """Take a heartbeat; one that cannot be believed is logged and changes nothing."""
        publisher = delivery.publisher
        try:
            beat = _read(delivery)
        except (CodedError, MalformedMessageError) as error:
            _log.warning("heartbeat.refused", publisher=publisher, reason=str(error))
            return
        if publisher is None:
            _log.warning("heartbeat.refused", publisher=publisher, reason="nobody vouches for the publisher")
            return
        known = self._roll.at_hand(beat.instance_id)
        if known is not None and (known.plugin_id, known.reported, known.state) == (
            publisher,
            beat.status,
            beat.status,
        ):
            self._heard[known.id] = self._now()
        else:
            self._work.start(self._judge(publisher, beat))

    async def _judge(self, publisher: str, beat: Heartbeat) -> None:
        try:
            await self._registry.heartbeat(publisher, beat)
        except PlexicaError as error:
            _log.warning("heartbeat.refused", publisher=publisher, reason=str(error))


def _read(delivery: Delivery) -> Heartbeat:
    if delivery.message.type != HEARTBEAT_TYPE:
        raise MalformedMessageError(f"expected type '{HEARTBEAT_TYPE}', found '{delivery.message.type}'")
    return Heartbeat.parse(decode(delivery.message.body))

"""Who is there, asked of RabbitMQ rather than waited for: an instance that died is known long before its lease ends.

Theory of operation. An instance consumes its reply queue alone and for as long as it lives, so a reply queue without a
consumer belongs to an instance that is gone, or on its way back::

    kill -9 ──► RabbitMQ drops the consumers ──► amq.rabbitmq.event ──► broker.presence ──► depth of the reply queue
                                                 consumer.deleted       (1 to 30 ms)        no consumer: UNAVAILABLE

Events are only a hint that makes the broker look. Whoever forges one, on the event exchange, causes one question to
RabbitMQ and nothing else. Where the exchange is not there, leases decide alone.

A broker that comes back, or whose connection does, cannot know what it missed. Once everybody had the time to come
back, it looks at all who should be there; until then it looks at nobody, since most of those missing are on their way.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import NoReturn

import structlog

from broker.lock import Ready, always
from broker.registry import store
from broker.registry.departures import Departures
from broker.storage.database import Database
from contracts.errors import MissingQueueError, PlexicaError, TransportError
from contracts.topology import CONSUMER_DELETED, RABBITMQ_EVENTS, Topology
from plugin_runtime.transport.base import Consumer, Delivery, Transport

RECONCILE_AFTER_SECONDS = 6.0
"""How long the others have to come back: a transport pauses at most 5 s between two attempts to connect."""

STARTING_SECONDS = 3.0
"""An instance that registered less than this ago need not consume yet."""

RESTORING_SECONDS = 0.5
"""One that lost its consumer, and registered less than this ago, came back and consumes in a moment."""

PREFETCH = 1000
HINT = (
    "instances that die are noticed when their lease ends; sooner with RabbitMQ's plugin rabbitmq_event_exchange"
    " (rabbitmq-plugins enable rabbitmq_event_exchange) and event_exchange.vhost = {vhost} in rabbitmq.conf"
)

_log = structlog.get_logger()


class Presence:
    """Looks after those whom RabbitMQ says to have gone.

    Args:
        transport: The broker's own connection; not closed here.
        vhost: The vhost of that connection: RabbitMQ tells of all of them.
        registered: When each instance registered last, if this process let it in.
        now: Seconds, as ``registered`` counts them.
    """

    def __init__(
        self,
        *,
        database: Database,
        departures: Departures,
        transport: Transport,
        topology: Topology,
        vhost: str,
        registered: Mapping[str, float],
        lease_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._departures = departures
        self._transport = transport
        self._topology = topology
        self._vhost = vhost
        self._registered = registered
        self._settle_seconds = min(RECONCILE_AFTER_SECONDS, lease_seconds / 2)
        self._now = now
        self._consumer: Consumer | None = None
        self._hinted = False
        self._due: dict[str, float] = {}
        self._reconcile_at: float | None = None
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        """Hear RabbitMQ's events if it tells them in this vhost; idempotent, and to be repeated after a reconnect."""
        try:
            await self._transport.declare_queue(self._topology.presence_queue())
            await self._transport.bind(self._topology.presence_binding())
            if self._consumer is None:
                self._consumer = await self._transport.consume(
                    self._topology.presence_queue().name,
                    self.on_event,
                    prefetch=PREFETCH,
                    role="presence",
                    no_ack=True,  # an event lost with the connection is made up for by the reconciling after it
                    outrank_zombies=True,
                )
        except TransportError as error:
            if not self._hinted:
                _log.info("presence.by_lease_only", reason=str(error), hint=HINT.format(vhost=self._vhost))
            self._hinted = True

    def on_event(self, delivery: Delivery) -> None:
        """Take an event: many about one instance are one look, and none is needed before the reconciling."""
        if (delivery.exchange, delivery.routing_key) != (RABBITMQ_EVENTS, CONSUMER_DELETED):
            return
        headers = delivery.message.headers
        found = self._topology.instance_of(str(headers.get("queue")))
        if found is not None and headers.get("vhost") == self._vhost and self._reconcile_at is None:
            self._look_at(found[1])

    def expect_return(self) -> None:
        """Look at everybody once they had the time to come back: the broker, or its connection, was away."""
        self._due.clear()
        self._reconcile_at = _clock() + self._settle_seconds
        self._changed.set()

    async def run(self, ready: Ready = always) -> NoReturn:
        """Look whenever there is reason to, until cancelled; what fails is logged, and left to the leases."""
        while True:
            await self._until_due()
            await ready()
            try:
                if self._reconcile_at is not None and self._reconcile_at <= _clock():
                    self._reconcile_at = None
                    await self.reconcile()
                await self.look(self._take_due())
            except PlexicaError as error:
                _log.warning("presence.failed", error=str(error), kind=type(error).__name__)

    async def reconcile(self) -> None:
        """Compare who should consume with who does, and give up those who do not."""
        alive = [item.id for item in await store.instances(self._database) if item.state != "UNAVAILABLE"]
        await self.look(alive, spared_seconds=STARTING_SECONDS)
        _log.info("presence.reconciled", instances=len(alive))

    async def look(self, instances: Collection[str], *, spared_seconds: float = RESTORING_SECONDS) -> None:
        """Give up those instances that are gone; one that registered so recently is looked at again later.

        Raises:
            TransportError: RabbitMQ could not be asked, or did not do it.
        """
        gone: dict[str, dict[str, float | None]] = {}
        for instance in instances:
            registered = self._registered.get(instance)
            known = await store.instance(self._database, instance)
            if known is None or known.state == "UNAVAILABLE" or await self._consumes(known.plugin_id, instance):
                continue
            spared = 0.0 if registered is None else registered + spared_seconds - self._now()
            if spared > 0.0:
                self._look_at(instance, spared)
            else:
                gone.setdefault(known.plugin_id, {})[instance] = registered
        for plugin, judged in sorted(gone.items()):
            await self._departures.take(plugin, judged, self._registered)

    async def _consumes(self, plugin: str, instance: str) -> bool:
        try:
            depth = await self._transport.depth(self._topology.reply_queue(plugin, instance).name)
        except MissingQueueError:
            return False
        return depth.consumers > 0

    def _look_at(self, instance: str, after_seconds: float = 0.0) -> None:
        self._due.setdefault(instance, _clock() + after_seconds)
        self._changed.set()

    def _take_due(self) -> list[str]:
        due = [instance for instance, moment in self._due.items() if moment <= _clock()]
        for instance in due:
            del self._due[instance]
        return due

    async def _until_due(self) -> None:
        while True:
            self._changed.clear()
            moments = [*self._due.values(), *([] if self._reconcile_at is None else [self._reconcile_at])]
            pause = min(moments) - _clock() if moments else None
            if pause is not None and pause <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()


def _clock() -> float:
    return asyncio.get_running_loop().time()

"""Events in: receive, judge, handle, and settle by the table of acknowledgement."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import structlog
from pydantic import ValidationError

from contracts.codec import ATTEMPT_HEADER, EVENT_HEADER, decode
from contracts.errors import (
    CodedError,
    InvalidRequestError,
    MalformedMessageError,
    TenantNotFoundError,
    TransportError,
)
from contracts.events import DataChange
from contracts.ids import new_id
from contracts.names import matches
from contracts.topology import Topology
from plugin_runtime.context import Context
from plugin_runtime.dead_letters import DeadLetters, headers_again
from plugin_runtime.events.acknowledgement import Bury, Done, Retry, decide
from plugin_runtime.gate import Gate
from plugin_runtime.identity import Origin, Patterns, UnheardKeyError
from plugin_runtime.incoming import Change, Event, Tenants
from plugin_runtime.marks import SubscriptionMark
from plugin_runtime.tasks import TaskSet, was_asked_to_stop
from plugin_runtime.transport.base import Delivery, Message, Transport

log = structlog.get_logger()

REFUSALS = (CodedError, MalformedMessageError, UnheardKeyError)
"""Why a delivery is handed to no handler."""


class EventConsumer:
    """Hands events and changes of shared data to one plugin's handlers."""

    def __init__(
        self,
        transport: Transport,
        topology: Topology,
        *,
        gate: Gate,
        tenants: Tenants,
        dead_letters: DeadLetters,
        concurrency: int,
    ) -> None:
        self._gate = gate
        self._transport = transport
        self._topology = topology
        self._tenants = tenants
        self._dead_letters = dead_letters
        self._concurrency = concurrency
        self._work = TaskSet("events.handle")

    def for_subscription(self, mark: SubscriptionMark) -> Callable[[Delivery], None]:
        """What the consumer of one subscription's queue calls for each delivery."""
        room = asyncio.Semaphore(self._concurrency)
        return lambda delivery: self._work.start(self._handle_surely(mark, delivery, room))

    async def broadcast(self, marks: list[SubscriptionMark], delivery: Delivery) -> None:
        """Hand a broadcast to every handler whose pattern admits it; each runs once, failures are logged only."""
        try:
            # An instance's queue is bound for the changes that it watches, too.
            incoming = await self._receive(delivery, {**_patterns(marks), "data": ("#",)})
        except REFUSALS as error:
            log.warning("event.broadcast_refused", reason=str(error), routing_key=delivery.routing_key)
            return
        key = incoming.key if isinstance(incoming, Event) else f"{incoming.namespace}.{incoming.key}"
        source = "events" if isinstance(incoming, Event) else "data"
        for mark in marks:
            if mark.source == source and matches(mark.pattern, key):
                await self._run(mark, incoming)

    async def drain(self, grace_seconds: float) -> None:
        """Handle every delivery already received; after the grace, give the rest back to RabbitMQ."""
        cancelled = await self._work.drain(grace_seconds)
        if cancelled:
            log.warning("event.interrupted", events=cancelled, grace_seconds=grace_seconds)

    async def _handle_surely(self, mark: SubscriptionMark, delivery: Delivery, room: asyncio.Semaphore) -> None:
        try:
            async with room:
                await self._handle(mark, delivery)
        except Exception:
            # Ours to mend; it goes to the dead letters rather than hold its place in the prefetch for ever.
            await delivery.reject(requeue=False)
            raise

    async def _handle(self, mark: SubscriptionMark, delivery: Delivery) -> None:
        error: Exception | None
        try:
            incoming = await self._receive(delivery, _patterns([mark]))
        except REFUSALS as refused:
            error = refused
        else:
            error = await self._run(mark, incoming)
        await self._settle(mark, delivery, error, self._attempt(delivery))

    async def _receive(self, delivery: Delivery, patterns: Patterns) -> Event | Change:
        origin = await self._gate.event(delivery, patterns)
        if not await self._tenants.hears(origin.tenant):
            raise TenantNotFoundError(f"this plugin is not installed in tenant '{origin.tenant}'")
        body = decode(delivery.message.body)
        return self._event(delivery, origin, body) if origin.type == "event" else self._change(delivery, origin, body)

    def _event(self, delivery: Delivery, origin: Origin, data: Any) -> Event:
        headers = delivery.message.headers
        context = Context.of(headers)
        return Event(
            key=origin.key,
            data=data,
            id=str(headers.get(EVENT_HEADER) or delivery.message.message_id),
            publisher=origin.publisher,
            tenant=self._tenants.client(origin.tenant, context),
            attempt=self._attempt(delivery),
            published_at=delivery.message.timestamp,
            request_id=context.request_id,
            traceparent=context.traceparent,
        )

    def _change(self, delivery: Delivery, origin: Origin, body: Any) -> Change:
        try:
            found = DataChange.model_validate(body)
        except ValidationError as error:
            raise MalformedMessageError(f"a change of shared data is malformed: {error}") from error
        headers = delivery.message.headers
        return Change(
            kind=found.kind,
            namespace=found.namespace,
            key=found.key,
            value=found.value,
            value_omitted=found.value_omitted,
            owner=found.owner_id,
            revision=found.revision,
            id=str(headers.get(EVENT_HEADER) or delivery.message.message_id),
            tenant=self._tenants.client(origin.tenant, Context.of(headers)),
            attempt=self._attempt(delivery),
        )

    async def _run(self, mark: SubscriptionMark, incoming: Event | Change) -> Exception | None:
        with structlog.contextvars.bound_contextvars(
            tenant=incoming.tenant.id, subscription=mark.name, event_id=incoming.id, attempt=incoming.attempt
        ):
            try:
                await mark.handler(incoming)
            except asyncio.CancelledError:
                if was_asked_to_stop():
                    raise
                log.exception("event.handler_failed")
                return RuntimeError("the handler ended in a CancelledError that nobody asked of it")
            except Exception as error:
                log.exception("event.handler_failed")
                return error
            log.debug("event.handled")
            return None

    async def _settle(self, mark: SubscriptionMark, delivery: Delivery, error: Exception | None, attempt: int) -> None:
        match decide(error, attempt=attempt):
            case Done():
                await delivery.acknowledge()
            case Retry() as retry:
                await self._retry(mark, delivery, retry, attempt)
            case Bury():
                await self._dead_letters.bury(delivery, mark.name, error or InvalidRequestError(""), attempt=attempt)

    async def _retry(self, mark: SubscriptionMark, delivery: Delivery, retry: Retry, attempt: int) -> None:
        """Publish again with a delay, wait for the confirm, and only then acknowledge: never lost, perhaps twice."""
        message = Message(
            body=delivery.message.body,
            type=delivery.message.type,
            message_id=new_id(),
            headers={**headers_again(delivery, self._topology), ATTEMPT_HEADER: attempt + 1},
            expiration_seconds=retry.delay_seconds,
            timestamp=delivery.message.timestamp or int(time.time()),
        )
        key = f"{self._transport.identity}.{mark.name}.{retry.step}"
        try:
            await self._transport.publish(message, exchange=self._topology.redelivery, routing_key=key)
        except TransportError as failure:
            log.warning("event.retry_not_taken", key=key, error=str(failure))
            await delivery.reject(requeue=True)
            return
        log.info("event.retry_scheduled", key=key, delay_seconds=round(retry.delay_seconds, 3), attempt=attempt)
        await delivery.acknowledge()

    def _attempt(self, delivery: Delivery) -> int:
        """Which attempt this is; what was counted is believed only of what came back over ``plexica.redelivery``."""
        is_back = self._topology.exchange_kind(delivery.exchange) == "plexica.redelivery"
        counted = delivery.message.headers.get(ATTEMPT_HEADER) if is_back else 1
        return max(1, counted if isinstance(counted, int) else 1) + delivery.delivery_count


def _patterns(marks: Iterable[SubscriptionMark]) -> Patterns:
    """What the queue of these subscriptions is bound for."""
    found: dict[Literal["events", "data"], list[str]] = {}
    for mark in marks:
        found.setdefault(mark.source, []).append(mark.pattern)
    return found

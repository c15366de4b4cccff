"""Calls in: receive, judge, route, run, reply, and only then acknowledge."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from contracts.calls import MAX_BODY_BYTES, REPEATABLE_METHODS, CallReply, CallRequest
from contracts.codec import (
    BUDGET_HEADER,
    CHAIN_HEADER,
    DEADLINE_HEADER,
    INSTANCE_HEADER,
    REQUEST_HEADER,
    TENANT_HEADER,
    decode,
    encode,
)
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    InvalidRequestError,
    MalformedMessageError,
    OutcomeUnknownError,
    ReturnedMessageError,
    ServiceNotFoundError,
    TransportError,
)
from contracts.manifest import Service
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import DEFAULT_EXCHANGE, DIRECT_REPLY_TO, Topology
from plugin_runtime.calls.permissions import judge_permissions
from plugin_runtime.calls.routing import Match, Router
from plugin_runtime.context import Context, Deadline, new_id
from plugin_runtime.dead_letters import DeadLetters
from plugin_runtime.gate import Gate
from plugin_runtime.identity import Origin
from plugin_runtime.incoming import Call, Refusal, Reply, Tenants
from plugin_runtime.tasks import TaskSet, was_asked_to_stop
from plugin_runtime.transport.base import Delivery, Message, Transport

log = structlog.get_logger()

LONGEST_BUDGET_SECONDS = 3600.0
ANSWER_STATUSES = range(200, 600)
LAST_MOMENT_SECONDS = 0.05
"""By so much a nested call may end before the deadline that it inherited: budgets are whole milliseconds."""


@dataclass(frozen=True, slots=True)
class _Received:
    """A call that was admitted, and the endpoint that answers it."""

    origin: Origin
    request: CallRequest
    match: Match
    context: Context
    deadline: Deadline


class CallServer:
    """Answers the calls to one plugin's services."""

    def __init__(
        self,
        transport: Transport,
        topology: Topology,
        *,
        instance: str,
        gate: Gate,
        routers: Mapping[str, Router],
        tenants: Tenants,
        dead_letters: DeadLetters,
        concurrency: int,
    ) -> None:
        self._transport = transport
        self._topology = topology
        self._instance = instance
        self._gate = gate
        self._routers = routers
        self._tenants = tenants
        self._dead_letters = dead_letters
        self._room = asyncio.Semaphore(concurrency)
        self._work = TaskSet("calls.serve")
        # Codes are the bus's own words, and some promise that nothing was run. A plugin's handler speaks by Reply and
        # Refusal: an error of a call that it made is its own fault, not an answer to its caller.
        self._handlers_speak_codes = transport.identity == SYSTEM_PLUGIN

    @property
    def load(self) -> int:
        """How many calls were received and are not answered yet."""
        return len(self._work)

    def for_service(self, service: Service) -> Callable[[Delivery], None]:
        """What the consumer of one service's queue calls for each delivery."""
        return lambda delivery: self._work.start(self._serve_surely(service, delivery))

    async def drain(self, grace_seconds: float) -> None:
        """Run every call already received to its reply; after the grace, give the rest back to RabbitMQ."""
        cancelled = await self._work.drain(grace_seconds)
        if cancelled:
            log.warning("call.interrupted", calls=cancelled, grace_seconds=grace_seconds)

    async def _serve_surely(self, service: Service, delivery: Delivery) -> None:
        try:
            await self._serve(service, delivery)
        except Exception:
            # Ours to mend; unsettled it would hold its place in the prefetch for ever.
            await delivery.reject(requeue=False)
            raise

    async def _serve(self, service: Service, delivery: Delivery) -> None:
        started = time.monotonic()
        async with self._room:
            try:
                received = await self._receive(service, delivery)
                reply = await self._run(service.name, delivery, received)
            except CodedError as error:
                reply = CallReply.of_error(error)
                log.info("call.refused", service=service.name, code=error.code, reason=error.message)
            except MalformedMessageError as error:
                reply = CallReply.of_error(InvalidRequestError(str(error)))
                log.info("call.refused", service=service.name, code="INVALID_REQUEST", reason=str(error))
        await self._settle(delivery, reply)
        log.debug("call.served", service=service.name, status=reply.status, seconds=time.monotonic() - started)

    async def _receive(self, service: Service, delivery: Delivery) -> _Received:
        message = delivery.message
        # Before all else: other refusals promise that nothing was run, and some callers then call again.
        if delivery.redelivered:
            _refuse_second_run(message)
        origin = await self._gate.call(delivery, service.name, service.version)
        if len(message.body) > MAX_BODY_BYTES:
            raise InvalidRequestError(f"the call has {len(message.body)} bytes, at most {MAX_BODY_BYTES} are allowed")
        request = CallRequest.from_json(decode(message.body))
        deadline = _deadline(message)
        if deadline.is_spent:
            raise CallTimeoutError("the deadline had passed before the call was run")
        if not await self._tenants.serves(origin.tenant, service.name):
            raise ServiceNotFoundError(f"Service {service.name} not found or unavailable", tenant=origin.tenant)
        match = self._routers[service.name].match(request.method, request.path)
        endpoint = f"{match.mark.method} {match.mark.path}"
        judge_permissions(origin, match.mark.permissions, myself=self._transport.identity, endpoint=endpoint)
        chain = tuple(word for word in str(message.headers.get(CHAIN_HEADER) or "").split(",") if word)
        request_id = str(message.headers.get(REQUEST_HEADER) or new_id())
        return _Received(
            origin, request, match, Context(request_id=request_id, chain=chain, deadline=deadline), deadline
        )

    async def _run(self, service: str, delivery: Delivery, received: _Received) -> CallReply:
        request, origin = received.request, received.origin
        call = Call(
            tenant=self._tenants.client(origin.tenant, received.context),
            caller=origin.publisher,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.body,
            deadline=received.deadline,
            request_id=received.context.request_id or "",
            redelivered=delivery.redelivered,
        )
        with structlog.contextvars.bound_contextvars(
            tenant=origin.tenant, caller=origin.publisher, request_id=call.request_id, service=service
        ):
            return await self._handle(call, received)

    async def _handle(self, call: Call, received: _Received) -> CallReply:
        mark = received.match.mark
        limit = asyncio.timeout(received.deadline.remaining_seconds)
        try:
            async with limit:
                return _reply(await mark.handler(call, **received.match.params))
        except Refusal as refusal:
            return _reply(Reply(refusal.data, status=refusal.status))
        except (Exception, asyncio.CancelledError) as error:
            if was_asked_to_stop() or (isinstance(error, CodedError) and self._handlers_speak_codes):
                raise
            if _is_out_of_time(error, limit, received.deadline):
                raise CallTimeoutError(f"{mark.method} {mark.path} was not done by its deadline") from error
            log.exception("call.handler_failed", method=mark.method, path=mark.path)
            return _internal_error(type(error).__name__, str(error))

    async def _settle(self, delivery: Delivery, reply: CallReply) -> None:
        if delivery.message.reply_to is None or delivery.message.correlation_id is None:
            reason = InvalidRequestError("a call must carry reply_to and correlation_id")
            await self._dead_letters.bury(delivery, "calls", reason)
            return
        try:
            await self._publish(delivery.message, reply)
        except ReturnedMessageError:
            log.info("call.reply_unroutable", reply_to=delivery.message.reply_to)
        except TransportError as error:
            # Without the confirm nobody knows whether the caller has its reply: let the call come again.
            log.warning("call.reply_unconfirmed", error=str(error))
            await delivery.reject(requeue=True)
            return
        await delivery.acknowledge()

    async def _publish(self, call: Message, reply: CallReply) -> None:
        is_direct = (call.reply_to or "").startswith(DIRECT_REPLY_TO)
        message = Message(
            body=_encoded(reply),
            type="reply",
            message_id=new_id(),
            correlation_id=call.correlation_id,
            headers={INSTANCE_HEADER: self._instance, TENANT_HEADER: call.headers.get(TENANT_HEADER)},
            expiration_seconds=max(1.0, _deadline(call).remaining_seconds),
            timestamp=int(time.time()),
            persistent=False,
        )
        # A direct reply-to address is never mandatory: RabbitMQ closes the channel of a caller that went.
        await self._transport.publish(
            message,
            exchange=DEFAULT_EXCHANGE if is_direct else self._topology.replies,
            routing_key=call.reply_to or "",
            mandatory=not is_direct,
        )


def _refuse_second_run(message: Message) -> None:
    """Refuse a call that was handed out before, unless it may run twice; one that cannot be read may not."""
    what = "a call that cannot be read"
    if len(message.body) <= MAX_BODY_BYTES:
        with suppress(InvalidRequestError, MalformedMessageError):
            request = CallRequest.from_json(decode(message.body))
            if request.method in REPEATABLE_METHODS:
                return
            what = f"{request.method} {request.path}"
    raise OutcomeUnknownError(f"{what} may have been run before; it is not run twice")


def _encoded(reply: CallReply) -> bytes:
    try:
        body = encode(reply.to_json())
    except InvalidRequestError as error:
        return encode(_fault("ValueError", f"the handler's answer is no JSON value: {error.message}").to_json())
    if len(body) > MAX_BODY_BYTES:
        text = f"the handler's answer has {len(body)} bytes, at most {MAX_BODY_BYTES} are allowed"
        return encode(_fault("ValueError", text).to_json())
    return body


def _fault(kind: str, text: str) -> CallReply:
    log.error("call.answer_invalid", reason=text)
    return _internal_error(kind, text)


def _internal_error(kind: str, text: str) -> CallReply:
    """What a caller hears of a fault: its type and message, never a traceback."""
    return CallReply(status=500, data={"error": "Internal server error", "message": f"{kind}: {text}", "type": kind})


def _is_out_of_time(error: BaseException, limit: asyncio.Timeout, deadline: Deadline) -> bool:
    """Whether the handler ended by its caller's deadline: its own, or that of a call it made, which inherits it."""
    if isinstance(error, CallTimeoutError):
        return deadline.remaining_seconds < LAST_MOMENT_SECONDS
    return isinstance(error, TimeoutError) and limit.expired()


def _reply(answer: Any) -> CallReply:
    if not isinstance(answer, Reply):
        return CallReply(status=200, data=answer)
    # What the caller's runtime could not read would leave it in the dark: it hears of the fault instead.
    status: Any = answer.status
    if not isinstance(status, int) or isinstance(status, bool) or status not in ANSWER_STATUSES:
        return _fault("ValueError", f"the handler's answer has status {status!r}, expected a whole number 200 to 599")
    headers = dict(answer.headers)
    if not all(isinstance(word, str) for pair in headers.items() for word in pair):
        return _fault("ValueError", f"the handler's answer has headers that are not all text: {headers!r}")
    return CallReply(status=status, headers=headers, data=answer.data)


def _deadline(message: Message) -> Deadline:
    """The smaller of what the caller had left when it published, and the moment it named on the wall clock."""
    budget = message.headers.get(BUDGET_HEADER)
    seconds = budget / 1000 if isinstance(budget, int | float) else LONGEST_BUDGET_SECONDS
    moment = message.headers.get(DEADLINE_HEADER)
    if isinstance(moment, int | float):
        seconds = min(seconds, moment / 1000 - time.time())
    return Deadline.after(min(seconds, LONGEST_BUDGET_SECONDS))

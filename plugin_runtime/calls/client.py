"""Calls out: many in flight over one reply queue, each with a deadline."""

import asyncio
import time
from typing import Protocol

import structlog

from contracts.calls import (
    MAX_BODY_BYTES,
    REPEATABLE_METHODS,
    CallMetadata,
    CallReply,
    CallRequest,
    CallResult,
)
from contracts.codec import (
    CALLER_HEADER,
    CHAIN_HEADER,
    DEADLINE_HEADER,
    GRANT_HEADER,
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
    NotRunningError,
    OutcomeUnknownError,
    ServiceUnavailableError,
    UnauthenticatedError,
)
from contracts.ids import new_id
from contracts.names import NO_TENANT
from contracts.registry import PresenceAnnouncement
from contracts.topology import Topology
from contracts.tracing import trace_headers
from plugin_runtime.calls.chain import chain_header
from plugin_runtime.calls.outgoing import RETRY_AFTER_SECONDS, CallPublisher
from plugin_runtime.calls.pending import Answer, Pending, Waiting
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline
from plugin_runtime.identity import judge_reply
from plugin_runtime.transport.base import Delivery, HeaderValue, Transport

log = structlog.get_logger()

GRANT_REFUSALS = {UnauthenticatedError.code, ServiceUnavailableError.code}
"""How a callee refuses a grant: for good, or since it does not know the key and cannot ask for it now."""


class Tokens(Protocol):
    """Where a message gets the grant that it must carry."""

    async def token(self, tenant: str, deadline: Deadline) -> str:
        """The token for a tenant; `TenantNotFoundError`, `PermissionDeniedError` or `CallTimeoutError`."""

    async def renewed(self, tenant: str, deadline: Deadline) -> bool:
        """Get another in place of one that was refused; False while the broker is away."""


class CallClient:
    """Publishes calls and gives each caller its own reply."""

    def __init__(self, transport: Transport, topology: Topology, *, instance: str, tokens: Tokens) -> None:
        self._tokens = tokens
        self._transport = transport
        self._topology = topology
        self._instance = instance
        self._pending = Pending()
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reply_to = topology.reply_key(transport.identity, instance)
        self._publisher = CallPublisher(transport, topology, self._pending, reply_to=self._reply_to)

    async def call(
        self, tenant: str, target: Target, request: CallRequest, *, deadline: Deadline, context: Context
    ) -> CallResult:
        """Call an endpoint of a known service version and wait for its reply.

        Raises:
            ServiceNotFoundError: Nobody is bound for it in that tenant; known at once, nothing was run.
            OverloadedError: Its queue is full; nothing was run.
            ServiceUnavailableError: The callee went away while it ran a GET, PUT or DELETE.
            OutcomeUnknownError: The callee went away while it ran a POST or PATCH.
            PermissionDeniedError: RabbitMQ does not let this plugin publish there, or it is not installed in the
                tenant; nothing was run.
            TenantNotFoundError: There is no such tenant.
            CallTimeoutError: No reply by the deadline; the outcome is unknown.
            NotRunningError: The plugin has stopped.
            CodedError: Whatever else the callee answered with a code.

        When it is cancelled before its deadline, the callee is told so, and cancels the handler.
        """
        if self._is_closed:
            raise self._stopped()
        started = time.monotonic()
        try:
            answer = await self._exchange(tenant, target, request, context, deadline)
            # Nothing was run: a callee says this of no call that may have been run before and may not run twice.
            # Clocks differ, an outage just ended, the broker lost its key: a new grant mends it.
            if _is_grant_refused(answer) and await self._tokens.renewed(tenant, deadline):
                answer = await self._exchange(tenant, target, request, context, deadline)
        except TimeoutError as error:
            raise timed_out(tenant, target.service, request, time.monotonic() - started) from error
        return _result(target, answer, time.monotonic() - started)

    def on_reply(self, delivery: Delivery) -> None:
        """Take a delivery of the reply queue."""
        delivery.acknowledge_soon()
        message = delivery.message
        callee = self._pending.callee_of(message.correlation_id)
        if callee is None or message.correlation_id is None:
            return  # nobody waits any more
        try:
            judge_reply(delivery, self._topology, key=self._reply_to, callee=callee)
        except CodedError as error:
            log.warning("call.reply_refused", reason=error.message)
            return
        instance = str(message.headers.get(INSTANCE_HEADER, ""))
        try:
            reply = CallReply.from_json(decode(message.body))
        except (MalformedMessageError, InvalidRequestError) as error:
            self._pending.fail(message.correlation_id, OutcomeUnknownError(f"{callee} answered nonsense: {error}"))
            return
        self._pending.answer(message.correlation_id, Answer(reply, instance))

    def on_presence(self, gone: PresenceAnnouncement) -> None:
        """The last instance of a version went without a word: its callers need not wait for their deadlines."""
        failed = self._pending.fail_version(gone.service_name, gone.version, _gone)
        if failed:
            log.info("call.callee_gone", service=gone.service_name, version=gone.version, calls=failed)

    def on_reconnected(self) -> None:
        """The connection was lost and is back: calls may be lost with it, see `calls.outgoing`."""
        self._publisher.publish_again()

    async def close(self) -> None:
        """End every call that still waits, and refuse later ones."""
        self._is_closed = True
        me = self._transport.identity
        self._pending.fail_all(lambda waiting: OutcomeUnknownError(f"{me} stopped while it called {waiting.service}"))
        self._pending.close()
        await self._publisher.close()

    async def _exchange(
        self, tenant: str, target: Target, request: CallRequest, context: Context, deadline: Deadline
    ) -> Answer:
        body = encode(request.to_json())
        if len(body) > MAX_BODY_BYTES:
            raise InvalidRequestError(f"the call has {len(body)} bytes, at most {MAX_BODY_BYTES} are allowed")
        waiting = Waiting(
            callee=target.plugin,
            service=target.service,
            version=target.version,
            method=request.method,
            deadline=deadline,
            key=self._topology.call_key(tenant, target.service, target.version),
            body=body,
            headers=await self._headers(tenant, target, context, deadline),
            future=self._new_future(),
        )
        if self._is_closed:  # meanwhile: the grant had to be waited for
            raise self._stopped()
        correlation_id = new_id()
        self._pending.add(correlation_id, waiting)
        self._publisher.publish(correlation_id, waiting)
        try:
            return await waiting.future
        except TimeoutError:
            self._publisher.give_up(waiting)
            raise
        except asyncio.CancelledError:
            self._publisher.give_up(waiting)
            if not deadline.is_spent:  # whoever waited gave up; of the deadline the callee knows itself
                self._publisher.take_back(correlation_id, waiting, tenant)
            raise
        finally:
            self._pending.remove(correlation_id)

    def _stopped(self) -> NotRunningError:
        return NotRunningError(f"{self._transport.identity} has stopped and calls nobody any more")

    def _new_future(self) -> "asyncio.Future[Answer]":
        # Asked for once: in Python 3.11 each question for the running loop is a system call.
        self._loop = self._loop or asyncio.get_running_loop()
        return self._loop.create_future()

    async def _headers(
        self, tenant: str, target: Target, context: Context, deadline: Deadline
    ) -> dict[str, HeaderValue]:
        # Who speaks for no tenant speaks for itself, and RabbitMQ vouches for that.
        request_id = context.request_id or new_id()
        grant = {} if tenant == NO_TENANT else {GRANT_HEADER: await self._tokens.token(tenant, deadline)}
        return {
            **grant,
            TENANT_HEADER: tenant,
            CALLER_HEADER: self._transport.identity,
            REQUEST_HEADER: request_id,
            CHAIN_HEADER: chain_header(context.chain, target.service),
            **trace_headers(context.traceparent, context.tracestate, request_id),
            DEADLINE_HEADER: int((time.time() + deadline.remaining_seconds) * 1000),
        }


def timed_out(tenant: str, service: str, request: CallRequest, seconds: float) -> CallTimeoutError:
    """The error of a caller that waited so long in vain."""
    text = f"API call timeout after {round(seconds, 1):g}s: {request.method} {service} {request.path} for {tenant}"
    return CallTimeoutError(text, service=service, waitedSeconds=round(seconds, 3))


def _result(target: Target, answer: Answer, duration_seconds: float) -> CallResult:
    reply = answer.reply
    if (error := reply.to_error()) is not None:
        raise error
    metadata = CallMetadata(
        plugin=target.plugin,
        service=target.service,
        version=target.version,
        instance=answer.instance,
        duration_seconds=duration_seconds,
    )
    return CallResult(status=reply.status, headers=reply.headers, data=reply.data, metadata=metadata)


def _is_grant_refused(answer: Answer) -> bool:
    error = answer.reply.error
    return (
        error is not None
        and error.get("code") in GRANT_REFUSALS
        and (error.get("details") or {}).get("header") == GRANT_HEADER
    )


def _gone(waiting: Waiting) -> CodedError:
    text = f"The last instance of {waiting.service} {waiting.version} went away"
    if waiting.method in REPEATABLE_METHODS:
        text = f"{text}; the call may be repeated"
        return ServiceUnavailableError(text, retryAfter=RETRY_AFTER_SECONDS, mayHaveRun=True)
    return OutcomeUnknownError(f"{text} while it may have run {waiting.method}")

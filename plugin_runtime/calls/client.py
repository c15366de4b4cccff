"""Calls out: many in flight over one reply queue, each with a deadline."""

import asyncio
import time
from dataclasses import dataclass
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
    BUDGET_HEADER,
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
    MissingQueueError,
    NotConnectedError,
    NotRunningError,
    OutcomeUnknownError,
    OverloadedError,
    PermissionDeniedError,
    PublisherRefusedError,
    RejectedPublishError,
    ReturnedMessageError,
    ServiceNotFoundError,
    ServiceUnavailableError,
    TransportError,
    UnauthenticatedError,
)
from contracts.names import NO_TENANT
from contracts.registry import PresenceAnnouncement
from contracts.topology import Topology
from plugin_runtime.calls.pending import Answer, Pending, Waiting
from plugin_runtime.context import Context, Deadline, new_id
from plugin_runtime.identity import judge_reply
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.base import Delivery, HeaderValue, Message, Transport

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 1.0
PAUSE_SECONDS = 0.05
GRANT_REFUSALS = {UnauthenticatedError.code, ServiceUnavailableError.code}
"""How a callee refuses a grant: for good, or since it does not know the key and cannot ask for it now."""


@dataclass(frozen=True, slots=True)
class Target:
    """The service version that a call goes to, and the plugin that answers it."""

    plugin: str
    service: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outgoing:
    """A call as it is published, again after a lost connection if it may run twice."""

    key: str
    body: bytes
    headers: dict[str, HeaderValue]
    correlation_id: str
    is_repeatable: bool


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
        self._settling = TaskSet("calls.settle")
        self._publishing = TaskSet("calls.publish")
        self._is_closed = False
        self._reply_to = topology.reply_key(transport.identity, instance)

    async def call(
        self, tenant: str, target: Target, request: CallRequest, *, deadline: Deadline, context: Context
    ) -> CallResult:
        """Call an endpoint of a known service version and wait for its reply.

        Raises:
            ServiceNotFoundError: Nobody is bound for it in that tenant; known at once, nothing was run.
            OverloadedError: Its queue is full; nothing was run.
            PermissionDeniedError: RabbitMQ does not let this plugin publish there, or it is not installed in the
                tenant; nothing was run.
            TenantNotFoundError: There is no such tenant.
            CallTimeoutError: No reply by the deadline; the outcome is unknown.
            NotRunningError: The plugin has stopped.
            CodedError: Whatever else the callee answered with a code.
        """
        if self._is_closed:
            raise NotRunningError(f"{self._transport.identity} has stopped and calls nobody any more")
        started = time.monotonic()
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
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
        self._settling.start(delivery.acknowledge())
        message = delivery.message
        callee = self._pending.callee_of(message.correlation_id)
        if callee is None or message.correlation_id is None:
            log.debug("call.reply_late", correlation_id=message.correlation_id)
            return
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

    async def close(self) -> None:
        """End every call that still waits, and refuse later ones; wait until replies received are acknowledged."""
        self._is_closed = True
        me = self._transport.identity
        self._pending.fail_all(lambda waiting: OutcomeUnknownError(f"{me} stopped while it called {waiting.service}"))
        await self._settling.drain(1.0)
        await self._publishing.drain(0.0)

    async def _exchange(
        self, tenant: str, target: Target, request: CallRequest, context: Context, deadline: Deadline
    ) -> Answer:
        outgoing = _Outgoing(
            key=self._topology.call_key(tenant, target.service, target.version),
            body=encode(request.to_json()),
            headers=await self._headers(tenant, target, context, deadline),
            correlation_id=new_id(),
            is_repeatable=request.method in REPEATABLE_METHODS,
        )
        if len(outgoing.body) > MAX_BODY_BYTES:
            raise InvalidRequestError(f"the call has {len(outgoing.body)} bytes, at most {MAX_BODY_BYTES} are allowed")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting = Waiting(target.plugin, target.service, target.version, request.method, future)
        self._pending.add(outgoing.correlation_id, waiting)
        # A call waits for its reply, not for its confirm; a return or a nack ends it at once.
        self._publishing.start(self._publish(outgoing, target, deadline))
        try:
            return await future
        finally:
            self._pending.remove(outgoing.correlation_id)

    async def _publish(self, outgoing: _Outgoing, target: Target, deadline: Deadline) -> None:
        try:
            await self._publish_until_sent(outgoing, deadline)
        except ReturnedMessageError:
            error: CodedError = ServiceNotFoundError(f"Service {target.service} not found or unavailable")
            self._pending.fail(outgoing.correlation_id, error)
        except RejectedPublishError:
            text = f"The queue of {target.service} {target.version} is full"
            self._pending.fail(outgoing.correlation_id, OverloadedError(text, retryAfter=RETRY_AFTER_SECONDS))
        except PublisherRefusedError as error:
            refusal = PermissionDeniedError(f"RabbitMQ does not let this plugin call {target.service}: {error}")
            self._pending.fail(outgoing.correlation_id, refusal)
        except MissingQueueError as error:
            text = f"Service {target.service} not found or unavailable: {error}"
            self._pending.fail(outgoing.correlation_id, ServiceNotFoundError(text))
        except TransportError as error:
            # It may have arrived: its answer is waited for until the deadline.
            log.warning("call.publish_unknown", service=target.service, error=str(error))
        except Exception as error:
            text = f"The call to {target.service} could not be published: {type(error).__name__}: {error}"
            self._pending.fail(outgoing.correlation_id, OutcomeUnknownError(text))
            raise

    async def _publish_until_sent(self, outgoing: _Outgoing, deadline: Deadline) -> None:
        """Publish; after a lost connection again, if the call may run twice. What may not waits for its answer."""
        while not deadline.is_spent:
            remaining = deadline.remaining_seconds
            message = Message(
                body=outgoing.body,
                type="call",
                message_id=new_id(),
                correlation_id=outgoing.correlation_id,
                reply_to=self._reply_to,
                headers={**outgoing.headers, BUDGET_HEADER: int(remaining * 1000)},
                expiration_seconds=remaining,
                timestamp=int(time.time()),
                persistent=False,
            )
            try:
                await self._transport.publish(
                    message, exchange=self._topology.calls, routing_key=outgoing.key, timeout=remaining
                )
            except NotConnectedError:
                if not outgoing.is_repeatable:
                    raise
                if self._pending.callee_of(outgoing.correlation_id) is None:
                    return  # the reply overtook the confirm, which is lost now: nobody waits for a second run
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                return

    async def _headers(
        self, tenant: str, target: Target, context: Context, deadline: Deadline
    ) -> dict[str, HeaderValue]:
        # Who speaks for no tenant speaks for itself, and RabbitMQ vouches for that.
        grant = {} if tenant == NO_TENANT else {GRANT_HEADER: await self._tokens.token(tenant, deadline)}
        return {
            **grant,
            TENANT_HEADER: tenant,
            CALLER_HEADER: self._transport.identity,
            REQUEST_HEADER: context.request_id or new_id(),
            CHAIN_HEADER: ",".join((*context.chain, target.service)),
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
    error = answer.reply.error or {}
    return error.get("code") in GRANT_REFUSALS and (error.get("details") or {}).get("header") == GRANT_HEADER


def _gone(waiting: Waiting) -> CodedError:
    text = f"The last instance of {waiting.service} {waiting.version} went away"
    if waiting.method in REPEATABLE_METHODS:
        return ServiceUnavailableError(f"{text}; the call may be repeated", retryAfter=RETRY_AFTER_SECONDS)
    return OutcomeUnknownError(f"{text} while it may have run {waiting.method}")

"""Runs the handler of an admitted call, under its caller's deadline, and makes a reply of how it ends."""

import asyncio

import structlog

from contracts.calls import CallReply
from contracts.errors import CallTimeoutError, CodedError
from plugin_runtime.calls.admission import Received
from plugin_runtime.calls.answers import internal_error, reply_of
from plugin_runtime.incoming import Call, Refusal, Reply, Tenants
from plugin_runtime.tasks import was_asked_to_stop
from plugin_runtime.typed.handlers import UnfitCall

log = structlog.get_logger()

LAST_MOMENT_SECONDS = 0.05
"""By so much a nested call may end before the deadline that it inherited: budgets are whole milliseconds."""


async def handle(received: Received, tenants: Tenants, *, handlers_speak_codes: bool) -> CallReply:
    """Run the handler and wait for its answer; what it raises is its answer too.

    Whoever cancels ``received.task`` at the call's deadline marks the call as late before.

    Args:
        received: The call.
        tenants: Where its tenant's clients come from.
        handlers_speak_codes: Coded errors of the handler are answers, as only the broker's are. Codes are the bus's own
            words, and some promise that nothing was run. A plugin's handler speaks by `Reply` and `Refusal`: an error
            of a call that it made is its own fault, not an answer to its caller.

    Raises:
        InvalidRequestError: Body, query or path is not as the handler declares them; nothing of it was run.
        CallTimeoutError: It was not done by its deadline.
        CodedError: The broker's handler raised it.
        asyncio.CancelledError: The task that runs it is being cancelled.
    """
    request, origin = received.request, received.origin
    call = Call(
        tenant=tenants.client(origin.tenant, received.context),
        caller=origin.publisher,
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=request.body,
        deadline=received.deadline,
        request_id=received.context.request_id or "",
        traceparent=received.context.traceparent,
        redelivered=received.delivery.redelivered,
    )
    # The task is the call's own: what is bound for its log ends with it.
    structlog.contextvars.bind_contextvars(
        tenant=origin.tenant, caller=origin.publisher, request_id=call.request_id, service=received.service
    )
    mark = received.match.mark
    try:
        return reply_of(await mark.handler(call, **received.match.params))
    except UnfitCall as unfit:
        raise unfit.reason from None
    except Refusal as refusal:
        return reply_of(Reply(refusal.data, status=refusal.status))
    except (Exception, asyncio.CancelledError) as error:
        if received.is_late and received.task is not None:
            received.task.uncancel()  # that was the deadline, and is told as such
        if was_asked_to_stop() or (isinstance(error, CodedError) and handlers_speak_codes):
            raise
        if _is_out_of_time(error, received):
            raise CallTimeoutError(f"{mark.method} {mark.path} was not done by its deadline") from error
        log.exception("call.handler_failed", method=mark.method, path=mark.path)
        return internal_error(type(error).__name__, str(error))


def _is_out_of_time(error: BaseException, received: Received) -> bool:
    """Whether the handler ended by its caller's deadline: its own, or that of a call it made, which inherits it."""
    if isinstance(error, CallTimeoutError):
        return received.deadline.remaining_seconds < LAST_MOMENT_SECONDS
    return isinstance(error, asyncio.CancelledError) and received.is_late

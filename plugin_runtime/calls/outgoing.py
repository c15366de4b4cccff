"""Calls on their way to RabbitMQ: published, published again after a lost connection, taken back.

RabbitMQ keeps calls and replies in memory only. When the connection was cut they are still there, after a restart of
RabbitMQ they are not, and a plugin cannot tell which of the two it was. So after a reconnect:

    GET, PUT, DELETE   whoever still waits publishes its call again, once for each reconnect; one that was only delayed
                       is run twice then, which its method allows
    POST, PATCH        wait on: the call may be in its queue or with its callee, whose reply still comes

A call that is taken back is told to every instance of its callee; the one that runs it cancels its handler. That is for
callers that were cancelled: of a deadline the callee knows itself, and a message for each call that ended so would come
when there is too much to do as it is.
"""

import asyncio
import random
import time
from functools import partial

import structlog

from contracts.calls import REPEATABLE_METHODS
from contracts.codec import BUDGET_HEADER, CALLER_HEADER, TENANT_HEADER
from contracts.errors import (
    CodedError,
    MissingQueueError,
    NotConnectedError,
    OutcomeUnknownError,
    OverloadedError,
    PermissionDeniedError,
    PublisherRefusedError,
    RejectedPublishError,
    ReturnedMessageError,
    ServiceNotFoundError,
    ServiceUnavailableError,
    TransportError,
)
from contracts.ids import new_id
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import Topology
from plugin_runtime.calls.pending import Pending, Waiting
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.base import Message, Transport

log = structlog.get_logger()

RETRY_AFTER_SECONDS = 1.0
PAUSE_SECONDS = 0.05
SPREAD_SECONDS = 0.2
"""Within so long after a reconnect the calls of one process are published again: all processes come back at once."""

REFUSALS = (ReturnedMessageError, RejectedPublishError, PublisherRefusedError, MissingQueueError)
"""How RabbitMQ says that it did not take a message."""

TAKE_BACK_SECONDS = 2.0
"""How long a call that nobody waits for any more may take to be taken back."""


class CallPublisher:
    """Publishes the calls of one instance, and fails those that RabbitMQ does not take.

    Args:
        transport: The instance's connection; not closed here.
        topology: The names on the wire.
        pending: Where the callers wait.
        reply_to: The routing key of the replies.
    """

    def __init__(self, transport: Transport, topology: Topology, pending: Pending, *, reply_to: str) -> None:
        self._transport = transport
        self._topology = topology
        self._pending = pending
        self._reply_to = reply_to
        self._exchange = topology.calls
        self._publishing = TaskSet("calls.publish")
        self._is_closed = False

    def publish(self, correlation_id: str, waiting: Waiting) -> None:
        """Begin to publish a call that is pending.

        A call waits for its reply, not for its confirm; a return or a nack ends it at once.
        """
        try:
            confirm = self._begin(correlation_id, waiting)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the call
            self._learn(correlation_id, waiting, error, may_have_run=False)
        else:
            waiting.confirm = confirm
            confirm.add_done_callback(partial(self._confirmed, correlation_id, waiting))

    def publish_again(self) -> None:
        """The connection was lost and is back: begin to publish every call again that was confirmed and may run twice.

        Those that were not confirmed see to it themselves.
        """
        for correlation_id, waiting in self._pending.published():
            if waiting.method in REPEATABLE_METHODS:
                self._publishing.start(self._publish_late(correlation_id, waiting))

    def give_up(self, waiting: Waiting) -> None:
        """Nobody waits for a call any more: if it was not sent yet it never is."""
        if waiting.confirm is not None:
            waiting.confirm.cancel()

    def take_back(self, correlation_id: str, waiting: Waiting, tenant: str) -> None:
        """Begin to tell the callee that nobody waits for a call any more; best effort.

        The broker is told of none: its operations are short, and are done or not done.
        """
        if waiting.callee != SYSTEM_PLUGIN:
            self._publishing.start(self._take_back(correlation_id, waiting, tenant))

    async def close(self) -> None:
        """Give up what is being published."""
        self._is_closed = True
        await self._publishing.drain(0.0)

    def _begin(self, correlation_id: str, waiting: Waiting) -> asyncio.Future[None]:
        remaining = waiting.deadline.remaining_seconds
        message = Message(
            body=waiting.body,
            type="call",
            message_id=new_id(),
            correlation_id=correlation_id,
            reply_to=self._reply_to,
            headers={**waiting.headers, BUDGET_HEADER: int(remaining * 1000)},
            expiration_seconds=remaining,
            timestamp=int(time.time()),
            persistent=False,
        )
        return self._transport.publish_soon(
            message, exchange=self._exchange, routing_key=waiting.key, timeout=remaining
        )

    def _confirmed(self, correlation_id: str, waiting: Waiting, confirm: asyncio.Future[None]) -> None:
        """RabbitMQ has the call, or not; after a lost connection it is published again, if it may run twice."""
        if confirm.cancelled():
            return  # nobody waits any more
        error = confirm.exception()
        if error is None:
            waiting.is_published = True
        elif isinstance(error, NotConnectedError) and waiting.method in REPEATABLE_METHODS and not self._is_closed:
            self._publishing.start(self._publish_until_confirmed(correlation_id, waiting))
        else:
            self._learn(correlation_id, waiting, error, may_have_run=False)

    def _learn(self, correlation_id: str, waiting: Waiting, error: BaseException, *, may_have_run: bool) -> None:
        """A call could not be published. What RabbitMQ refuses ends it."""
        if isinstance(error, REFUSALS):
            self._pending.fail(correlation_id, _failure(error, waiting, may_have_run=may_have_run))
        elif isinstance(error, TransportError):
            # It may have arrived: its answer is waited for until the deadline.
            log.warning("call.publish_unknown", service=waiting.service, error=str(error))
        else:
            log.error("call.publish_failed", service=waiting.service, exc_info=error)
            text = f"The call to {waiting.service} could not be published: {type(error).__name__}: {error}"
            self._pending.fail(correlation_id, OutcomeUnknownError(text))

    async def _publish_until_confirmed(self, correlation_id: str, waiting: Waiting) -> None:
        """Publish again, and again, after the connection was lost: it may have been lost before the confirm came."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            # Nobody waits where a caller gave up, or where the reply overtook the confirm, which is lost now.
            if waiting.deadline.is_spent or correlation_id not in self._pending:
                return
            try:
                await self._begin(correlation_id, waiting)
            except NotConnectedError:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the call
                self._learn(correlation_id, waiting, error, may_have_run=True)
            else:
                waiting.is_published = True
            return

    async def _publish_late(self, correlation_id: str, waiting: Waiting) -> None:
        await asyncio.sleep(random.uniform(0, SPREAD_SECONDS))  # noqa: S311 - spreads load, guards nothing
        if waiting.deadline.is_spent or correlation_id not in self._pending:
            return
        try:
            await self._begin(correlation_id, waiting)
        except TransportError as error:
            if isinstance(error, REFUSALS):
                self._learn(correlation_id, waiting, error, may_have_run=True)
            else:
                log.info("call.not_published_again", service=waiting.service, error=str(error))

    async def _take_back(self, correlation_id: str, waiting: Waiting, tenant: str) -> None:
        message = Message(
            body=b"",
            type="cancel",
            message_id=new_id(),
            correlation_id=correlation_id,
            headers={TENANT_HEADER: tenant, CALLER_HEADER: self._transport.identity},
            expiration_seconds=max(TAKE_BACK_SECONDS, waiting.deadline.remaining_seconds),
            timestamp=int(time.time()),
            persistent=False,
        )
        key = self._topology.cancel_key(waiting.callee)
        try:
            await self._transport.publish(
                message,
                exchange=self._topology.cancel,
                routing_key=key,
                mandatory=False,
                timeout=TAKE_BACK_SECONDS,
            )
        except TransportError as error:
            log.info("call.not_taken_back", service=waiting.service, error=str(error))


def _failure(error: TransportError, waiting: Waiting, *, may_have_run: bool) -> CodedError:
    """What a caller hears of a call that RabbitMQ did not take; of one that it took before, not that it was not run."""
    gone = f"Service {waiting.service} not found or unavailable"
    if may_have_run:
        text = f"{gone} when the call was published again after a lost connection ({error}); the call may be repeated"
        return ServiceUnavailableError(text, retryAfter=RETRY_AFTER_SECONDS, mayHaveRun=True)
    if isinstance(error, ReturnedMessageError):
        return ServiceNotFoundError(gone)
    if isinstance(error, RejectedPublishError):
        text = f"The queue of {waiting.service} {waiting.version} is full"
        return OverloadedError(text, retryAfter=RETRY_AFTER_SECONDS)
    if isinstance(error, PublisherRefusedError):
        return PermissionDeniedError(f"RabbitMQ does not let this plugin call {waiting.service}: {error}")
    return ServiceNotFoundError(f"{gone}: {error}")

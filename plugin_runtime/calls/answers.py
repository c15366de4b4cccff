"""What a callee answers: the handler's value or a fault as a reply, published and then acknowledged."""

import asyncio
import time
from typing import Any

import structlog

from contracts.calls import MAX_BODY_BYTES, CallReply
from contracts.codec import INSTANCE_HEADER, TENANT_HEADER, encode
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    InvalidRequestError,
    MalformedMessageError,
    NotConnectedError,
    OverloadedError,
    PublisherRefusedError,
    RateLimitedError,
    ReturnedMessageError,
    TransportError,
)
from contracts.ids import new_id
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import DEFAULT_EXCHANGE, DIRECT_REPLY_TO, Topology
from plugin_runtime.calls.admission import deadline_of
from plugin_runtime.context import Deadline
from plugin_runtime.dead_letters import DeadLetters
from plugin_runtime.incoming import Reply
from plugin_runtime.transport.base import Delivery, Message, Transport

log = structlog.get_logger()

ANSWER_STATUSES = range(200, 600)
PAUSE_SECONDS = 0.05
LEAST_SECONDS = 1.0
"""So long a reply stays in its queue at least, for a caller whose clock differs."""


class Answers:
    """Publishes replies, and settles the calls that they answer."""

    def __init__(self, transport: Transport, topology: Topology, *, instance: str, dead_letters: DeadLetters) -> None:
        self._transport = transport
        self._topology = topology
        self._instance = instance
        self._dead_letters = dead_letters
        self._is_broker = transport.identity == SYSTEM_PLUGIN

    def may_answer(self, delivery: Delivery) -> bool:
        """Whether a call asks for its reply where its own publisher hears replies.

        A reply is believed for being its callee's: sent wherever a call says, it could answer somebody else. To a
        direct reply-to address only the broker answers; others may not even write to the default exchange.
        """
        reply_to, publisher = delivery.message.reply_to, delivery.publisher
        if reply_to is None:
            found = publisher is not None  # it is buried, with a reason
        elif _is_direct(delivery.message):
            found = self._is_broker
        else:
            found = publisher is not None and reply_to.startswith(f"{publisher}.")
        if not found:
            log.warning("call.unanswerable", publisher=publisher, reply_to=reply_to)
        return found

    async def give(self, delivery: Delivery, reply: CallReply, deadline: Deadline | None = None) -> None:
        """Publish a reply, wait for its confirm, and acknowledge the call; never raises for a lost connection.

        Args:
            delivery: The call.
            reply: What it is answered.
            deadline: Until when the reply is waited for; read from the call when None.
        """
        if delivery.message.reply_to is None or delivery.message.correlation_id is None:
            reason = InvalidRequestError("a call must carry reply_to and correlation_id")
            await self._dead_letters.bury(delivery, "calls", reason)
            return
        try:
            until = deadline or deadline_of(delivery.message)
            try:
                await self._publish(delivery.message, reply, until)
            except NotConnectedError:
                await self._publish_again(delivery.message, reply, until)
        except ReturnedMessageError:
            log.info("call.reply_unroutable", reply_to=delivery.message.reply_to)
        except TransportError as error:
            # Without the confirm nobody knows whether the caller has its reply: let the call come again.
            log.warning("call.reply_unconfirmed", error=str(error))
            # What RabbitMQ refuses it would refuse again, and close the channel each time.
            await delivery.reject(requeue=not isinstance(error, PublisherRefusedError))
            return
        except Exception:
            # Ours to mend; unsettled it would hold its place in the prefetch for ever.
            log.exception("call.not_answered")
            await delivery.reject(requeue=False)
            return
        await delivery.acknowledge()

    async def _publish_again(self, call: Message, reply: CallReply, deadline: Deadline) -> None:
        """Publish again after the connection was lost, as long as the caller waits.

        A restarted RabbitMQ has lost the call, which nobody hands out again: what was run is told by this reply alone.
        One that comes twice finds nobody waiting.

        Raises:
            NotConnectedError: There was no time for another try.
        """
        while not (deadline.is_spent or _is_direct(call)):  # a direct reply-to address dies with its connection
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                return await self._publish(call, reply, deadline)
            except NotConnectedError as error:
                log.debug("call.reply_not_published", error=str(error))
        raise NotConnectedError("the connection was lost before the reply was confirmed")

    def _publish(self, call: Message, reply: CallReply, deadline: Deadline) -> asyncio.Future[None]:
        is_direct, tenant = _is_direct(call), call.headers.get(TENANT_HEADER)
        message = Message(
            body=_encoded(reply),
            type="reply",
            message_id=new_id(),
            correlation_id=call.correlation_id,
            headers={INSTANCE_HEADER: self._instance, TENANT_HEADER: tenant if isinstance(tenant, str) else None},
            expiration_seconds=max(LEAST_SECONDS, deadline.remaining_seconds),
            timestamp=int(time.time()),
            persistent=False,
        )
        # A direct reply-to address is never mandatory: RabbitMQ closes the channel of a caller that went.
        return self._transport.publish_soon(
            message,
            exchange=DEFAULT_EXCHANGE if is_direct else self._topology.replies,
            routing_key=call.reply_to or "",
            mandatory=not is_direct,
        )


def refusal(service: str, error: CodedError | MalformedMessageError) -> CallReply:
    """The reply that refuses a call to a service, which is logged."""
    coded = error if isinstance(error, CodedError) else InvalidRequestError(str(error))
    # What a flood is refused for is told once by the server, not with each of its calls.
    tell = log.debug if isinstance(coded, OverloadedError | RateLimitedError) else log.info
    tell("call.refused", service=service, code=coded.code, reason=coded.message)
    return CallReply.of_error(coded)


def too_late(endpoint: str) -> CallTimeoutError:
    """The refusal of a call that waited for its turn until its deadline."""
    return CallTimeoutError(f"the deadline passed while {endpoint} waited for its turn; it was not run")


def _is_direct(call: Message) -> bool:
    return (call.reply_to or "").startswith(DIRECT_REPLY_TO)


def reply_of(answer: Any) -> CallReply:
    """The reply for what a handler returned."""
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


def internal_error(kind: str, text: str) -> CallReply:
    """What a caller hears of a fault: its type and message, never a traceback."""
    return CallReply(status=500, data={"error": "Internal server error", "message": f"{kind}: {text}", "type": kind})


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
    return internal_error(kind, text)

"""Calls by direct reply-to: for whoever has no queue of its own, before it registers or because it never does."""

import asyncio
import time
from collections.abc import Mapping

import structlog

from contracts.calls import CallReply, CallRequest
from contracts.codec import BUDGET_HEADER, CALLER_HEADER, REQUEST_HEADER, TENANT_HEADER, decode, encode
from contracts.errors import CodedError, InvalidRequestError, MalformedMessageError, TransportError
from contracts.ids import new_id
from contracts.names import NO_TENANT
from contracts.registry import SYSTEM_VERSION
from contracts.topology import Topology
from plugin_runtime.identity import judge_direct_reply
from plugin_runtime.transport.base import Delivery, HeaderValue, Message, Transport

log = structlog.get_logger()

NO_HEADERS: Mapping[str, HeaderValue] = {}


class DirectCalls:
    """Asks the broker; request and reply travel on one channel, as RabbitMQ demands of direct reply-to."""

    def __init__(self, transport: Transport, topology: Topology) -> None:
        self._transport = transport
        self._topology = topology

    async def ask(
        self,
        service: str,
        request: CallRequest,
        *,
        timeout: float,
        tenant: str = NO_TENANT,
        headers: Mapping[str, HeaderValue] = NO_HEADERS,
    ) -> CallReply:
        """Call an endpoint of one of the broker's services and wait for its reply, whatever that says.

        A broker that is away finds the request when it comes back within the timeout; after that RabbitMQ drops it.

        Args:
            service: E.g. ``system.registry``.
            request: What is asked.
            timeout: Seconds to wait for the reply.
            tenant: For whom; ``_`` for what belongs to no tenant.
            headers: Headers beyond those that every call carries.

        Raises:
            TimeoutError: No reply in time; whether the call was run is unknown.
            ReturnedMessageError: No broker has ever run on this bus; likewise `MissingQueueError`.
            TransportError: The way to the broker failed, or its reply is malformed.
        """
        answered: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        message = self._message(request, tenant, headers, timeout)

        def on_reply(delivery: Delivery) -> None:
            if delivery.message.correlation_id != message.correlation_id or answered.done():
                return
            try:
                judge_direct_reply(delivery)
            except CodedError as error:
                log.warning("call.reply_refused", reason=error.message)
                return
            answered.set_result(delivery)

        key = self._topology.call_key(tenant, service, SYSTEM_VERSION)
        async with self._transport.direct_caller(on_reply) as direct, asyncio.timeout(timeout):
            await direct.publish(message, exchange=self._topology.calls, routing_key=key)
            delivery = await answered
        try:
            return CallReply.from_json(decode(delivery.message.body))
        except (InvalidRequestError, MalformedMessageError) as error:
            raise TransportError(f"the broker's answer to {request.path} is malformed: {error}") from error

    def _message(
        self, request: CallRequest, tenant: str, headers: Mapping[str, HeaderValue], timeout: float
    ) -> Message:
        return Message(
            body=encode(request.to_json()),
            type="call",
            message_id=new_id(),
            correlation_id=new_id(),
            headers={
                TENANT_HEADER: tenant,
                CALLER_HEADER: self._transport.identity,
                REQUEST_HEADER: new_id(),
                BUDGET_HEADER: int(timeout * 1000),
                **headers,
            },
            expiration_seconds=timeout,
            timestamp=int(time.time()),
            persistent=False,
        )

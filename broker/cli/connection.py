"""The operator's connection: asks the broker as ``plugin-plexica``, which registers nowhere and serves nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from contracts.calls import FIRST_ERROR_STATUS, CallMetadata, CallReply, CallRequest, CallResult
from contracts.codec import GRANT_HEADER
from contracts.errors import (
    CallTimeoutError,
    EndpointNotFoundError,
    MissingQueueError,
    NotConnectedError,
    OverloadedError,
    RejectedPublishError,
    RemoteError,
    ReturnedMessageError,
    ServiceUnavailableError,
)
from contracts.grants import GrantList, GrantRequest
from contracts.manifest import Dependency
from contracts.names import NO_TENANT, OPERATOR_PLUGIN, SYSTEM_PLUGIN
from contracts.registry import REGISTRY_SERVICE, SYSTEM_VERSION
from contracts.topology import Topology
from plugin_runtime import RuntimeSettings
from plugin_runtime.calls.caller import Caller
from plugin_runtime.calls.direct import DirectCalls
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline, new_instance
from plugin_runtime.transport.address import Address
from plugin_runtime.transport.base import Transport
from plugin_runtime.transport.factory import make_transport

Headers = dict[str, Any]
Connect = Callable[[RuntimeSettings, str], Transport]
"""Makes a transport that is not open yet from the settings and an instance name."""


def over_rabbitmq(settings: RuntimeSettings, instance: str) -> Transport:
    """The transport to RabbitMQ; it tells at once that RabbitMQ is away, since somebody waits for the answer."""
    return make_transport(
        settings.transport,
        settings.url,
        identity=OPERATOR_PLUGIN,
        instance=instance,
        insecure=settings.insecure,
        patient=False,
    )


@asynccontextmanager
async def connected(settings: RuntimeSettings, *, timeout: float, connect: Connect) -> AsyncIterator[Transport]:
    """An open transport, closed at the end.

    Raises:
        NotConnectedError: RabbitMQ is away, or did not answer in ``timeout`` seconds.
        StartError: The address cannot work.
        TransportError: The login or the vhost was refused.
    """
    transport = connect(settings, new_instance())
    try:
        try:
            async with asyncio.timeout(timeout):
                await transport.open()
        except TimeoutError:
            shown = Address.parse(settings.url).shown
            raise NotConnectedError(f"RabbitMQ at {shown} did not answer in {timeout:g} s") from None
        yield transport
    finally:
        await transport.close()


class OnlyBroker:
    """A `Discovery` that knows the broker's own services, at the version that this command speaks."""

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        """The target; nothing is asked for it."""
        del tenant, range_, deadline
        return Target(SYSTEM_PLUGIN, service, SYSTEM_VERSION)

    async def catch_up(self, tenant: str, failed: Target, deadline: Deadline) -> bool:
        """Nobody could say more."""
        del tenant, failed, deadline
        return False

    def declare(self, dependencies: Iterable[Dependency]) -> None:
        """Operators need declare nothing."""


class OperatorCalls:
    """Calls to the broker by direct reply-to, each with the operator's grant for its tenant.

    Args:
        timeout: Seconds that one call may take.
    """

    def __init__(self, transport: Transport, settings: RuntimeSettings, *, timeout: float) -> None:
        self._transport = transport
        self._topology = Topology(settings.prefix)
        self._calls = DirectCalls(transport, self._topology)
        self._url = settings.url
        self._timeout = timeout
        self._grants: dict[str, Headers] = {}

    async def call(
        self, tenant: str, target: Target, request: CallRequest, *, deadline: Deadline, context: Context
    ) -> CallResult:
        """Ask the broker and wait for its reply.

        Raises:
            ServiceUnavailableError: No broker is there; nothing was run.
            CallTimeoutError: One is, but it did not answer in time; whether it ran the call is unknown.
            OverloadedError: The broker's queue is full; nothing was run.
            CodedError: Whatever the broker refuses.
        """
        del context
        started = time.monotonic()
        limit = deadline.earlier(Deadline.after(self._timeout))
        headers = {} if tenant == NO_TENANT else await self._granted(tenant, limit)
        reply = await self._ask(target.service, request, limit, tenant, headers)
        if (error := reply.to_error()) is not None:
            raise error
        metadata = CallMetadata(
            plugin=target.plugin,
            service=target.service,
            version=target.version,
            instance="",
            duration_seconds=time.monotonic() - started,
        )
        return CallResult(status=reply.status, headers=reply.headers, data=reply.data, metadata=metadata)

    async def _granted(self, tenant: str, deadline: Deadline) -> Headers:
        if tenant not in self._grants:
            self._grants[tenant] = await self._ask_for_grant(tenant, deadline)
        return self._grants[tenant]

    async def _ask_for_grant(self, tenant: str, deadline: Deadline) -> Headers:
        request = CallRequest(method="PUT", path="/grants", body=GrantRequest(tenants=(tenant,)).to_json())
        reply = await self._ask(REGISTRY_SERVICE, request, deadline, NO_TENANT, {})
        error = reply.to_error()
        if isinstance(error, EndpointNotFoundError):
            return {}  # a broker from before there were grants: it judges by the publisher alone
        if error is not None:
            raise error
        if reply.status >= FIRST_ERROR_STATUS:
            raise RemoteError(f"the broker answered {reply.status}: {reply.data}", status=reply.status)
        return {GRANT_HEADER: GrantList.parse(reply.data).grants[0].token}

    async def _ask(
        self, service: str, request: CallRequest, deadline: Deadline, tenant: str, headers: Headers
    ) -> CallReply:
        remaining = max(deadline.remaining_seconds, 0.001)
        try:
            return await self._calls.ask(service, request, timeout=remaining, tenant=tenant, headers=headers)
        except (ReturnedMessageError, MissingQueueError) as error:
            raise self._nobody() from error
        except RejectedPublishError as error:
            raise OverloadedError(f"the broker's queue of {service} is full") from error
        except TimeoutError as error:
            if await self._is_served(service):
                text = f"the broker did not answer {request.method} {request.path} in {self._timeout:g} s"
                raise CallTimeoutError(f"{text}; whether it was done is unknown", service=service) from error
            raise self._nobody() from error

    async def _is_served(self, service: str) -> bool:
        queue = self._topology.system_queue(service, SYSTEM_VERSION).name
        try:
            async with asyncio.timeout(self._timeout):
                return (await self._transport.depth(queue)).consumers > 0
        except (MissingQueueError, NotConnectedError, TimeoutError):
            return False

    def _nobody(self) -> ServiceUnavailableError:
        prefix = f" with prefix '{self._topology.prefix}'" if self._topology.prefix else ""
        return ServiceUnavailableError(f"no broker answers on {self._shown()}{prefix}")

    def _shown(self) -> str:
        return Address.parse(self._url).shown


def caller_over(transport: Transport, settings: RuntimeSettings, *, timeout: float) -> Caller:
    """A caller of the broker's services, for the runtime's own clients."""
    return Caller(OperatorCalls(transport, settings, timeout=timeout), OnlyBroker())

"""How an instance becomes known: register by direct reply-to, keep the lease, deregister."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Protocol

import structlog

from contracts.calls import FIRST_ERROR_STATUS, CallReply, CallRequest
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    MissingQueueError,
    NotConnectedError,
    OutcomeUnknownError,
    OverloadedError,
    RejectedPublishError,
    ReturnedMessageError,
    ServiceUnavailableError,
    TransportError,
    UnconfirmedPublishError,
)
from contracts.grants import GrantList, GrantRequest
from contracts.names import NO_TENANT
from contracts.registry import (
    PROTOCOL,
    REGISTRY_SERVICE,
    DeregisterRequest,
    HeartbeatAnswer,
    RegisterAnswer,
    RegisterRequest,
)
from contracts.topology import Topology
from plugin_runtime.calls.caller import Caller
from plugin_runtime.calls.direct import DirectCalls
from plugin_runtime.definition import Definition
from plugin_runtime.heartbeats import Heartbeats
from plugin_runtime.pulse import Pulse
from plugin_runtime.transport.base import Transport

log = structlog.get_logger()

DISTRIBUTION = "plexica-bus"
FIRST_ANSWER_SECONDS = 2.0
ANSWER_SECONDS = 10.0
NO_BROKER = "no broker answers yet: is one running on this PLEXICA_URL and PLEXICA_PREFIX? (python -m broker)"
LONGEST_PAUSE_SECONDS = 2.0
GOODBYE_SECONDS = 5.0
WITHDRAW_SECONDS = 2.0
WITHDRAW_PAUSE_SECONDS = 0.05


WORTH_A_RETRY = (
    CallTimeoutError,
    MissingQueueError,
    NotConnectedError,
    OutcomeUnknownError,
    OverloadedError,
    RejectedPublishError,
    ReturnedMessageError,
    ServiceUnavailableError,
    TimeoutError,
    UnconfirmedPublishError,
)
"""What ends one try to register, and not the start: RabbitMQ or the broker are away, or on their way back."""


class Registrar(Protocol):
    """How a running instance introduces itself; the broker, which is written with the same runtime, has its own way."""

    async def register(self) -> RegisterAnswer:
        """Introduce the instance; its queues exist and are bound when this returns. Waits for the broker."""

    async def heartbeat(self, caller: Caller, load: int) -> HeartbeatAnswer | None:
        """Renew the lease; None where there is none to renew."""

    async def grants(self, caller: Caller, tenants: Sequence[str]) -> GrantList:
        """Ask for grants in these tenants, and for the keys."""

    @property
    def is_broker_silent(self) -> bool:
        """Whether the broker was not heard for so long that grants cannot be renewed."""

    async def deregister(self, caller: Caller) -> None:
        """Take the instance back."""

    async def withdraw(self) -> None:
        """Take back what a `register` that was given up may have left behind. Best effort; raises nothing."""


def runtime_version() -> str:
    """The installed version of the distribution, which the broker judges (PEP 440)."""
    return version(DISTRIBUTION)


class RemoteRegistrar:
    """Registers with the broker over RabbitMQ.

    It asks by direct reply-to, since the instance has no queue of its own yet.
    """

    def __init__(
        self,
        transport: Transport,
        topology: Topology,
        definition: Definition,
        *,
        instance: str,
        tenants: tuple[str, ...],
        strict: bool,
    ) -> None:
        self._calls = DirectCalls(transport, topology)
        self._heartbeats = Heartbeats(transport, topology, instance=instance)
        self._instance = instance
        self._request = RegisterRequest(
            protocol=PROTOCOL,
            runtime_version=runtime_version(),
            instance_id=instance,
            manifest=definition.described(),
            subscriptions=definition.subscriptions(),
            tenants=tenants,
            strict=strict,
        )
        self._may_be_registered = False
        self._pulse = Pulse()

    @property
    def is_broker_silent(self) -> bool:
        """Whether no answer came for three that were due, and 30 s at least, or the first after that came just now."""
        return self._pulse.is_silent(time.monotonic())

    async def register(self) -> RegisterAnswer:
        """Register, however long the broker takes to come; every try in vain is logged.

        Raises:
            IncompatibleRuntimeError: The broker does not speak with this version of the runtime.
            UnresolvableError: A required dependency is missing and the plugin is strict.
            CodedError: Whatever else the broker refuses, e.g. `NameTakenError`.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                # The first try is short, so that whoever forgot the broker hears of it soon.
                return await self._try(FIRST_ANSWER_SECONDS if attempt == 1 else ANSWER_SECONDS)
            except WORTH_A_RETRY as error:
                pause = min(LONGEST_PAUSE_SECONDS, 0.05 * 2 ** min(attempt, 6)) * random.uniform(0.5, 1.0)  # noqa: S311
                reason = str(error) if isinstance(error, (NotConnectedError, CodedError)) else NO_BROKER
                log.warning("broker.waiting", attempt=attempt, reason=reason, retry_in_seconds=round(pause, 3))
                await asyncio.sleep(pause)

    async def _try(self, timeout: float) -> RegisterAnswer:
        self._may_be_registered = True
        request = CallRequest(method="PUT", path="/register", body=self._request.to_json())
        reply = await self._calls.ask(REGISTRY_SERVICE, request, timeout=timeout)
        self._may_be_registered = reply.error is None
        self._pulse.beat(time.monotonic())
        answer = _read(reply)
        self._pulse.expect(self._heartbeats.expect(answer.heartbeat_seconds))
        return answer

    async def heartbeat(self, caller: Caller, load: int) -> HeartbeatAnswer | None:
        """Renew the lease; see `Heartbeats.beat`."""
        answer = await self._heartbeats.beat(caller, load)
        if answer is not None:
            self._pulse.beat(time.monotonic())
        return answer

    async def grants(self, caller: Caller, tenants: Sequence[str]) -> GrantList:
        """Ask for grants; errors as of a call, and `TenantNotFoundError` or `PermissionDeniedError` for one refused."""
        body = GrantRequest(tenants=tuple(tenants))
        answer = await caller.ask(NO_TENANT, REGISTRY_SERVICE, "PUT", "/grants", body=body, timeout=ANSWER_SECONDS)
        return GrantList.parse(answer)

    async def deregister(self, caller: Caller) -> None:
        """Say good-bye; after this the broker routes no new calls here."""
        self._may_be_registered = False
        body = DeregisterRequest(instance_id=self._instance)
        await caller.ask(NO_TENANT, REGISTRY_SERVICE, "POST", "/deregister", body=body, timeout=GOODBYE_SECONDS)

    async def withdraw(self) -> None:
        """Deregister by direct reply-to: nobody consumes the reply queue yet, and the broker may still be at it."""
        if not self._may_be_registered:
            return
        body = DeregisterRequest(instance_id=self._instance).to_json()
        request = CallRequest(method="POST", path="/deregister", body=body)
        with suppress(CodedError, TransportError, TimeoutError):
            async with asyncio.timeout(WITHDRAW_SECONDS):
                while True:
                    reply = await self._calls.ask(REGISTRY_SERVICE, request, timeout=WITHDRAW_SECONDS)
                    if reply.error is None:
                        break
                    await asyncio.sleep(WITHDRAW_PAUSE_SECONDS)
        self._may_be_registered = False


def _read(reply: CallReply) -> RegisterAnswer:
    if (error := reply.to_error()) is not None:
        raise error
    if reply.status >= FIRST_ERROR_STATUS:
        raise ServiceUnavailableError(f"the broker answered {reply.status}: {reply.data}")
    return RegisterAnswer.parse(reply.data)

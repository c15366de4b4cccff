"""Whether a call that arrived may run: judged once, at once, by what is known here. No call is run here."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from contracts.calls import LONGEST_TIMEOUT_SECONDS, MAX_BODY_BYTES, REPEATABLE_METHODS, CallRequest
from contracts.codec import BUDGET_HEADER, CHAIN_HEADER, DEADLINE_HEADER, decode
from contracts.errors import (
    CallTimeoutError,
    InvalidRequestError,
    MalformedMessageError,
    OutcomeUnknownError,
    ServiceNotFoundError,
)
from contracts.manifest import Service
from plugin_runtime.calls.chain import read_chain
from plugin_runtime.calls.endpoints import Endpoint, endpoints_of
from plugin_runtime.calls.fair_queue import Lane
from plugin_runtime.calls.permissions import judge_permissions
from plugin_runtime.calls.routing import Match, Router
from plugin_runtime.context import Context, Deadline
from plugin_runtime.gate import Gate
from plugin_runtime.identity import Origin
from plugin_runtime.incoming import Tenants
from plugin_runtime.transport.base import Delivery, Message


@dataclass(slots=True, eq=False)
class Received:
    """A call that was admitted, until its handler is done with it.

    Attributes:
        number: Tells it from all others that this process received; 0 before it was taken.
        task: In which its handler is at work; None before.
        is_taken_back: Its caller waits no more.
        is_late: Its deadline came while its handler was at work.
    """

    delivery: Delivery
    service: str
    origin: Origin
    request: CallRequest
    match: Match
    endpoint: Endpoint
    context: Context
    deadline: Deadline
    number: int = 0
    task: "asyncio.Task[None] | None" = None
    is_taken_back: bool = False
    is_late: bool = False

    @property
    def tenant(self) -> str:
        """For whom it is made."""
        return self.origin.tenant

    @property
    def lane(self) -> Lane:
        """The way to its endpoint."""
        return self.endpoint.lane


class Admission:
    """Judges the calls to a plugin's services.

    Args:
        gate: Says where a call truly comes from.
        tenants: The tenants that are served.
        routers: By service name.
        services: As the manifest has them.
        myself: The plugin.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        tenants: Tenants,
        routers: Mapping[str, Router],
        services: Iterable[Service],
        myself: str,
    ) -> None:
        self._gate = gate
        self._tenants = tenants
        self._routers = routers
        self._endpoints = {service.name: endpoints_of(service) for service in services}
        self._myself = myself

    def judge(self, service: Service, delivery: Delivery) -> Received | None:
        """Admit a call; None where the broker, or an announcement, must be waited for, and `judge_later` decides.

        Raises:
            CodedError: It is refused, and was not run.
            MalformedMessageError: Its body is no JSON.
        """
        origin = self._gate.call_now(delivery, service.name, service.version)
        serves = None if origin is None else self._tenants.serves_now(origin.tenant, service.name)
        if origin is None or serves is None:
            return None
        return self._admitted(service, delivery, origin, serves=serves)

    async def judge_later(self, service: Service, delivery: Delivery) -> Received:
        """The same, after waiting for what is not known here; errors as of `judge` and of `Gate.call`."""
        origin = await self._gate.call(delivery, service.name, service.version)
        serves = await self._tenants.serves(origin.tenant, service.name)
        return self._admitted(service, delivery, origin, serves=serves)

    def _admitted(self, service: Service, delivery: Delivery, origin: Origin, *, serves: bool) -> Received:
        message = delivery.message
        if len(message.body) > MAX_BODY_BYTES:
            raise InvalidRequestError(f"the call has {len(message.body)} bytes, at most {MAX_BODY_BYTES} are allowed")
        request = CallRequest.from_json(decode(message.body))
        deadline = deadline_of(message)
        if deadline.is_spent:
            raise CallTimeoutError("the deadline had passed before the call was run")
        if not serves:
            raise ServiceNotFoundError(f"Service {service.name} not found or unavailable", tenant=origin.tenant)
        chain = read_chain(message.headers.get(CHAIN_HEADER))
        match = self._routers[service.name].match(request.method, request.path)
        mark = match.mark
        endpoint = self._endpoints[service.name][mark.method, mark.path]
        judge_permissions(origin, mark.permissions, myself=self._myself, endpoint=endpoint.name)
        context = Context.of(message.headers, chain=chain, deadline=deadline)
        return Received(delivery, service.name, origin, request, match, endpoint, context, deadline)


def refuse_second_run(message: Message) -> None:
    """Refuse a call that was handed out before, unless it may run twice; one that cannot be read may not.

    It comes before all else: other refusals promise that nothing was run, and some callers then call again.

    Raises:
        OutcomeUnknownError: It may have been run.
    """
    what = "a call that cannot be read"
    if len(message.body) <= MAX_BODY_BYTES:
        with suppress(InvalidRequestError, MalformedMessageError):
            request = CallRequest.from_json(decode(message.body))
            if request.method in REPEATABLE_METHODS:
                return
            what = f"{request.method} {request.path}"
    raise OutcomeUnknownError(f"{what} may have been run before; it is not run twice")


def deadline_of(message: Message) -> Deadline:
    """The smaller of what the caller had left when it published, and the moment it named on the wall clock."""
    budget = message.headers.get(BUDGET_HEADER)
    seconds = budget / 1000 if isinstance(budget, int | float) else LONGEST_TIMEOUT_SECONDS
    moment = message.headers.get(DEADLINE_HEADER)
    if isinstance(moment, int | float):
        seconds = min(seconds, moment / 1000 - time.time())
    return Deadline.after(min(seconds, LONGEST_TIMEOUT_SECONDS))

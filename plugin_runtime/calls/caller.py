"""A call from one end to the other: find the version, call it, within one deadline."""

import asyncio
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from contracts.calls import DEFAULT_TIMEOUT_SECONDS, FIRST_ERROR_STATUS, CallRequest, CallResult, Query, QueryValue
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    InvalidRequestError,
    RemoteError,
    ServiceNotFoundError,
    VersionMismatchError,
)
from plugin_runtime.calls.client import timed_out
from plugin_runtime.calls.remedy import Remedy, remedy
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline

log = structlog.get_logger()

QueryInput = Mapping[str, "QueryValue | list[QueryValue] | None"] | Query | None

NO_CONTEXT = Context()

PAUSE_SECONDS = (0.005, 0.03)
"""The shortest and the longest pause before a call is made again."""


class Discovery(Protocol):
    """Finds the version of a service that a tenant's call goes to."""

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        """The target; raises `UndeclaredDependencyError`, `ServiceNotFoundError` or `VersionMismatchError`."""

    async def catch_up(self, tenant: str, failed: Target, deadline: Deadline) -> bool:
        """Learn what is true now, after a call found nobody there; False when nobody says."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """Where a call wants to go, and until when."""

    tenant: str
    service: str
    range_: str | None
    deadline: Deadline


class Calls(Protocol):
    """Brings a call to a known service version and its answer back: `CallClient`, or the command line's own."""

    async def call(
        self, tenant: str, target: Target, request: CallRequest, *, deadline: Deadline, context: Context
    ) -> CallResult:
        """Call and wait for the reply; see `CallClient.call` for the errors."""


class Caller:
    """Calls services by name."""

    def __init__(self, client: Calls, discovery: Discovery) -> None:
        self._client = client
        self._discovery = discovery

    async def request(
        self,
        tenant: str,
        service: str,
        request: CallRequest,
        *,
        range_: str | None = None,
        timeout: float | None = None,
        context: Context = NO_CONTEXT,
    ) -> CallResult:
        """Call an endpoint and wait for the whole answer; see `ServiceClient.request`."""
        seconds = DEFAULT_TIMEOUT_SECONDS if timeout is None else timeout
        if not seconds > 0 or math.isinf(seconds):
            raise InvalidRequestError(f"timeout must be a number of seconds above 0, found {timeout}")
        deadline = Deadline.after(seconds).earlier(context.deadline)
        started = time.monotonic()
        if deadline.is_spent:
            raise timed_out(tenant, service, request, 0.0)
        try:
            return await self._call(_Wish(tenant, service, range_, deadline), request, context)
        except CallTimeoutError as error:
            # Said by ourselves; what the callee or a service behind it says of its deadline is told in our words.
            if error.details.get("service") == service:
                raise error.with_traceback(None) from None
            raise timed_out(tenant, service, request, time.monotonic() - started) from error
        except CodedError as error:
            # The way through the bus tells the program nothing: its traceback ends near its own line.
            raise error.with_traceback(None) from None

    async def _call(self, wish: _Wish, request: CallRequest, context: Context) -> CallResult:
        """Find and call; again where the failure was safe and another try may do better."""
        target = await self._find(wish)
        applied: list[Remedy] = []
        while True:
            try:
                return await self._client.call(wish.tenant, target, request, deadline=wish.deadline, context=context)
            except CodedError as error:
                step = remedy(error, callee=target.plugin, method=request.method, applied=applied)
                if step is None or not await self._apply(step, wish, target):
                    raise
                applied.append(step)
                try:
                    target = await self._find(wish)
                except (ServiceNotFoundError, VersionMismatchError):
                    raise error from None  # there is nowhere else to go: the failure stands
                log.info("call.repeated", service=wish.service, version=target.version, reason=error.code)

    async def _find(self, wish: _Wish) -> Target:
        return await self._discovery.find(wish.tenant, wish.service, wish.range_, wish.deadline)

    async def _apply(self, step: Remedy, wish: _Wish, failed: Target) -> bool:
        """Do what comes before another try; False when there is none to make."""
        if step is Remedy.ELSEWHERE:
            return True
        if not await self._discovery.catch_up(wish.tenant, failed, wish.deadline):
            return False
        # Many callers fail at the same moment when a version goes: they do not come back at the same moment.
        pause = random.uniform(*PAUSE_SECONDS)  # noqa: S311 - spreads load, guards nothing
        if wish.deadline.remaining_seconds <= pause:
            return False
        await asyncio.sleep(pause)
        return True

    async def ask(
        self,
        tenant: str,
        service: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: QueryInput = None,
        timeout: float | None = None,
        context: Context = NO_CONTEXT,
    ) -> Any:
        """Call an endpoint and return its data.

        Raises:
            RemoteError: The handler answered with a status of 400 or more.
        """
        request = CallRequest(method=method, path=path, query=Query.of(query), body=body)
        result = await self.request(tenant, service, request, timeout=timeout, context=context)
        return data_of(result, f"{method} {service} {path}")


def data_of(result: CallResult, what: str) -> Any:
    """A result's data; a status of 400 or more is raised as `RemoteError`, which carries both."""
    if result.status < FIRST_ERROR_STATUS:
        return result.data
    said = result.data.get("message") or result.data.get("error") if isinstance(result.data, dict) else result.data
    raise RemoteError(f"{what} answered {result.status}: {said}", status=result.status, data=result.data)

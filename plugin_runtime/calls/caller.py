"""A call from one end to the other: find the version, call it, again where that is safe, within one deadline."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import structlog
from pydantic import BaseModel

from contracts.calls import (
    DEFAULT_TIMEOUT_SECONDS,
    FIRST_ERROR_STATUS,
    LONGEST_TIMEOUT_SECONDS,
    CallRequest,
    CallResult,
    Query,
    QueryValue,
)
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    InvalidRequestError,
    RemoteError,
    ServiceNotFoundError,
    VersionMismatchError,
)
from plugin_runtime.calls.budget import RetryBudget
from plugin_runtime.calls.cached import CachedCalls, Calls
from plugin_runtime.calls.client import timed_out
from plugin_runtime.calls.remedy import DEFAULT_RETRIES, MOST_RETRIES, Remedy, pause_seconds, remedy
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline

log = structlog.get_logger()

QueryInput = Mapping[str, "QueryValue | list[QueryValue] | None"] | Query | BaseModel | None

NO_CONTEXT = Context()

PAUSE_SECONDS = (0.005, 0.03)
"""The shortest and the longest pause before a call goes to where the registry says now."""


class Discovery(Protocol):
    """Finds the version of a service that a tenant's call goes to."""

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        """The target; raises `UndeclaredDependencyError`, `ServiceNotFoundError` or `VersionMismatchError`."""

    async def catch_up(self, tenant: str, failed: Target, deadline: Deadline) -> bool:
        """Learn what is true now, after a call found nobody there; False when nobody says."""


class _Wish(NamedTuple):
    """Where a call wants to go, until when, and how it is to be made."""

    tenant: str
    service: str
    range_: str | None
    deadline: Deadline
    retries: int
    fresh: bool


class Caller:
    """Calls services by name.

    Args:
        client: Makes the calls.
        discovery: Finds the version that each goes to.
        retries: How often a call is made again where its callee took no more, unless the call says otherwise.
        cached: Has the answers that may be given again; without it none is kept.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        client: Calls,
        discovery: Discovery,
        *,
        retries: int = DEFAULT_RETRIES,
        cached: CachedCalls | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._retries = retries
        self._cached = cached
        self._clock = clock
        self._budget = RetryBudget(clock())

    async def request(
        self,
        tenant: str,
        service: str,
        request: CallRequest,
        *,
        range_: str | None = None,
        timeout: float | None = None,
        context: Context = NO_CONTEXT,
        retries: int | None = None,
        fresh: bool = False,
    ) -> CallResult:
        """Call an endpoint and wait for the whole answer; see `ServiceClient.request`."""
        deadline = Deadline.after(_seconds(timeout)).earlier(context.deadline)
        started = time.monotonic()
        if deadline.is_spent:
            raise timed_out(tenant, service, request, 0.0)
        wish = _Wish(
            tenant=tenant,
            service=service,
            range_=range_,
            deadline=deadline,
            retries=self._retries if retries is None else _checked(retries),
            fresh=fresh,
        )
        try:
            return await self._call(wish, request, context)
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
        self._budget.made()
        while True:
            try:
                # What can neither be kept nor end what is kept takes the short way.
                if self._cached is None or (target.caching is None and request.method == "GET"):
                    return await self._client.call(
                        wish.tenant, target, request, deadline=wish.deadline, context=context
                    )
                return await self._cached.call(
                    wish.tenant, target, request, deadline=wish.deadline, context=context, fresh=wish.fresh
                )
            except CodedError as error:
                step = remedy(error, callee=target.plugin, method=request.method, applied=applied, retries=wish.retries)
                if step is None or not await self._apply(step, wish, target, error, applied.count(Remedy.LATER)):
                    raise
                applied.append(step)
                try:
                    target = await self._find(wish)
                except (ServiceNotFoundError, VersionMismatchError):
                    raise error from None  # there is nowhere else to go: the failure stands
                log.info("call.repeated", service=wish.service, version=target.version, reason=error.code)

    async def _find(self, wish: _Wish) -> Target:
        return await self._discovery.find(wish.tenant, wish.service, wish.range_, wish.deadline)

    async def _apply(self, step: Remedy, wish: _Wish, failed: Target, error: CodedError, retried: int) -> bool:
        """Do what comes before another try; False when there is none to make."""
        if step is Remedy.ELSEWHERE:
            return True
        if step is Remedy.LATER:
            return await self._wait(wish, error, retried)
        if not await self._discovery.catch_up(wish.tenant, failed, wish.deadline):
            return False
        # Many callers fail at the same moment when a version goes: they do not come back at the same moment.
        pause = random.uniform(*PAUSE_SECONDS)  # noqa: S311 - spreads load, guards nothing
        if wish.deadline.remaining_seconds <= pause:
            return False
        await asyncio.sleep(pause)
        return True

    async def _wait(self, wish: _Wish, error: CodedError, retried: int) -> bool:
        """Wait as long as the callee asked for and a little more; False when deadline or budget do not allow it."""
        pause = pause_seconds(
            error,
            retried=retried,
            remaining_seconds=wish.deadline.remaining_seconds,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
        )
        if pause is None:
            return False
        if not self._budget.take(self._clock()):
            log.debug("call.retry_denied", service=wish.service, reason=error.code)
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


def _seconds(timeout: float | None) -> float:
    if timeout is None:
        return DEFAULT_TIMEOUT_SECONDS
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout <= LONGEST_TIMEOUT_SECONDS:
        most = f"at most {LONGEST_TIMEOUT_SECONDS:.0f}"
        raise InvalidRequestError(f"timeout must be a number of seconds above 0, {most}, found {timeout!r}")
    return timeout


def _checked(retries: int) -> int:
    if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= MOST_RETRIES:
        raise InvalidRequestError(f"retries must be a whole number from 0 to {MOST_RETRIES}, found {retries!r}")
    return retries

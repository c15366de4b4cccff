"""A call from one end to the other: find the version, call it, within one deadline."""

import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

from contracts.calls import DEFAULT_TIMEOUT_SECONDS, FIRST_ERROR_STATUS, CallRequest, CallResult, Query, QueryValue
from contracts.errors import CallTimeoutError, InvalidRequestError, RemoteError
from plugin_runtime.calls.client import Target, timed_out
from plugin_runtime.context import Context, Deadline

QueryInput = Mapping[str, "QueryValue | list[QueryValue] | None"] | Query | None

NO_CONTEXT = Context()


class Discovery(Protocol):
    """Finds the version of a service that a tenant's call goes to."""

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        """The target; raises `ServiceNotFoundError` or `VersionMismatchError`."""


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
            target = await self._discovery.find(tenant, service, range_, deadline)
            return await self._client.call(tenant, target, request, deadline=deadline, context=context)
        except CallTimeoutError as error:
            # Said by ourselves; what the callee or a service behind it says of its deadline is told in our words.
            if error.details.get("service") == service:
                raise
            raise timed_out(tenant, service, request, time.monotonic() - started) from error

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

"""A service of another plugin, as its caller holds it."""

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from pydantic import TypeAdapter

from contracts.calls import CallRequest, CallResult, Query, checked_headers
from contracts.errors import MalformedMessageError
from contracts.wire import told
from plugin_runtime.calls.caller import Caller, QueryInput, data_of
from plugin_runtime.context import Context
from plugin_runtime.typed.json_values import UnfitValueError, adapter_of, name_of, read_json

Model = TypeVar("Model")


class ServiceClient:
    """Calls the endpoints of one service for one tenant.

    Every method waits for the reply of the callee. Errors, beside those of the callee's own handler:

    * `UndeclaredDependencyError`: this plugin's manifest does not declare it; nothing was sent. The error carries the
      line to add to ``plugin.json``.
    * `ServiceNotFoundError`: nobody serves it in the tenant; known in milliseconds, nothing was run.
    * `VersionMismatchError`: it is there, but no installed version is in the declared range and in the given one.
    * `OverloadedError`: it takes no more calls now; nothing was run.
    * `RateLimitedError`: this plugin used up the calls per minute that it has there; nothing was run.
    * `EndpointNotFoundError`: it has no such method and path.
    * `CallTimeoutError`: no reply by the deadline; whether the call ran is unknown.
    * `ServiceUnavailableError`: the callee went away while it ran a GET, PUT or DELETE, and no other version is there.
    * `OutcomeUnknownError`: the callee went away while it ran a POST or PATCH.

    A call that surely was not run, since what this plugin knew of the service was behind (an upgrade is under way),
    is made again within its deadline, at most twice, whatever its method. GET, PUT and DELETE also go once more to
    another version when the last instance of the first one went. A call that its callee did not take (OVERLOADED,
    RATE_LIMITED with a short wait, SERVICE_UNAVAILABLE with nothing run) is made again later, see ``retries``.

    An answer to a GET is kept where the service's manifest allows it by ``cacheTTL`` (seconds), and answers equal GETs
    (tenant, version, path, query, headers) of this instance: ``result.metadata.cached`` tells. It ends early with a
    POST, PUT, PATCH or DELETE of this instance to the same service in the same tenant, when the service's plugin or
    this one is installed, upgraded or uninstalled there, and when announcements may have been missed. What others
    write does not end it.

    Cancelling the wait tells the callee, which then cancels the handler; whether it had an effect by then is unknown.
    """

    def __init__(self, caller: Caller, tenant: str, name: str, *, version: str | None, context: Context) -> None:
        self._caller = caller
        self._tenant = tenant
        self._name = name
        self._version = version
        self._context = context

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: QueryInput = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        retries: int | None = None,
        fresh: bool = False,
    ) -> CallResult:
        """Call an endpoint and return status, headers, data and metadata, whatever the status.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            path: Percent-encoded where needed, e.g. ``/contacts/42``.
            query: Text, numbers, booleans, or lists of them; None leaves a key out. A pydantic model stands for its
                fields under their names on the wire.
            body: Any JSON value, or what pydantic can turn into one: a model, a dataclass, a list of them.
            headers: The caller's own headers; names arrive in lower case.
            timeout: Seconds to wait, at most 3600; 30 when None. A call made by a handler never waits longer than its
                own caller.
            retries: How often a call that its callee did not take is made again, 0 to 10; the plugin's setting when
                None (``PLEXICA_RETRIES``, 2). All retries of a process are at most a tenth of its calls and ten more.
            fresh: Ask the callee though an answer is kept; the new answer is kept in its place.

        Raises:
            InvalidRequestError: ``timeout`` or ``retries`` is out of range; nothing was sent.
            CodedError: As listed above.
        """
        request = CallRequest(
            method=method, path=path, query=Query.of(query), headers=checked_headers(headers), body=body
        )
        return await self._caller.request(
            self._tenant,
            self._name,
            request,
            range_=self._version,
            timeout=timeout,
            context=self._context,
            retries=retries,
            fresh=fresh,
        )

    @overload
    async def get(self, path: str, *, reply: type[Model] | TypeAdapter[Model], **options: Any) -> Model: ...
    @overload
    async def get(self, path: str, *, reply: None = None, **options: Any) -> Any: ...
    async def get(self, path: str, *, reply: Any = None, **options: Any) -> Any:
        """GET and return the data, as ``reply`` when a type is given; options as for `request`.

        Args:
            path: As for `request`.
            reply: A model, ``list[Model]``, or any other type that pydantic knows; a ``TypeAdapter`` where a type
                checker takes no plain type, as for unions.
            options: As for `request`.

        Raises:
            RemoteError: The handler answered with a status of 400 or more.
            MalformedMessageError: The data does not fit ``reply``; the message names every place.
        """
        return await self._data("GET", path, reply, options)

    @overload
    async def post(self, path: str, *, reply: type[Model] | TypeAdapter[Model], **options: Any) -> Model: ...
    @overload
    async def post(self, path: str, *, reply: None = None, **options: Any) -> Any: ...
    async def post(self, path: str, *, reply: Any = None, **options: Any) -> Any:
        """POST and return the data; see `get`. Never run twice for one call."""
        return await self._data("POST", path, reply, options)

    @overload
    async def put(self, path: str, *, reply: type[Model] | TypeAdapter[Model], **options: Any) -> Model: ...
    @overload
    async def put(self, path: str, *, reply: None = None, **options: Any) -> Any: ...
    async def put(self, path: str, *, reply: Any = None, **options: Any) -> Any:
        """PUT and return the data; see `get`."""
        return await self._data("PUT", path, reply, options)

    @overload
    async def patch(self, path: str, *, reply: type[Model] | TypeAdapter[Model], **options: Any) -> Model: ...
    @overload
    async def patch(self, path: str, *, reply: None = None, **options: Any) -> Any: ...
    async def patch(self, path: str, *, reply: Any = None, **options: Any) -> Any:
        """PATCH and return the data; see `get`. Never run twice for one call."""
        return await self._data("PATCH", path, reply, options)

    @overload
    async def delete(self, path: str, *, reply: type[Model] | TypeAdapter[Model], **options: Any) -> Model: ...
    @overload
    async def delete(self, path: str, *, reply: None = None, **options: Any) -> Any: ...
    async def delete(self, path: str, *, reply: Any = None, **options: Any) -> Any:
        """DELETE and return the data; see `get`."""
        return await self._data("DELETE", path, reply, options)

    async def _data(self, method: str, path: str, reply: Any, options: dict[str, Any]) -> Any:
        what = f"{method} {self._name} {path}"
        data = data_of(await self.request(method, path, **options), what)
        if reply is None:
            return data
        try:
            return read_json(adapter_of(reply), data, reply, "reply")
        except UnfitValueError as error:
            text = f"{what} answered data that is no {name_of(reply)}: {told(error.problems)}"
            raise MalformedMessageError(text) from error

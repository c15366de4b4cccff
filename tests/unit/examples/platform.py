"""Plugins that call one another in memory, without a bus: enough to run their handlers, and no more."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

from pydantic import TypeAdapter

from contracts.calls import CallRequest, Query
from contracts.codec import decode, encode
from contracts.errors import RemoteError, ServiceNotFoundError, UnauthenticatedError
from plugin_runtime import Call, Deadline, Event, Plugin, Refusal, Reply, TenantClient
from plugin_runtime.typed.handlers import UnfitCall


class Platform:
    """Some plugins and what they said: events emitted, data shared."""

    def __init__(self, *plugins: Plugin) -> None:
        self._routers = {name: router for plugin in plugins for name, router in plugin.definition.routers().items()}
        self._listeners = [mark for plugin in plugins for mark in plugin.definition.marks]
        self.events: list[tuple[str, Any]] = []
        self.data: dict[tuple[str, str, str], Any] = {}
        self.data_is_down = False

    def tenant(self, name: str = "acme-corp") -> TenantClient:
        service = lambda service: Service(self, name, service)  # noqa: E731 - the whole of the client
        client = SimpleNamespace(id=name, service=service, emit=self._emit, data=Data(self, name))
        return cast("TenantClient", client)

    async def call(self, tenant: str, service: str, request: CallRequest) -> Reply:
        """What the handler answers, as it comes out of the wire."""
        if service not in self._routers:
            raise ServiceNotFoundError(f"Service {service} not found or unavailable")
        match = self._routers[service].match(request.method, request.path)
        call = Call(
            tenant=self.tenant(tenant),
            caller="plugin-test",
            method=request.method,
            path=request.path,
            query=request.query,
            body=decode(encode(request.body)),
            deadline=Deadline.after(30),
            request_id="r1",
        )
        try:
            answer = await match.mark.handler(call, **match.params)
        except UnfitCall as unfit:
            raise unfit.reason from None
        except Refusal as refusal:
            answer = Reply(refusal.data, status=refusal.status)
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        return Reply(decode(encode(reply.data)), reply.status, reply.headers)

    async def deliver(self, key: str, data: Any, *, tenant: str = "acme-corp") -> None:
        """Hand an event to those who subscribed to its very key."""
        for mark in self._listeners:
            if mark.pattern == key:
                await mark.handler(
                    Event(key=key, data=data, id="e1", publisher="plugin-crm", tenant=self.tenant(tenant))
                )

    async def _emit(self, key: str, data: Any) -> None:
        self.events.append((key, decode(encode(data))))


class Service:
    """A service of another plugin, as a handler calls it."""

    def __init__(self, platform: Platform, tenant: str, name: str) -> None:
        self._platform, self._tenant, self._name = platform, tenant, name

    async def request(self, method: str, path: str, *, query: Any = None, body: Any = None) -> Reply:
        request = CallRequest(method=method, path=path, query=Query.of(query), body=body)
        return await self._platform.call(self._tenant, self._name, request)

    async def get(self, path: str, *, query: Any = None, reply: Any = Any, timeout: float = 30) -> Any:
        del timeout
        answer = await self.request("GET", path, query=query)
        if answer.status >= 400:
            raise RemoteError(str(answer.data), status=answer.status, data=answer.data)
        return TypeAdapter(reply).validate_python(answer.data)


class Data:
    """Shared data of one tenant."""

    def __init__(self, platform: Platform, tenant: str) -> None:
        self._platform, self._tenant = platform, tenant

    async def set(self, namespace: str, key: str, value: Any, *, ttl: float) -> None:
        assert ttl > 0
        if self._platform.data_is_down:
            raise UnauthenticatedError("shared data is away")
        self._platform.data[self._tenant, namespace, key] = value


def ids(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]

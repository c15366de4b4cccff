"""A tenant without a bus: its calls are answered by the test, its events are kept, its shared data is a dictionary."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.calls import CallMetadata, CallRequest, CallResult, Query
from contracts.codec import decode, encode
from contracts.manifest import PluginManifest
from contracts.names import check_tenant, owner_of
from contracts.registry import TenantView
from plugin_runtime.calls.caller import NO_CONTEXT, Caller
from plugin_runtime.context import Context, Deadline
from plugin_runtime.data.watch import Watchers
from plugin_runtime.declarations import Declarations
from plugin_runtime.discovery import ServiceDiscovery
from plugin_runtime.incoming import Refusal, Reply
from plugin_runtime.plugin import Plugin
from plugin_runtime.registry_view import RegistryView
from plugin_runtime.tenant import Means, TenantClient
from plugin_runtime.testing.data import FakeData
from plugin_runtime.testing.events import FakePublisher
from plugin_runtime.testing.observed import PublishedEvent

NOBODY = PluginManifest.load({"id": "plugin-test", "name": "A test", "version": "0.0.0", "api": {}})
INSTANCE = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCall:
    """A call that a handler made of a `FakeTenant`."""

    service: str
    method: str
    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


class FakeTenant(TenantClient):
    """A tenant for one test of one handler; nothing leaves the process, nothing waits.

    Calls are answered as `answer` said; one that it did not foresee is an `AssertionError`, which names the call.
    Shared data is kept without its rules: no owner, no expiry, nobody is told of a change. There is no registry and
    there are no dependencies: what is about them needs `broker.testing`.

    Attributes:
        calls: The calls that were made, in order, but those for shared data.
        events: The events that were emitted, in order.
    """

    def __init__(self, id: str = "acme-corp", *, plugin: Plugin | None = None) -> None:  # noqa: A002 - the client's word
        """A tenant as ``plugin`` sees it; without one, any service may be called and any event emitted."""
        self.calls: list[MadeCall] = []
        self.events: list[PublishedEvent] = []
        manifest = plugin.manifest if plugin else NOBODY
        declared = Declarations(manifest.id, manifest.api.dependencies) if plugin else None
        self._caller = _CannedCaller(self.calls, declared)
        means = Means(
            manifest=manifest,
            instance=INSTANCE,
            caller=self._caller,
            publisher=FakePublisher(self.events, publisher=plugin.id if plugin else None),
            discovery=ServiceDiscovery(manifest, RegistryView(), _no_registry),
            data_watchers=Watchers(),
            announcement_watchers=Watchers(),
        )
        super().__init__(means, check_tenant(id))
        self.data = FakeData(self._caller, self.id, writer=manifest.id, instance=INSTANCE)

    def answer(self, service: str, method: str, path: str, answer: Any = None) -> None:
        """Answer a call from now on, however often it comes.

        Args:
            service: E.g. ``crm.contacts``.
            method: E.g. ``GET``.
            path: The whole path as the handler calls it, e.g. ``/contacts/42``; the query is not looked at.
            answer: The data, or a `Reply`, or an exception (a `Refusal` arrives as its status), or a function that
                takes the `MadeCall` and returns one of these; it may be a coroutine function.
        """
        self._caller.answers[service, method, path] = answer


class _CannedCaller(Caller):
    """Calls nobody: has the answers that the test gave; what could not be called is refused as by the bus."""

    def __init__(self, calls: list[MadeCall], declared: Declarations | None) -> None:
        self.answers: dict[tuple[str, str, str], Any] = {}
        self._declared = declared
        self._calls = calls

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
        """The answer that was given for service, method and path."""
        del tenant, range_, timeout, context, retries, fresh
        if self._declared is not None and self._declared.of(service) is None:
            raise self._declared.refusal(service)
        call = MadeCall(
            service=service,
            method=request.method,
            path=request.path,
            query=Query.of(request.query).to_json(),
            headers=dict(request.headers),
            body=decode(encode(request.body)),
        )
        self._calls.append(call)
        return _result(service, await self._answer(call))

    async def _answer(self, call: MadeCall) -> Any:
        place = (call.service, call.method, call.path)
        if place not in self.answers:
            known = ", ".join(f"{method} {service} {path}" for service, method, path in self.answers) or "none"
            raise AssertionError(
                f"the handler called {call.method} {call.service} {call.path}, for which the test has no answer; "
                f"it has: {known}"
            )
        answer = self.answers[place]
        if callable(answer) and not isinstance(answer, type):
            answer = answer(call)
        return await answer if inspect.isawaitable(answer) else answer


def _result(service: str, answer: Any) -> CallResult:
    if isinstance(answer, Refusal):
        answer = Reply(answer.data, status=answer.status)
    if isinstance(answer, BaseException):
        raise answer
    reply = answer if isinstance(answer, Reply) else Reply(answer)
    metadata = CallMetadata(
        plugin=owner_of(service), service=service, version="0.0.0", instance=INSTANCE, duration_seconds=0.0
    )
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return CallResult(status=reply.status, headers=headers, data=decode(encode(reply.data)), metadata=metadata)


async def _no_registry(tenant: str, service: str, deadline: Deadline) -> TenantView:
    del tenant, deadline
    raise AssertionError(f"the handler asked the registry for {service}; a FakeTenant has none: use broker.testing")

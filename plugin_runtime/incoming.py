"""What a handler is handed, and what it may answer with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol

from typing_extensions import TypeVar

from contracts.calls import Query
from contracts.events import ChangeKind
from plugin_runtime.context import Context, Deadline
from plugin_runtime.tenant import TenantClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as its handler sees it.

    Attributes:
        tenant: The tenant for whom the call is made; its clients carry deadline and request id on.
        caller: The plugin id of the caller.
        method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        path: The path as it was called.
        query: Text values, repeated keys kept.
        headers: The caller's own headers, names in lower case.
        body: Any JSON value.
        deadline: When the caller stops waiting.
        request_id: The id shared by all calls that one outer request set going.
        traceparent: The trace it belongs to (W3C Trace Context), for a tracing library; calls and events that the
            handler makes carry it on by themselves.
        redelivered: RabbitMQ handed this call out before; it may have run already (GET, PUT, DELETE only).
    """

    tenant: TenantClient
    caller: str
    method: str
    path: str
    query: Query = field(default_factory=Query)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    deadline: Deadline
    request_id: str
    traceparent: str | None = None
    redelivered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as its handler sees it. It may come twice: ``id`` is the same then.

    Attributes:
        key: What happened, without the tenant, e.g. ``crm.events.contact.created``.
        data: Any JSON value.
        id: Unique for the event; the same in every attempt.
        publisher: The plugin id of the publisher.
        tenant: The tenant in which it happened.
        attempt: 1 for the first.
        published_at: Seconds since the epoch.
        request_id: The id of the request that set it going.
        traceparent: The trace it belongs to, for a tracing library; what the handler sends carries it on by itself.
    """

    key: str
    data: Any
    id: str
    publisher: str
    tenant: TenantClient
    attempt: int = 1
    published_at: float | None = None
    request_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of shared data as its handler sees it.

    Attributes:
        kind: ``set``, ``deleted`` or ``expired``.
        value: The new value; None for ``deleted`` and ``expired``, and where ``value_omitted``.
        value_omitted: The value is larger than 32 KiB, or its namespace's owner does not let everybody read: fetch it
            with ``change.tenant.data.get``.
        owner: The plugin id of the last writer.
        revision: Grows by one with every change in the namespace.
        id: Unique for the change; the same in every attempt.
    """

    kind: ChangeKind
    namespace: str
    key: str
    value: Any
    value_omitted: bool
    owner: str
    revision: int
    id: str
    tenant: TenantClient
    attempt: int = 1


Data = TypeVar("Data", default=Any)


@dataclass(frozen=True, slots=True)
class Reply(Generic[Data]):
    """A handler's answer with a status or headers of its own; a plain return value means status 200.

    A handler that returns ``Reply[Contact]`` has its data checked and written as a ``Contact``, unless the status is
    400 or more; the data of a plain ``Reply`` goes out as it is.
    """

    data: Data = None  # type: ignore[assignment]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A handler's own refusal: the caller receives `status` and the data, and nothing is logged as a fault.

    ``raise Refusal(404, "Contact not found", id="42")`` answers ``{"error": "Contact not found", "id": "42"}``.
    """

    def __init__(self, status: int, error: str, **details: Any) -> None:
        self.status = status
        self.data = {"error": error, **details}
        super().__init__(f"{status} {error}")


class Tenants(Protocol):
    """The tenants that this plugin serves, and their clients."""

    async def serves(self, tenant: str, service: str) -> bool:
        """Whether calls to a service for the tenant are answered here, or will be within a moment."""

    def serves_now(self, tenant: str, service: str) -> bool | None:
        """The same by what is known here; None where that may change within a moment, and `serves` decides."""

    async def hears(self, tenant: str) -> bool:
        """Whether events of the tenant are handled here, or will be within a moment."""

    def client(self, tenant: str, context: Context) -> TenantClient:
        """The tenant as a handler sees it."""

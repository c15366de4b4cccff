"""Calls, events and changes made by hand, so that a test runs a handler as the plain function it is."""

from collections.abc import Mapping
from typing import Any

from contracts.calls import Query
from contracts.codec import decode, encode
from contracts.events import ChangeKind
from contracts.ids import new_id
from contracts.names import check_event_key, owner_of
from plugin_runtime.calls.caller import QueryInput
from plugin_runtime.context import Deadline
from plugin_runtime.incoming import Call, Change, Event
from plugin_runtime.tenant import TenantClient
from plugin_runtime.testing.tenant import FakeTenant

TENANT = "acme-corp"
CALLER = "plugin-test"
CALL_SECONDS = 30.0


def make_call(
    tenant: TenantClient | str = TENANT,
    *,
    method: str = "GET",
    path: str = "/",
    query: QueryInput = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    caller: str = CALLER,
    timeout: float = CALL_SECONDS,
    request_id: str | None = None,
    redelivered: bool = False,
) -> Call:
    """A call as a handler gets it: ``await get_contact(make_call(), id="42")``.

    Nothing routes, so path parameters are given to the handler by the test.

    Args:
        tenant: A `FakeTenant` with the answers that the handler needs, or the name of one without any.
        method: As the handler would see it.
        path: As the handler would see it.
        query: As a caller gives it: numbers become text.
        headers: Names become lower case.
        body: Any JSON value, or what pydantic can turn into one; the handler gets it as it comes out of the wire.
        caller: The plugin id of the caller.
        timeout: Seconds until the deadline.
        request_id: A new one when None.
        redelivered: Whether RabbitMQ handed the call out before.

    Raises:
        InvalidRequestError: The body is no JSON value.
    """
    return Call(
        tenant=_tenant(tenant),
        caller=caller,
        method=method,
        path=path,
        query=Query.of(query),
        headers={name.lower(): value for name, value in (headers or {}).items()},
        body=decode(encode(body)),
        deadline=Deadline.after(timeout),
        request_id=request_id or new_id(),
        redelivered=redelivered,
    )


def make_event(
    key: str,
    data: Any = None,
    *,
    tenant: TenantClient | str = TENANT,
    publisher: str | None = None,
    id: str | None = None,  # noqa: A002 - the event's own word
    attempt: int = 1,
    published_at: float | None = None,
    request_id: str | None = None,
) -> Event:
    """An event as a handler gets it: ``await welcome(make_event("crm.events.contact.created", {"contactId": "1"}))``.

    Args:
        key: E.g. ``crm.events.contact.created``.
        data: Any JSON value, or what pydantic can turn into one; the handler gets it as it comes out of the wire.
        tenant: A `FakeTenant` with the answers that the handler needs, or the name of one without any.
        publisher: The plugin that owns the key when None.
        id: A new one when None.
        attempt: 1 for the first.
        published_at: Seconds since the epoch.
        request_id: A new one when None.

    Raises:
        ValueError: The key is not a key.
        InvalidRequestError: The data is no JSON value.
    """
    return Event(
        key=check_event_key(key),
        data=decode(encode(data)),
        id=id or new_id(),
        publisher=publisher or owner_of(key),
        tenant=_tenant(tenant),
        attempt=attempt,
        published_at=published_at,
        request_id=request_id or new_id(),
    )


def make_change(
    namespace: str,
    key: str,
    value: Any = None,
    *,
    kind: ChangeKind = "set",
    tenant: TenantClient | str = TENANT,
    owner: str | None = None,
    revision: int = 1,
    value_omitted: bool = False,
    attempt: int = 1,
) -> Change:
    """A change of shared data as a handler gets it; the arguments are the fields of `Change`.

    Raises:
        InvalidRequestError: The value is no JSON value.
    """
    return Change(
        kind=kind,
        namespace=namespace,
        key=key,
        value=decode(encode(value)),
        value_omitted=value_omitted,
        owner=owner or owner_of(namespace),
        revision=revision,
        id=new_id(),
        tenant=_tenant(tenant),
        attempt=attempt,
    )


def _tenant(tenant: TenantClient | str) -> TenantClient:
    return FakeTenant(tenant) if isinstance(tenant, str) else tenant

"""Events out: published with confirm."""

import time
from typing import Any

from contracts.codec import CALLER_HEADER, EVENT_HEADER, GRANT_HEADER, REQUEST_HEADER, TENANT_HEADER, encode
from contracts.errors import InvalidRequestError, PermissionDeniedError
from contracts.ids import new_id
from contracts.names import NO_TENANT, check_event_key, owner_of, short_name
from contracts.topology import Topology
from contracts.tracing import trace_headers
from plugin_runtime.calls.client import Tokens
from plugin_runtime.context import Context, Deadline
from plugin_runtime.events.published_keys import PublishedKeys
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS, Message, Transport


class EventPublisher:
    """Publishes one plugin's events.

    Args:
        tokens: The grants of this plugin.
        keys: Warns of keys that the manifest does not declare.
    """

    def __init__(self, transport: Transport, topology: Topology, *, tokens: Tokens, keys: PublishedKeys) -> None:
        self._transport = transport
        self._topology = topology
        self._tokens = tokens
        self._keys = keys

    async def emit(
        self,
        tenant: str,
        key: str,
        data: Any,
        *,
        context: Context,
        event_id: str | None = None,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> str:
        """Publish an event and wait until RabbitMQ confirms that it has it; whether anyone listens is not said.

        Args:
            tenant: In which it happened.
            key: E.g. ``crm.events.contact.created``; the first word is the plugin's own name.
            data: Any JSON value, or what pydantic can turn into one.
            context: The request that set it going.
            event_id: Give the same id when publishing an event again after an unknown outcome.
            timeout: Seconds to wait for the confirm, and before that for a grant where none is held.

        Returns:
            The event's id.

        Raises:
            InvalidRequestError: The key is not a key, or the data is no JSON value.
            PermissionDeniedError: The key begins with another plugin's name, or this plugin is not installed in the
                tenant.
            TenantNotFoundError: There is no such tenant.
            CallTimeoutError: No grant is held for the tenant, and the broker did not answer.
            UnconfirmedPublishError: No confirm in time; it may have been stored.
            NotConnectedError: RabbitMQ is away; if the connection was lost before the confirm, it may have been stored.
        """
        body = encode(data)
        if tenant == NO_TENANT:
            raise InvalidRequestError("Tenant ID required")
        check_own_key(self._transport.identity, key)
        self._keys.look_at(key)
        grant = await self._tokens.token(tenant, Deadline.after(timeout))
        identity, request_id = event_id or new_id(), context.request_id or new_id()
        message = Message(
            body=body,
            type="event",
            message_id=new_id(),
            headers={
                TENANT_HEADER: tenant,
                CALLER_HEADER: self._transport.identity,
                GRANT_HEADER: grant,
                EVENT_HEADER: identity,
                REQUEST_HEADER: request_id,
                **trace_headers(context.traceparent, context.tracestate, request_id),
            },
            timestamp=int(time.time()),
        )
        routing_key = self._topology.tenant_key(tenant, key)
        await self._transport.publish(
            message, exchange=self._topology.events, routing_key=routing_key, mandatory=False, timeout=timeout
        )
        return identity


def check_own_key(plugin: str, key: str) -> None:
    """A plugin publishes events whose key begins with its own short name, and no others.

    Raises:
        InvalidRequestError: The key is not a key.
        PermissionDeniedError: The key begins with another plugin's name.
    """
    try:
        check_event_key(key)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    if owner_of(key) != plugin:
        raise PermissionDeniedError(
            f"{plugin} may only publish events that begin with '{short_name(plugin)}.', not '{key}'"
        )

"""Events of a fake tenant: a list."""

from typing import Any

from contracts.codec import decode, encode
from contracts.ids import new_id
from contracts.names import owner_of
from plugin_runtime.context import Context
from plugin_runtime.events.publisher import EventPublisher, check_own_key
from plugin_runtime.testing.observed import PublishedEvent
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS


class FakePublisher(EventPublisher):
    """Keeps events instead of publishing them; a key that could not be published is refused as by the bus."""

    def __init__(self, events: list[PublishedEvent], *, publisher: str | None) -> None:
        self._events = events
        self._publisher = publisher

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
        """Keep an event.

        Raises:
            InvalidRequestError: The key is not a key, or the data is no JSON value.
            PermissionDeniedError: The key begins with another plugin's name.
        """
        del context, timeout
        publisher = self._publisher or owner_of(key)
        check_own_key(publisher, key)
        event = PublishedEvent(
            key=key, tenant=tenant, data=decode(encode(data)), publisher=publisher, id=event_id or new_id()
        )
        self._events.append(event)
        return event.id

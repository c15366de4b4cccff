"""What decorators store: endpoints and subscriptions as frozen marks, and nothing more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from contracts.errors import DuplicateEndpointError, InvalidEndpointError
from contracts.manifest import Endpoint, Service
from plugin_runtime.signatures import check_endpoint_handler, handler_types
from plugin_runtime.typed.handlers import Handler, HandlerTypes

Function = TypeVar("Function", bound=Handler)


@dataclass(frozen=True, slots=True)
class EndpointMark:
    """A handler, the method and path it answers, and the permissions that its caller must hold.

    Attributes:
        handler: Takes the call and the path's texts; where the author's function declares types, it stands inside.
        types: What the author's function declares.
    """

    method: str
    path: str
    handler: Handler
    permissions: tuple[str, ...] = ()
    types: HandlerTypes | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionMark:
    """A handler and what it wants to hear."""

    name: str
    source: Literal["events", "data"]
    pattern: str
    broadcast: bool
    handler: Handler


class ServiceDefinition:
    """The handlers of one service; every decorator returns its function unchanged, so that a test can call it."""

    def __init__(self, plugin: str, service: Service) -> None:
        self._plugin = plugin
        self.service = service
        self.endpoints: list[EndpointMark] = []

    @property
    def name(self) -> str:
        """The service's name, e.g. ``crm.contacts``."""
        return self.service.name

    def get(self, path: str) -> Callable[[Function], Function]:
        """The handler answers ``GET path``; it may be run twice."""
        return self._endpoint("GET", path)

    def post(self, path: str) -> Callable[[Function], Function]:
        """The handler answers ``POST path``; it is never run twice for one call."""
        return self._endpoint("POST", path)

    def put(self, path: str) -> Callable[[Function], Function]:
        """The handler answers ``PUT path``; it may be run twice."""
        return self._endpoint("PUT", path)

    def patch(self, path: str) -> Callable[[Function], Function]:
        """The handler answers ``PATCH path``; it is never run twice for one call."""
        return self._endpoint("PATCH", path)

    def delete(self, path: str) -> Callable[[Function], Function]:
        """The handler answers ``DELETE path``; it may be run twice."""
        return self._endpoint("DELETE", path)

    def _endpoint(self, method: str, path: str) -> Callable[[Function], Function]:
        declared = self._declared(method, path)
        if declared is None:
            listed = ", ".join(f"{item.method} {item.path}" for item in self.service.endpoints)
            raise InvalidEndpointError(
                f"{self._plugin}: {self.name} has a handler for {method} {path}, which the manifest does not list; "
                f"it lists {listed}"
            )

        def store(function: Function) -> Function:
            place = {"plugin": self._plugin, "service": self.name, "method": method, "path": path}
            check_endpoint_handler(function, **place)
            types = handler_types(function, **place)
            if any(mark.method == method and mark.path == path for mark in self.endpoints):
                raise DuplicateEndpointError(f"{self._plugin}: {self.name} {method} {path} has two handlers")
            mark = EndpointMark(method, path, types.around(function), declared.permissions, types)
            self.endpoints.append(mark)
            return function

        return store

    def _declared(self, method: str, path: str) -> Endpoint | None:
        return next((item for item in self.service.endpoints if item.method == method and item.path == path), None)

    def check_complete(self) -> None:
        """Every endpoint of the manifest has a handler.

        Raises:
            InvalidEndpointError: Names the service and every endpoint without one.
        """
        handled = {(mark.method, mark.path) for mark in self.endpoints}
        missing = [
            f"{item.method} {item.path}" for item in self.service.endpoints if (item.method, item.path) not in handled
        ]
        if missing:
            raise InvalidEndpointError(
                f"{self._plugin}: {self.name} lists endpoints that no handler answers: {', '.join(missing)}"
            )

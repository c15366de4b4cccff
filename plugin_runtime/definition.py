"""What a plugin's author defined: the manifest and the marks, verified against one another."""

from dataclasses import dataclass, field

from contracts.errors import InvalidEndpointError, InvalidSubscriptionError, did_you_mean
from contracts.manifest import Endpoint, PluginManifest
from contracts.names import check_pattern, check_subscription, subscription_name
from contracts.registry import Subscription
from plugin_runtime.calls.routing import Router
from plugin_runtime.marks import ServiceDefinition, SubscriptionMark
from plugin_runtime.typed.described import described
from plugin_runtime.typed.schemas import Schema


@dataclass(slots=True)
class Definition:
    """The manifest, the services' handlers and the subscriptions of one plugin."""

    manifest: PluginManifest
    services: dict[str, ServiceDefinition] = field(default_factory=dict)
    marks: list[SubscriptionMark] = field(default_factory=list)

    def service(self, name: str) -> ServiceDefinition:
        """The service of that name, on which handlers are put.

        Raises:
            InvalidEndpointError: The manifest lists no such service.
        """
        declared = self.manifest.service(name)
        if declared is None:
            known = [item.name for item in self.manifest.api.services]
            raise InvalidEndpointError(
                f"{self.manifest.id}: the manifest lists no service '{name}'{did_you_mean(name, known)}"
            )
        return self.services.setdefault(name, ServiceDefinition(self.manifest.id, declared))

    def subscribe(self, mark: SubscriptionMark) -> None:
        """Keep a subscription.

        Raises:
            InvalidSubscriptionError: Its pattern or name breaks a rule, or the name is taken.
        """
        place = f"{self.manifest.id}: subscription to '{mark.pattern}'"
        try:
            check_pattern(mark.pattern)
            check_subscription(mark.name)
        except ValueError as error:
            raise InvalidSubscriptionError(f"{place}: {error}") from error
        if any(other.name == mark.name for other in self.marks):
            raise InvalidSubscriptionError(f"{place}: the name '{mark.name}' is taken; give another with name=...")
        self.marks.append(mark)

    def subscriptions(self) -> tuple[Subscription, ...]:
        """What the broker is told of the subscriptions."""
        return tuple(
            Subscription(name=mark.name, source=mark.source, pattern=mark.pattern, broadcast=mark.broadcast)
            for mark in self.marks
        )

    def routers(self) -> dict[str, Router]:
        """A router for each service."""
        return {name: Router(name, service.endpoints) for name, service in self.services.items()}

    def described(self) -> PluginManifest:
        """The manifest as it is registered: with the JSON Schemas of the handlers where it says none itself.

        Raises:
            InvalidEndpointError: It is too large with them, and the message names the largest; or a type has none.
        """
        return described(self.manifest, self.schemas_of)

    def schemas_of(self, service: str, endpoint: Endpoint) -> dict[str, Schema]:
        """The JSON Schemas of an endpoint's handler by their keys in the manifest; none where it declares no types.

        Raises:
            InvalidEndpointError: A type has none.
        """
        marks = self.services[service].endpoints if service in self.services else ()
        for mark in marks:
            if (mark.method, mark.path) == (endpoint.method, endpoint.path) and mark.types is not None:
                try:
                    return mark.types.schemas()
                except ValueError as error:
                    place = f"{self.manifest.id}: {service} {mark.method} {mark.path}"
                    raise InvalidEndpointError(f"{place}: {error}") from error
        return {}

    def verify(self) -> None:
        """Every service and endpoint of the manifest has its handler; nothing has connected yet.

        Raises:
            InvalidEndpointError: Names the first service with endpoints that no handler answers.
        """
        for declared in self.manifest.api.services:
            self.service(declared.name).check_complete()


def default_name(handler_name: str, name: str | None) -> str:
    """The subscription's name: the one given, else the handler's own with hyphens."""
    return name if name is not None else subscription_name(handler_name)

"""The tenant's view: calls, events, data, registry and dependencies of one tenant."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from contracts.errors import PluginMismatchError
from contracts.events import DataChange
from contracts.manifest import PluginManifest
from contracts.names import owner_of
from contracts.registry import Announcement
from plugin_runtime.calls.caller import NO_CONTEXT, Caller
from plugin_runtime.context import Context
from plugin_runtime.data.client import DataClient
from plugin_runtime.data.watch import Watchers
from plugin_runtime.discovery import ServiceDiscovery
from plugin_runtime.events.publisher import EventPublisher
from plugin_runtime.registry_client import DependencyClient, RegistryClient
from plugin_runtime.service_client import ServiceClient
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What tenant clients work with; one for each running instance."""

    manifest: PluginManifest
    instance: str
    caller: Caller
    publisher: EventPublisher
    discovery: ServiceDiscovery
    data_watchers: Watchers[DataChange]
    announcement_watchers: Watchers[Announcement]


class TenantClient:
    """Everything a plugin can do for one tenant.

    Attributes:
        id: The tenant's name, e.g. ``acme-corp``.
    """

    def __init__(self, means: Means, tenant: str, context: Context = NO_CONTEXT) -> None:
        self.id = tenant
        self._means = means
        self._context = context

    def __repr__(self) -> str:
        return f"<tenant {self.id}>"

    # Made when they are asked for: every call and event has a tenant, and few handlers use all of it.

    @cached_property
    def data(self) -> DataClient:
        """Values shared between the tenant's plugins."""
        means = self._means
        return DataClient(
            means.caller, self.id, context=self._context, instance=means.instance, watchers=means.data_watchers
        )

    @cached_property
    def registry(self) -> RegistryClient:
        """Who offers what."""
        means = self._means
        return RegistryClient(
            means.caller,
            self.id,
            context=self._context,
            instance=means.instance,
            discovery=means.discovery,
            watchers=means.announcement_watchers,
        )

    @cached_property
    def dependencies(self) -> DependencyClient:
        """What depends on what, install and uninstall."""
        means = self._means
        return DependencyClient(
            means.caller, self.id, context=self._context, discovery=means.discovery, version=means.manifest.version
        )

    def service(self, name: str, version: str | None = None, *, plugin: str | None = None) -> ServiceClient:
        """A client of a service.

        Args:
            name: E.g. ``crm.contacts``.
            version: An npm range that narrows the one this plugin declares; both hold.
            plugin: The plugin that is meant to offer it, e.g. ``plugin-crm``; the name says it anyway.

        Raises:
            PluginMismatchError: The service belongs to another plugin than ``plugin``; details: ``owner``.
        """
        if plugin is not None and plugin != owner_of(name):
            text = f"Service {name} belongs to {owner_of(name)}, not to {plugin}"
            raise PluginMismatchError(text, service=name, owner=owner_of(name))
        return ServiceClient(self._means.caller, self.id, name, version=version, context=self._context)

    async def emit(
        self, key: str, data: Any, *, event_id: str | None = None, timeout: float = PUBLISH_TIMEOUT_SECONDS
    ) -> str:
        """Publish an event and wait for RabbitMQ's confirm; see `EventPublisher.emit` for arguments and errors."""
        return await self._means.publisher.emit(
            self.id, key, data, context=self._context, event_id=event_id, timeout=timeout
        )

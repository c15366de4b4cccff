"""The tenant's view: calls, events, data, registry and dependencies of one tenant."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from contracts.events import DataChange
from contracts.manifest import PluginManifest
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

ANNOUNCEMENT_SECONDS = 1.0
"""How long an announcement of the broker may lag behind what it announces."""


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
        data: Values shared between the tenant's plugins.
        registry: Who offers what.
        dependencies: What depends on what, install and uninstall.
    """

    def __init__(self, means: Means, tenant: str, context: Context = NO_CONTEXT) -> None:
        self.id = tenant
        self._means = means
        self._context = context
        self.data = DataClient(
            means.caller, tenant, context=context, instance=means.instance, watchers=means.data_watchers
        )
        self.registry = RegistryClient(
            means.caller,
            tenant,
            context=context,
            instance=means.instance,
            discovery=means.discovery,
            watchers=means.announcement_watchers,
        )
        self.dependencies = DependencyClient(means.caller, tenant, context=context)

    def __repr__(self) -> str:
        return f"<tenant {self.id}>"

    def service(self, name: str, version: str | None = None) -> ServiceClient:
        """A client of a service.

        Args:
            name: E.g. ``crm.contacts``.
            version: An npm range; the one this plugin's manifest declares when None.
        """
        return ServiceClient(self._means.caller, self.id, name, version=version, context=self._context)

    async def emit(
        self, key: str, data: Any, *, event_id: str | None = None, timeout: float = PUBLISH_TIMEOUT_SECONDS
    ) -> str:
        """Publish an event and wait for RabbitMQ's confirm; see `EventPublisher.emit` for arguments and errors."""
        return await self._means.publisher.emit(
            self.id, key, data, context=self._context, event_id=event_id, timeout=timeout
        )


class TenantSet:
    """The tenants in which this plugin is installed, as registration and announcements tell."""

    def __init__(self, means: Means, *, everywhere: bool = False) -> None:
        self._means = means
        self._everywhere = everywhere
        self._tenants: set[str] = set()
        self._foreign: set[str] = set()
        self._changed = asyncio.Event()

    def __contains__(self, tenant: str) -> bool:
        return self._everywhere or tenant in self._tenants

    async def admits(self, tenant: str) -> bool:
        """Whether the plugin serves the tenant; the broker serves all, and messages without one.

        What is published right after an installation may overtake the installation's announcement, since they come
        by different queues: for a tenant that is not known, that is waited for, a moment and in vain only once.
        """
        if tenant in self or tenant in self._foreign:
            return tenant in self
        with suppress(TimeoutError):
            async with asyncio.timeout(ANNOUNCEMENT_SECONDS):
                while tenant not in self:
                    await self._changed.wait()
        if tenant not in self:
            self._foreign.add(tenant)
        return tenant in self

    def replace(self, tenants: Iterable[str]) -> None:
        """These and no others."""
        self._tenants = set(tenants)
        self._foreign.clear()
        self._tell_changed()

    def add(self, tenant: str) -> None:
        """The plugin was installed there."""
        self._tenants.add(tenant)
        self._foreign.discard(tenant)
        self._tell_changed()

    def discard(self, tenant: str) -> None:
        """The plugin was uninstalled there."""
        self._tenants.discard(tenant)

    def _tell_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def client(self, tenant: str, context: Context = NO_CONTEXT) -> TenantClient:
        """The tenant as a handler sees it."""
        return TenantClient(self._means, tenant, context)

"""The tenants in which this plugin is installed, as registration and announcements tell."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from contracts.manifest import PluginManifest
from contracts.registry import PluginAnnouncement, RegisterAnswer
from plugin_runtime.calls.caller import NO_CONTEXT
from plugin_runtime.context import Context
from plugin_runtime.grants import Grants
from plugin_runtime.tenant import Means, TenantClient

ANNOUNCEMENT_SECONDS = 1.0
"""How long a message for an unknown tenant waits for the announcement that would explain it."""


class Membership:
    """A set of tenants that grows and shrinks by announcements."""

    def __init__(self) -> None:
        self._tenants: set[str] = set()
        self._foreign: set[str] = set()
        self._changed = asyncio.Event()

    def __contains__(self, tenant: str) -> bool:
        return tenant in self._tenants

    def admits_now(self, tenant: str) -> bool | None:
        """Whether the tenant is in the set; None where `admits` would wait for a moment."""
        if tenant in self._tenants:
            return True
        return False if tenant in self._foreign else None

    async def admits(self, tenant: str) -> bool:
        """Whether the tenant is in the set, or comes into it within a moment.

        What is published right after an installation may overtake the installation's announcement, since they come
        by different queues: for a tenant that is not known, that is waited for, and in vain only once.
        """
        found = self.admits_now(tenant)
        if found is not None:
            return found
        with suppress(TimeoutError):
            async with asyncio.timeout(ANNOUNCEMENT_SECONDS):
                while tenant not in self._tenants:
                    await self._changed.wait()
        if tenant not in self._tenants:
            self._foreign.add(tenant)
        return tenant in self._tenants

    def replace(self, tenants: Iterable[str]) -> None:
        """These and no others."""
        self._tenants = set(tenants)
        self._foreign.clear()
        self._tell_changed()

    def change(self, tenant: str, *, is_in: bool) -> None:
        """The tenant comes in or stays, or it goes."""
        if not is_in:
            self._tenants.discard(tenant)
            return
        self._tenants.add(tenant)
        self._foreign.discard(tenant)
        self._tell_changed()

    def _tell_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Installations:
    """Where this plugin answers calls, and where it hears events.

    Queues are shared by versions of the plugin, and RabbitMQ hands a message to any of their instances: one that
    refused it because its own version is not the one installed would lose what its neighbour could handle. A service's
    queue is shared by all versions that offer the service at the same version, so its calls are answered wherever any
    of these is installed; a subscription's by all versions, so its events are handled wherever any version is.
    """

    def __init__(self, manifest: PluginManifest, means: Means, grants: Grants, *, everywhere: bool = False) -> None:
        self._grants = grants
        self._manifest = manifest
        self._means = means
        self._everywhere = everywhere
        self._serving = {service.name: Membership() for service in manifest.api.services}
        self._hearing = Membership()

    async def serves(self, tenant: str, service: str) -> bool:
        """Whether calls to an own service are answered for the tenant; the broker answers for all, and for none."""
        return self._everywhere or await self._serving[service].admits(tenant)

    def serves_now(self, tenant: str, service: str) -> bool | None:
        """The same by what is known here; None where that may change within a moment, and `serves` decides."""
        return self._everywhere or self._serving[service].admits_now(tenant)

    async def hears(self, tenant: str) -> bool:
        """Whether events of the tenant are handled."""
        return self._everywhere or await self._hearing.admits(tenant)

    def replace(self, answer: RegisterAnswer) -> None:
        """Begin again from a registration."""
        for service, tenants in self._serving.items():
            tenants.replace(answer.serving.get(service, ()))
        self._hearing.replace((*answer.tenants, *answer.heard_tenants))
        self._grants.begin(answer)

    def apply(self, announcement: PluginAnnouncement) -> None:
        """Take an announcement in."""
        if announcement.plugin_id != self._manifest.id:
            return
        tenant = announcement.tenant
        self._grants.drop(tenant)  # what it says is over: there is none now, or one with other permissions
        self._hearing.change(tenant, is_in=bool(announcement.remaining))
        for service in self._manifest.api.services:
            self._serving[service.name].change(tenant, is_in=service.id in announcement.offers)

    def client(self, tenant: str, context: Context = NO_CONTEXT) -> TenantClient:
        """The tenant as a handler sees it."""
        return TenantClient(self._means, tenant, context)

"""The cached view of the registry: filled at registration, kept right by announcements, never by polling."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from contracts.discovery import choose
from contracts.errors import CallTimeoutError, InvalidRequestError, ServiceUnavailableError, TransportError
from contracts.manifest import PluginManifest
from contracts.names import SYSTEM_PLUGIN, check_service_name
from contracts.registry import (
    DATA_SERVICE,
    DEPENDENCIES_SERVICE,
    PLUGINS_SERVICE,
    REGISTRY_SERVICE,
    SYSTEM_VERSION,
    TENANTS_SERVICE,
    Announcement,
    PluginAnnouncement,
    PresenceAnnouncement,
    ServiceAnnouncement,
    ServiceRecord,
    TenantView,
)
from contracts.versions import check_range
from plugin_runtime.calls.client import Target
from plugin_runtime.context import Deadline

log = structlog.get_logger()

SYSTEM_SERVICES = frozenset({DATA_SERVICE, DEPENDENCIES_SERVICE, PLUGINS_SERVICE, REGISTRY_SERVICE, TENANTS_SERVICE})
ASK_SECONDS = 5.0
TRUST_STALE_SECONDS = 5.0


class AskBroker(Protocol):
    """How the broker is asked for all installed versions of a service in a tenant."""

    async def __call__(self, tenant: str, service: str, deadline: Deadline) -> TenantView: ...  # noqa: D102


@dataclass(slots=True)
class _Entry:
    """What is known of one service in one tenant; stale until somebody asks again."""

    records: dict[str, ServiceRecord]
    is_fresh: bool = True
    ask_again_at: float = 0.0


class RegistryView:
    """The versions of each service in each tenant, as the announcements so far tell. Pure."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._revision = 0
        self._promised = 0

    def get(self, tenant: str, service: str) -> _Entry | None:
        """What is known, or None when nothing ever was."""
        return self._entries.get((tenant, service))

    def put(self, tenant: str, service: str, records: Iterable[ServiceRecord]) -> _Entry:
        """Remember what the broker said."""
        entry = _Entry({record.version: record for record in records})
        self._entries[tenant, service] = entry
        return entry

    def reset(self, views: Iterable[TenantView], services: Iterable[str], revision: int) -> None:
        """Begin again from a registration: what it shows is fresh, everything else is stale."""
        self._revision = self._promised = revision
        self.mark_stale()
        wanted = list(services)
        for view in views:
            for service in wanted:
                self.put(view.tenant, service, (item for item in view.services if item.service_name == service))

    def mark_stale(self, *, tenant: str | None = None, plugin: str | None = None) -> None:
        """What is known must be asked for again: all of it, or a plugin's services in a tenant."""
        for (entry_tenant, service), entry in self._entries.items():
            is_tenants = tenant is None or entry_tenant == tenant
            is_plugins = plugin is None or service.startswith(plugin.removeprefix("plugin-") + ".")
            if is_tenants and is_plugins:
                entry.is_fresh = False
                entry.ask_again_at = 0.0

    def apply(self, announcement: Announcement) -> None:
        """Take an announcement in; a gap in the revisions means that one was missed, so all is stale."""
        if announcement.revision <= self._revision:
            return
        if announcement.revision != self._revision + 1:
            self.mark_stale()
        self._revision = announcement.revision
        if isinstance(announcement, ServiceAnnouncement):
            self._replace(announcement.service)
        elif isinstance(announcement, PluginAnnouncement):
            self.mark_stale(tenant=announcement.tenant, plugin=announcement.plugin_id)
        elif isinstance(announcement, PresenceAnnouncement):
            self._mark_gone(announcement)

    def heard_revision(self, revision: int) -> None:
        """The broker's revision with a heartbeat: what the last one promised must have arrived by now."""
        if self._revision < self._promised:
            log.info("registry.gap", known=self._revision, promised=self._promised)
            self._revision = self._promised
            self.mark_stale()
        self._promised = max(self._promised, revision)

    def _replace(self, record: ServiceRecord) -> None:
        for (_, service), entry in self._entries.items():
            if service == record.service_name:
                # A version that is not known here may have been installed before it was first served.
                entry.is_fresh = entry.is_fresh and record.version in entry.records
                if record.version in entry.records:
                    entry.records[record.version] = record

    def _mark_gone(self, gone: PresenceAnnouncement) -> None:
        for (_, service), entry in self._entries.items():
            record = entry.records.get(gone.version)
            if service == gone.service_name and record is not None:
                away = record.model_copy(update={"status": "UNAVAILABLE", "instances": 0})
                entry.records[gone.version] = away


class ServiceDiscovery:
    """Finds the version that a call goes to: from the view, else by asking the broker once."""

    def __init__(self, manifest: PluginManifest, view: RegistryView, ask: AskBroker) -> None:
        self._ranges: Mapping[str, str] = {
            item.service_name: item.version for item in manifest.api.dependencies if item.service_name
        }
        self._view = view
        self._ask = ask

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        """The highest healthy installed version in the range; no message is sent for what is known.

        Args:
            tenant: For whom.
            service: The service's name.
            range_: An npm range; the one the manifest declares when None, any version when it declares none.
            deadline: How long the broker may be waited for.

        Raises:
            ServiceNotFoundError: It is not installed there, or nobody serves it now.
            VersionMismatchError: It is there, but no version is in the range.
            TenantNotFoundError: There is no such tenant.
        """
        if service in SYSTEM_SERVICES:
            return Target(SYSTEM_PLUGIN, service, SYSTEM_VERSION)
        record = await self.record(tenant, service, range_, deadline)
        return Target(record.plugin_id, service, record.version)

    async def record(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> ServiceRecord:
        """Like `find`, with everything that is known of the version.

        Raises:
            InvalidRequestError: The name is no service's, or the range is none.
        """
        wanted = range_ or self._ranges.get(service, "*")
        try:
            check_service_name(service)
            check_range(wanted)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error
        return choose(service, await self._records(tenant, service, deadline), wanted)

    async def require_tenant(self, tenant: str) -> None:
        """Refuse a tenant that does not exist; the broker is asked once for each that does.

        Raises:
            TenantNotFoundError: There is no such tenant.
        """
        await self._records(tenant, REGISTRY_SERVICE, Deadline.after(ASK_SECONDS))

    async def _records(self, tenant: str, service: str, deadline: Deadline) -> list[ServiceRecord]:
        entry = self._view.get(tenant, service)
        if entry is None:
            view = await self._ask(tenant, service, deadline)
            entry = self._view.put(tenant, service, view.services)
        elif not entry.is_fresh and time.monotonic() >= entry.ask_again_at:
            entry = await self._refreshed(tenant, service, entry, deadline)
        return list(entry.records.values())

    async def _refreshed(self, tenant: str, service: str, stale: _Entry, deadline: Deadline) -> _Entry:
        stale.ask_again_at = time.monotonic() + TRUST_STALE_SECONDS
        try:
            view = await self._ask(tenant, service, Deadline.after(ASK_SECONDS).earlier(deadline))
        except (TransportError, CallTimeoutError, ServiceUnavailableError) as error:
            # The broker is away: what was true last is the best there is, and plugins go on calling each other.
            log.warning("registry.stale_used", tenant=tenant, service=service, error=str(error))
            return stale
        return self._view.put(tenant, service, view.services)

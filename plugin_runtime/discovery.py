"""The cached view of the registry: filled at registration, kept right by announcements, never by polling."""

import asyncio
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
    TenantAnnouncement,
    TenantView,
)
from contracts.versions import check_range
from plugin_runtime.calls.client import Target
from plugin_runtime.context import Deadline

log = structlog.get_logger()

SYSTEM_SERVICES = frozenset({DATA_SERVICE, DEPENDENCIES_SERVICE, PLUGINS_SERVICE, REGISTRY_SERVICE, TENANTS_SERVICE})
ASK_SECONDS = 5.0
PATIENCE_SECONDS = 1.0
"""How long a caller that knows something waits for the broker to say whether it is still true."""

TRUST_STALE_SECONDS = 5.0
"""How long what was true last is used without asking, once the broker did not answer."""


class AskBroker(Protocol):
    """How the broker is asked for all installed versions of a service in a tenant."""

    async def __call__(self, tenant: str, service: str, deadline: Deadline) -> TenantView: ...  # noqa: D102


@dataclass(slots=True)
class Known:
    """What is known of one service in one tenant; stale until somebody asked again."""

    records: dict[str, ServiceRecord]
    is_fresh: bool = True
    trusted_until: float = 0.0


class RegistryView:
    """The versions of each service in each tenant, as the announcements so far tell. Pure."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Known] = {}
        self.revision = 0
        """The last announcement taken in."""
        self._promised = 0

    def get(self, tenant: str, service: str) -> Known | None:
        """What is known, or None when nothing ever was."""
        return self._entries.get((tenant, service))

    def put(self, tenant: str, service: str, records: Iterable[ServiceRecord], *, revision: int) -> Known:
        """Remember what the broker said at a revision; an answer that announcements overtook is stale already."""
        entry = Known({record.version: record for record in records}, is_fresh=revision >= self.revision)
        self._entries[tenant, service] = entry
        return entry

    def reset(self, views: Iterable[TenantView], services: Iterable[str], revision: int) -> None:
        """Begin again from a registration: what it shows is fresh, everything else is stale."""
        self.revision = self._promised = max(revision, self.revision)
        self.mark_stale()
        wanted = list(services)
        for view in views:
            for service in wanted:
                found = (item for item in view.services if item.service_name == service)
                self.put(view.tenant, service, found, revision=revision)

    def mark_stale(self, *, tenant: str | None = None, plugin: str | None = None) -> None:
        """What is known must be asked for again: all of it, or a tenant's, or a plugin's services in a tenant."""
        for (entry_tenant, service), entry in self._entries.items():
            is_tenants = tenant is None or entry_tenant == tenant
            is_plugins = plugin is None or service.startswith(plugin.removeprefix("plugin-") + ".")
            if is_tenants and is_plugins:
                entry.is_fresh = False
                entry.trusted_until = 0.0

    def apply(self, announcement: Announcement) -> bool:
        """Take an announcement in.

        Returns:
            False where the revisions have a gap: one was missed, everything is stale, and the instance must register
            again to know where it is installed.
        """
        if announcement.revision <= self.revision:
            return True
        is_next = announcement.revision == self.revision + 1
        self.revision = announcement.revision
        if not is_next:
            self.mark_stale()
        if isinstance(announcement, ServiceAnnouncement):
            self._replace(announcement.service)
        elif isinstance(announcement, PluginAnnouncement):
            self.mark_stale(tenant=announcement.tenant, plugin=announcement.plugin_id)
        elif isinstance(announcement, TenantAnnouncement):
            self.mark_stale(tenant=announcement.tenant)
        elif isinstance(announcement, PresenceAnnouncement):
            self._mark_gone(announcement)
        return is_next

    def heard_revision(self, revision: int) -> bool:
        """The broker's revision with a heartbeat: what the last one promised must have arrived by now.

        Returns:
            False where it did not: an announcement was missed.
        """
        is_complete = self.revision >= self._promised
        if not is_complete:
            log.info("registry.gap", known=self.revision, promised=self._promised)
            self.revision = self._promised
            self.mark_stale()
        self._promised = max(self._promised, revision)
        return is_complete

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
        self._asking: dict[tuple[str, str], asyncio.Task[Known]] = {}

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

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _records(self, tenant: str, service: str, deadline: Deadline) -> list[ServiceRecord]:
        known = self._view.get(tenant, service)
        if known is None:
            return list((await self._first(tenant, service, deadline)).records.values())
        if not known.is_fresh and time.monotonic() >= known.trusted_until:
            known = await self._refreshed(tenant, service, known, deadline)
        return list(known.records.values())

    async def _first(self, tenant: str, service: str, deadline: Deadline) -> Known:
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                return await asyncio.shield(self._ask_once(tenant, service))
        except TimeoutError as error:
            raise CallTimeoutError(f"the broker did not say who offers {service} in {tenant}") from error

    async def _refreshed(self, tenant: str, service: str, stale: Known, deadline: Deadline) -> Known:
        """What the broker says now; while it is away, what was true last: plugins go on calling each other."""
        try:
            async with asyncio.timeout(min(PATIENCE_SECONDS, deadline.remaining_seconds / 2)):
                return await asyncio.shield(self._ask_once(tenant, service))
        except (TransportError, TimeoutError, CallTimeoutError, ServiceUnavailableError) as error:
            stale.trusted_until = time.monotonic() + TRUST_STALE_SECONDS
            log.warning("registry.stale_used", tenant=tenant, service=service, error=str(error) or "no answer yet")
            return stale

    def _ask_once(self, tenant: str, service: str) -> "asyncio.Task[Known]":
        """The question, or the one that is under way already: many callers wait for one answer."""
        key = (tenant, service)
        if key not in self._asking:
            task = asyncio.create_task(self._question(tenant, service), name=f"discover {service}")
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
            task.add_done_callback(_look)
        return self._asking[key]

    async def _question(self, tenant: str, service: str) -> Known:
        view = await self._ask(tenant, service, Deadline.after(ASK_SECONDS))
        return self._view.put(tenant, service, view.services, revision=view.revision)


def _look(task: "asyncio.Task[Known]") -> None:
    """An error that nobody waited for any more is no news."""
    if not task.cancelled():
        task.exception()

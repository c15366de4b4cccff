"""What is known of the registry, as registration, answers and announcements tell. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from contracts.discovery import choose
from contracts.names import owner_of
from contracts.registry import (
    Announcement,
    PluginAnnouncement,
    PresenceAnnouncement,
    ServiceAnnouncement,
    ServiceRecord,
    TenantAnnouncement,
    TenantView,
)
from contracts.versions import ordered
from plugin_runtime.calls.target import CacheRules, Target

log = structlog.get_logger()

_Ranges = tuple[tuple[str, ...], str | None]
"""The ranges of a service, and that of its plugin."""


@dataclass(slots=True)
class Known:
    """What is known of one service in one tenant; stale until somebody asked again."""

    records: dict[str, ServiceRecord]
    is_fresh: bool = True
    trusted_until: float = 0.0
    _chosen: dict[_Ranges, ServiceRecord] = field(default_factory=dict)
    _targets: dict[_Ranges, Target] = field(default_factory=dict)

    def choose(self, service: str, *ranges: str, plugin_range: str | None = None) -> ServiceRecord:
        """The version that `contracts.discovery.choose` chooses; what it chose is kept until a record changes."""
        key = (ranges, plugin_range)
        found = self._chosen.get(key)
        if found is None:
            found = choose(service, self.records.values(), *ranges, plugin_range=plugin_range)
            self._chosen[key] = found
        return found

    def target(self, service: str, *ranges: str, plugin_range: str | None = None) -> Target:
        """Where a call in these ranges goes; errors as of `choose`."""
        key = (ranges, plugin_range)
        found = self._targets.get(key)
        if found is None:
            record = self.choose(service, *ranges, plugin_range=plugin_range)
            found = Target(record.plugin_id, service, record.version, CacheRules.of(record))
            self._targets[key] = found
        return found

    def replace(self, record: ServiceRecord) -> None:
        """Take in how a known version is now."""
        self.records[record.version] = record
        self._chosen.clear()
        self._targets.clear()

    def serves(self, version: str) -> bool:
        """Whether calls to the version are answered, as far as is known."""
        record = self.records.get(version)
        return record is not None and record.status != "UNAVAILABLE"


class RegistryView:
    """The versions of each service in each tenant, as the announcements so far tell. Pure."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Known] = {}
        self._installed: dict[tuple[str, str], set[str]] = {}
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
        """Begin again from a registration: what it shows is fresh, everything else is stale.

        Args:
            views: What it shows of each tenant.
            services: Those it was asked for; one that a tenant's view does not show is not installed there.
            revision: As of which it is true.
        """
        self.revision = self._promised = max(revision, self.revision)
        self._installed.clear()
        self.mark_stale()
        shown = list(views)
        wanted = {*services, *(record.service_name for view in shown for record in view.services)}
        for view in shown:
            for service in wanted:
                found = (item for item in view.services if item.service_name == service)
                self.put(view.tenant, service, found, revision=revision)

    def mark_stale(self, *, tenant: str | None = None, plugin: str | None = None, service: str | None = None) -> None:
        """What is known must be asked for again: all of it, or only a tenant's, a plugin's, a service's."""
        for (entry_tenant, entry_service), entry in self._entries.items():
            is_tenants = tenant is None or entry_tenant == tenant
            is_plugins = plugin is None or owner_of(entry_service) == plugin
            if is_tenants and is_plugins and service in (None, entry_service):
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
            self._note_installation(announcement)
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

    def _note_installation(self, announced: PluginAnnouncement) -> None:
        """Remember which plugin versions were seen to be installed: a service that they begin to offer is there too."""
        versions = self._installed.setdefault((announced.tenant, announced.plugin_id), set())
        if announced.change == "uninstalled":
            versions.discard(announced.version)
        else:
            versions.add(announced.version)

    def _replace(self, record: ServiceRecord) -> None:
        """Take in how a service version is; which plugin versions offer it in a tenant, that cannot say."""
        for (tenant, service), entry in self._entries.items():
            if service != record.service_name:
                continue
            known = entry.records.get(record.version)
            # A version that is not known here may have been installed before it was first served: only the broker
            # knows. If its installation was heard it can be called at once, even while the broker is slow to answer.
            entry.is_fresh = entry.is_fresh and known is not None
            offering = set(known.plugin_versions if known else record.plugin_versions)
            if known is None:
                offering &= self._installed.get((tenant, record.plugin_id), set())
            if known is not None or offering:
                here = record.in_tenant(tenant)
                entry.replace(here.model_copy(update={"plugin_versions": tuple(ordered(offering))}))

    def _mark_gone(self, gone: PresenceAnnouncement) -> None:
        for (_, service), entry in self._entries.items():
            record = entry.records.get(gone.version)
            if service == gone.service_name and record is not None:
                entry.replace(record.model_copy(update={"status": "UNAVAILABLE", "instances": 0}))

"""The cached view of the registry: filled at registration, kept right by announcements, never by polling."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from contracts.discovery import choose
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    InvalidRequestError,
    ServiceUnavailableError,
    TransportError,
    UndeclaredDependencyError,
)
from contracts.manifest import Dependency, PluginManifest
from contracts.names import SYSTEM_PLUGIN, check_service_name, owner_of
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
from plugin_runtime.declarations import ANY_VERSION, Allowance, Declarations

log = structlog.get_logger()

SYSTEM_SERVICES = frozenset({DATA_SERVICE, DEPENDENCIES_SERVICE, PLUGINS_SERVICE, REGISTRY_SERVICE, TENANTS_SERVICE})
ASK_SECONDS = 5.0
PATIENCE_SECONDS = 1.0
"""How long a caller that knows something waits for the broker to say whether it is still true."""

TRUST_STALE_SECONDS = 5.0
"""How long what was true last is used without asking, once the broker did not answer."""

HINT_SECONDS = 0.3
"""How long a call that is refused anyway waits for the version that its error can name."""

NO_ANSWER = (TransportError, TimeoutError, CallTimeoutError, ServiceUnavailableError)
"""How a question ends while the broker is away."""


class AskBroker(Protocol):
    """How the broker is asked for all installed versions of a service in a tenant."""

    async def __call__(self, tenant: str, service: str, deadline: Deadline) -> TenantView: ...  # noqa: D102


@dataclass(slots=True)
class Known:
    """What is known of one service in one tenant; stale until somebody asked again."""

    records: dict[str, ServiceRecord]
    is_fresh: bool = True
    trusted_until: float = 0.0
    _chosen: dict[tuple[tuple[str, ...], str | None], ServiceRecord] = field(default_factory=dict)

    def choose(self, service: str, *ranges: str, plugin_range: str | None = None) -> ServiceRecord:
        """The version that `contracts.discovery.choose` chooses; what it chose is kept until a record changes."""
        key = (ranges, plugin_range)
        found = self._chosen.get(key)
        if found is None:
            found = choose(service, self.records.values(), *ranges, plugin_range=plugin_range)
            self._chosen[key] = found
        return found

    def replace(self, record: ServiceRecord) -> None:
        """Take in how a known version is now."""
        self.records[record.version] = record
        self._chosen.clear()

    def serves(self, version: str) -> bool:
        """Whether calls to the version are answered, as far as is known."""
        record = self.records.get(version)
        return record is not None and record.status != "UNAVAILABLE"


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
        """Begin again from a registration: what it shows is fresh, everything else is stale.

        Args:
            views: What it shows of each tenant.
            services: Those it was asked for; one that a tenant's view does not show is not installed there.
            revision: As of which it is true.
        """
        self.revision = self._promised = max(revision, self.revision)
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
                known = entry.records.get(record.version)
                if known is not None:
                    # An announcement speaks of the service anywhere; which plugin versions offer it here it cannot say.
                    entry.replace(record.model_copy(update={"plugin_versions": known.plugin_versions}))

    def _mark_gone(self, gone: PresenceAnnouncement) -> None:
        for (_, service), entry in self._entries.items():
            record = entry.records.get(gone.version)
            if service == gone.service_name and record is not None:
                entry.replace(record.model_copy(update={"status": "UNAVAILABLE", "instances": 0}))


class ServiceDiscovery:
    """Finds the version that a call goes to: from the view, else by asking the broker once."""

    def __init__(self, manifest: PluginManifest, view: RegistryView, ask: AskBroker) -> None:
        self._declared = Declarations(manifest.id, manifest.api.dependencies)
        self._view = view
        self._ask = ask
        self._asking: dict[tuple[str, str], asyncio.Task[Known]] = {}
        self._away_until = 0.0

    def declare(self, dependencies: Iterable[Dependency]) -> None:
        """From now on the plugin declares these dependencies and no others."""
        self._declared.replace(dependencies)

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        """The highest healthy version that declaration and range admit; no message is sent for what is known.

        Args:
            tenant: For whom.
            service: The service's name.
            range_: An npm range that narrows what the plugin declares; None narrows nothing.
            deadline: How long the broker may be waited for.

        Raises:
            InvalidRequestError: The name is no service's, or the range is none.
            UndeclaredDependencyError: The plugin declares no dependency on it; details: the ``line`` to add.
            ServiceNotFoundError: It is not installed there, or nobody serves it now.
            VersionMismatchError: It is there, but no version is in the ranges.
            TenantNotFoundError: There is no such tenant.
        """
        if service in SYSTEM_SERVICES:
            return Target(SYSTEM_PLUGIN, service, SYSTEM_VERSION)
        _check(service, range_)
        allowed = self._declared.of(service)
        if allowed is None:
            raise await self._undeclared(tenant, service, deadline)
        ranges = tuple(dict.fromkeys(one for one in (allowed.range_, range_) if one not in (None, "*")))
        known = await self._known(tenant, service, deadline)
        record = known.choose(service, *ranges, plugin_range=allowed.plugin_range)
        return Target(record.plugin_id, service, record.version)

    async def catch_up(self, tenant: str, failed: Target, deadline: Deadline) -> bool:
        """Learn what is true now, after a call to ``failed`` found nobody there.

        Where an announcement has told since, nothing is asked.

        Returns:
            False when the broker does not answer: nothing new is known.
        """
        known = self._view.get(tenant, failed.service)
        if known is not None and known.is_fresh and not known.serves(failed.version):
            return True
        if self._is_away:
            return False
        self._view.mark_stale(tenant=tenant, service=failed.service)
        try:
            await self._asked(tenant, failed.service, deadline, PATIENCE_SECONDS)
        except NO_ANSWER:
            if known is not None:
                known.trusted_until = self._away_until
            return False
        except CodedError:
            return True  # what the broker has against it is told by the next `find`
        return True

    async def record(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> ServiceRecord:
        """What is known of the version that is highest and healthy in a range; anybody may look.

        Args:
            tenant: For whom.
            service: The service's name; it need not be declared.
            range_: An npm range; when None the one that the plugin declares, any version when it declares none.
            deadline: How long the broker may be waited for.

        Raises:
            InvalidRequestError: The name is no service's, or the range is none.
            ServiceNotFoundError: It is not installed there, or nobody serves it now.
            VersionMismatchError: It is there, but no version is in the range.
            TenantNotFoundError: There is no such tenant.
        """
        _check(service, range_)
        allowed = self._declared.of(service) or ANY_VERSION if range_ is None else Allowance(range_)
        known = await self._known(tenant, service, deadline)
        return known.choose(service, allowed.range_, plugin_range=allowed.plugin_range)

    async def require_tenant(self, tenant: str) -> None:
        """Refuse a tenant that does not exist; the broker is asked once for each that does.

        Raises:
            TenantNotFoundError: There is no such tenant.
        """
        await self._known(tenant, REGISTRY_SERVICE, Deadline.after(ASK_SECONDS))

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _undeclared(self, tenant: str, service: str, deadline: Deadline) -> UndeclaredDependencyError:
        """The refusal of a call; the broker is asked for the version to declare if it answers soon, and never twice."""
        known = self._view.get(tenant, service)
        if known is None and not self._is_away:
            with suppress(*NO_ANSWER, CodedError):
                known = await self._asked(tenant, service, deadline, HINT_SECONDS)
        return self._declared.refusal(service, known.records if known else ())

    async def _known(self, tenant: str, service: str, deadline: Deadline) -> Known:
        known = self._view.get(tenant, service)
        if known is None:
            return await self._first(tenant, service, deadline)
        if not known.is_fresh and time.monotonic() >= known.trusted_until:
            return await self._refreshed(tenant, service, known, deadline)
        return known

    async def _first(self, tenant: str, service: str, deadline: Deadline) -> Known:
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                return await asyncio.shield(self._ask_once(tenant, service))
        except TimeoutError as error:
            raise CallTimeoutError(f"the broker did not say who offers {service} in {tenant}") from error

    async def _refreshed(self, tenant: str, service: str, stale: Known, deadline: Deadline) -> Known:
        """What the broker says now; while it is away, what was true last: plugins go on calling each other."""
        try:
            return await self._asked(tenant, service, deadline, PATIENCE_SECONDS)
        except NO_ANSWER as error:
            stale.trusted_until = self._away_until
            log.warning("registry.stale_used", tenant=tenant, service=service, error=str(error) or "no answer yet")
            return stale

    async def _asked(self, tenant: str, service: str, deadline: Deadline, patience_seconds: float) -> Known:
        """The broker's answer within half of what is left, at most the patience; `NO_ANSWER` when it is away."""
        try:
            async with asyncio.timeout(min(patience_seconds, deadline.remaining_seconds / 2)):
                return await asyncio.shield(self._ask_once(tenant, service))
        except NO_ANSWER:
            self._away_until = time.monotonic() + TRUST_STALE_SECONDS
            raise

    @property
    def _is_away(self) -> bool:
        """Whether the broker gave no answer lately, and none since."""
        return time.monotonic() < self._away_until

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
        self._away_until = 0.0
        return self._view.put(tenant, service, view.services, revision=view.revision)


def _check(service: str, range_: str | None) -> None:
    """Raise `InvalidRequestError` for what is no service name or no range."""
    try:
        check_service_name(service)
        if range_ is not None:
            check_range(range_)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error


def _look(task: "asyncio.Task[Known]") -> None:
    """An error that nobody waited for any more is no news."""
    if not task.cancelled():
        task.exception()

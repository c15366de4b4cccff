"""The registry, the dependencies and the lifecycle of one tenant, as a plugin asks for them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from contracts.dependencies import (
    CanUninstall,
    DeclareRequest,
    DependencyEdge,
    DependencyList,
    Installation,
    InstallationList,
    InstallRequest,
    Resolution,
    UninstallRequest,
    Upgrade,
    UpgradeRequest,
)
from contracts.manifest import Dependency
from contracts.names import NO_TENANT
from contracts.registry import (
    DEPENDENCIES_SERVICE,
    REGISTRY_SERVICE,
    Announcement,
    DeregisterRequest,
    ServiceList,
    ServiceRecord,
    ServiceRegistration,
)
from plugin_runtime.calls.caller import NO_CONTEXT, Caller
from plugin_runtime.context import Context, Deadline
from plugin_runtime.data.watch import Watch, Watchers
from plugin_runtime.discovery import ServiceDiscovery
from plugin_runtime.platform_client import PlatformClient, segment

__all__ = ["DependencyClient", "PlatformClient", "RegistryClient", "services_of"]

DISCOVER_SECONDS = 30.0
PAGE_SIZE = 1000


class RegistryClient:
    """Who offers what in a tenant."""

    def __init__(
        self,
        caller: Caller,
        tenant: str,
        *,
        context: Context,
        instance: str,
        discovery: ServiceDiscovery,
        watchers: Watchers[Announcement],
    ) -> None:
        self._caller = caller
        self._tenant = tenant
        self._context = context
        self._instance = instance
        self._discovery = discovery
        self._watchers = watchers

    async def discover(self, service: str, range_: str | None = None, *, schemas: bool = False) -> ServiceRecord:
        """The highest healthy version in a range; no message is sent for a service that is known.

        Anybody may look: unlike a call this needs no declared dependency.

        Args:
            service: E.g. ``crm.contacts``.
            range_: An npm range; when None the one that the plugin declares, any version when it declares none.
            schemas: Ask the broker for the endpoints' JSON Schemas too (``request``, ``query``, ``response``); what is
                known without a message holds none.

        Raises:
            ServiceNotFoundError: It is not installed in the tenant, or nobody serves it now.
            VersionMismatchError: Versions are installed, but none is in the range.
        """
        deadline = Deadline.after(DISCOVER_SECONDS).earlier(self._context.deadline)
        found = await self._discovery.record(self._tenant, service, range_, deadline)
        if not schemas:
            return found
        path, query = f"/services/{segment(service)}", {"range": found.version}
        answer = await self._caller.ask(self._tenant, REGISTRY_SERVICE, "GET", path, query=query, context=self._context)
        return ServiceRecord.parse(answer)

    async def list(self, *, plugin: str | None = None, status: str | None = None) -> list[ServiceRecord]:
        """Every service installed in the tenant, sorted by name, then version; asks the broker."""
        return await services_of(self._caller, self._tenant, plugin=plugin, status=status, context=self._context)

    async def register(
        self, service: str, *, base_url: str | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        """Offer a service of the own manifest again after `deregister`; a plugin's start does the first by itself."""
        document = {"instanceId": self._instance, "serviceName": service, "baseUrl": base_url, "metadata": metadata}
        body = ServiceRegistration.parse(document)
        await self._caller.ask(NO_TENANT, REGISTRY_SERVICE, "PUT", "/services", body=body, context=self._context)

    async def deregister(self, service: str, *, all: bool = False) -> None:  # noqa: A002 - the operation's own word
        """Take a service back, of this instance or of all; `ServiceNotFoundError` if it is not registered."""
        body = DeregisterRequest.parse({"instanceId": self._instance, "serviceName": service, "all": all})
        await self._caller.ask(NO_TENANT, REGISTRY_SERVICE, "POST", "/deregister", body=body, context=self._context)

    @contextmanager
    def watch(self, pattern: str = "#") -> Iterator[Watch[Announcement]]:
        """Hear announcements whose routing key the pattern admits, from the moment the context is entered.

        ``with acme.registry.watch("_.service.#") as announcements: async for found in announcements: ...``
        """
        with self._watchers.watching(pattern) as announcements:
            yield announcements


class Declares(Protocol):
    """Holds what this plugin declares: its `ServiceDiscovery`."""

    def declare(self, dependencies: Iterable[Dependency]) -> None:
        """These and no others."""


class DependencyClient:
    """What depends on what in a tenant, and what is installed there."""

    def __init__(
        self, caller: Caller, tenant: str, *, context: Context, discovery: Declares, version: str | None = None
    ) -> None:
        self._caller = caller
        self._tenant = tenant
        self._version = version
        self._context = context
        self._discovery = discovery

    async def declare(self, dependencies: Iterable[Dependency]) -> None:
        """Replace what this version of the plugin declares, and announce it; an empty list clears it.

        When this returns, this instance calls what they cover and nothing else; others of the same version follow
        with the announcement.
        """
        body = DeclareRequest(version=self._version, dependencies=tuple(dependencies))
        await self._ask("PUT", "/dependencies", body=body)
        self._discovery.declare(body.dependencies)

    async def resolve(self, plugin: str) -> Resolution:
        """Whether the plugin's dependencies are met in the tenant, why not, and in which order to install."""
        return Resolution.parse(await self._ask("GET", f"/resolve/{segment(plugin)}"))

    async def dependencies(self, plugin: str, *, recursive: bool = False) -> list[DependencyEdge]:
        """What the plugin depends on, directly or all the way."""
        answer = await self._ask("GET", f"/dependencies/{segment(plugin)}", query={"recursive": recursive})
        return list(DependencyList.parse(answer).edges)

    async def dependents(self, plugin: str, *, recursive: bool = False) -> list[DependencyEdge]:
        """Who depends on the plugin, directly or all the way."""
        answer = await self._ask("GET", f"/dependents/{segment(plugin)}", query={"recursive": recursive})
        return list(DependencyList.parse(answer).edges)

    async def can_uninstall(self, plugin: str) -> CanUninstall:
        """Whether no installed plugin requires it, and who does."""
        return CanUninstall.parse(await self._ask("GET", f"/can-uninstall/{segment(plugin)}"))

    async def install(self, plugin: str, version: str = "*", *, force: bool = False) -> Installation:
        """Install the highest known version in the range: beside other majors, in place of its own.

        Installing again is no error. What it supersedes stays in reach until nobody needs it any more.

        Args:
            plugin: Its id.
            version: An npm range.
            force: Install it in spite of what would refuse it; that is recorded and announced.

        Raises:
            UnresolvableError: Dependencies are not met, or installed plugins would lose one; the message is resolve's,
                details carry the whole answer.
            PluginNotFoundError: The broker knows no such plugin.
            VersionMismatchError: The broker knows no version in the range.
            PermissionDeniedError: This plugin is no operator.
        """
        body = InstallRequest.parse({"pluginId": plugin, "version": version, "force": force})
        return Installation.parse(await self._ask("PUT", "/install", body=body))

    async def upgrade(self, plugin: str, version: str = "*", *, force: bool = False) -> Upgrade:
        """Move an installed plugin to the highest known version in the range, up or down; again is no error.

        It takes the place of every other version in the tenant. Those stay in reach as long as the new one is not
        served or somebody's range needs them, so that no call is lost; the answer says which do.

        Raises:
            PluginNotFoundError: The plugin is not installed in the tenant, or the broker knows none such.
            CodedError: As `install`.
        """
        body = UpgradeRequest.parse({"pluginId": plugin, "version": version, "force": force})
        return Upgrade.parse(await self._ask("PUT", "/upgrade", body=body))

    async def uninstall(
        self, plugin: str, *, version: str | None = None, force: bool = False, remove_data: bool = False
    ) -> list[Installation]:
        """Take the plugin out of the tenant and return the versions that went; none when none was there.

        Args:
            plugin: Its id.
            version: An npm range: only what is in it; every version when None.
            force: Even from under plugins that require it; that is recorded and announced.
            remove_data: Remove the shared data that it wrote last, too; not while another version stays.

        Raises:
            StillRequiredError: Installed plugins require it, and what stays does not meet that; details: ``blockedBy``.
            PluginNotFoundError: The broker knows no such plugin.
            PermissionDeniedError: This plugin is no operator.
        """
        document = {"pluginId": plugin, "version": version, "force": force, "removeData": remove_data}
        body = UninstallRequest.parse(document)
        return list(InstallationList.parse(await self._ask("POST", "/uninstall", body=body)).installations)

    async def installations(self) -> list[Installation]:
        """What is installed in the tenant, sorted by plugin and version."""
        return list(InstallationList.parse(await self._ask("GET", "/installations")).installations)

    async def _ask(self, method: str, path: str, *, body: Any = None, query: Any = None) -> Any:
        return await self._caller.ask(
            self._tenant, DEPENDENCIES_SERVICE, method, path, body=body, query=query, context=self._context
        )


async def services_of(
    caller: Caller,
    tenant: str,
    *,
    plugin: str | None = None,
    status: str | None = None,
    context: Context = NO_CONTEXT,
) -> list[ServiceRecord]:
    """Every service registered in a tenant, sorted by name, then version, however many pages they fill."""
    found: list[ServiceRecord] = []
    while True:
        page = len(found) // PAGE_SIZE + 1
        query = {"pluginId": plugin, "status": status, "page": page, "limit": PAGE_SIZE}
        answer = await caller.ask(tenant, REGISTRY_SERVICE, "GET", "/services", query=query, context=context)
        services = ServiceList.parse(answer).services
        found += services
        if len(services) < PAGE_SIZE:
            return found

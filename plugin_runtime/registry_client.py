"""The registry, the dependencies and the lifecycle of one tenant, as a plugin asks for them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote

from contracts.dependencies import (
    CanUninstall,
    DeclareRequest,
    DependencyEdge,
    DependencyList,
    Installation,
    InstallationList,
    InstallRequest,
    KnownPlugin,
    PluginList,
    PublishManifestRequest,
    RemovedPlugin,
    Resolution,
    TenantList,
    UninstallRequest,
    Upgrade,
    UpgradeRequest,
    WhatIf,
)
from contracts.manifest import Dependency, PluginManifest
from contracts.names import NO_TENANT
from contracts.registry import (
    DEPENDENCIES_SERVICE,
    PLUGINS_SERVICE,
    REGISTRY_SERVICE,
    TENANTS_SERVICE,
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

    async def discover(self, service: str, range_: str | None = None) -> ServiceRecord:
        """The highest healthy version in a range; no message is sent for a service that is known.

        Anybody may look: unlike a call this needs no declared dependency.

        Args:
            service: E.g. ``crm.contacts``.
            range_: An npm range; when None the one that the plugin declares, any version when it declares none.

        Raises:
            ServiceNotFoundError: It is not installed in the tenant, or nobody serves it now.
            VersionMismatchError: Versions are installed, but none is in the range.
        """
        deadline = Deadline.after(DISCOVER_SECONDS).earlier(self._context.deadline)
        return await self._discovery.record(self._tenant, service, range_, deadline)

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
        return Resolution.parse(await self._ask("GET", f"/resolve/{_segment(plugin)}"))

    async def dependencies(self, plugin: str, *, recursive: bool = False) -> list[DependencyEdge]:
        """What the plugin depends on, directly or all the way."""
        answer = await self._ask("GET", f"/dependencies/{_segment(plugin)}", query={"recursive": recursive})
        return list(DependencyList.parse(answer).edges)

    async def dependents(self, plugin: str, *, recursive: bool = False) -> list[DependencyEdge]:
        """Who depends on the plugin, directly or all the way."""
        answer = await self._ask("GET", f"/dependents/{_segment(plugin)}", query={"recursive": recursive})
        return list(DependencyList.parse(answer).edges)

    async def can_uninstall(self, plugin: str) -> CanUninstall:
        """Whether no installed plugin requires it, and who does."""
        return CanUninstall.parse(await self._ask("GET", f"/can-uninstall/{_segment(plugin)}"))

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


class PlatformClient:
    """Tenants and known plugins: what belongs to no single tenant."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create_tenant(self, tenant: str) -> None:
        """Create a tenant; one that exists is no error."""
        await self._caller.ask(NO_TENANT, TENANTS_SERVICE, "PUT", "/tenants", body={"id": tenant})

    async def tenants(self) -> list[str]:
        """Every tenant in ascending order."""
        return list(TenantList.parse(await self._caller.ask(NO_TENANT, TENANTS_SERVICE, "GET", "/tenants")).tenants)

    async def remove_tenant(self, tenant: str, *, force: bool = False) -> None:
        """Remove a tenant with its data; `StillRequiredError` while plugins are installed, unless ``force``."""
        path = f"/tenants/{_segment(tenant)}"
        await self._caller.ask(NO_TENANT, TENANTS_SERVICE, "DELETE", path, query={"force": force})

    async def publish_manifest(self, manifest: PluginManifest) -> None:
        """Make a plugin version known before any instance of it runs."""
        body = PublishManifestRequest(manifest=manifest)
        await self._caller.ask(NO_TENANT, PLUGINS_SERVICE, "PUT", "/plugins", body=body)

    async def manifest(self, plugin: str, version: str = "*") -> PluginManifest:
        """The manifest of the highest known version in the range.

        Raises:
            PluginNotFoundError: The broker knows no such plugin.
            VersionMismatchError: The broker knows no version in the range.
        """
        path, query = f"/manifests/{_segment(plugin)}", {"version": version}
        answer = await self._caller.ask(NO_TENANT, PLUGINS_SERVICE, "GET", path, query=query)
        return PluginManifest.parse(answer)

    async def remove_plugin(self, plugin: str, *, version: str | None = None, force: bool = False) -> RemovedPlugin:
        """Have the broker forget a plugin, or one version of it, with the queues and dead letters it left.

        Args:
            plugin: Its id.
            version: That version only; all of them when None.
            force: Uninstall it from every tenant first.

        Raises:
            StillRequiredError: Instances of it run (stop them first, also with ``force``), or it is installed; details:
                ``blockedBy``.
            PluginNotFoundError: The broker knows no such plugin, or no such version.
            PermissionDeniedError: This plugin is no operator.
        """
        path, query = f"/plugins/{_segment(plugin)}", {"version": version, "force": force}
        return RemovedPlugin.parse(await self._caller.ask(NO_TENANT, PLUGINS_SERVICE, "DELETE", path, query=query))

    async def what_if(self, plugin: str, version: str = "*") -> WhatIf:
        """What an upgrade to the highest known version in the range would do in each tenant; changes nothing.

        Raises:
            PluginNotFoundError: The broker knows no such plugin.
            VersionMismatchError: The broker knows no version in the range.
            PermissionDeniedError: This plugin is no operator.
        """
        path, query = f"/what-if/{_segment(plugin)}", {"version": version}
        return WhatIf.parse(await self._caller.ask(NO_TENANT, DEPENDENCIES_SERVICE, "GET", path, query=query))

    async def plugins(self) -> list[KnownPlugin]:
        """Every known plugin version, sorted by id, then version."""
        return list(PluginList.parse(await self._caller.ask(NO_TENANT, PLUGINS_SERVICE, "GET", "/plugins")).plugins)


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


def _segment(name: str) -> str:
    """A name as one segment of a path; what it may be is the broker's to judge."""
    return quote(name, safe="")

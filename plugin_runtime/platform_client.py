"""Tenants and known plugins, as an operator's plugin asks for them."""

from urllib.parse import quote

from contracts.dependencies import (
    KnownPlugin,
    PluginList,
    PublishManifestRequest,
    RemovedPlugin,
    TenantList,
    WhatIf,
)
from contracts.manifest import PluginManifest
from contracts.names import NO_TENANT
from contracts.registry import DEPENDENCIES_SERVICE, PLUGINS_SERVICE, TENANTS_SERVICE
from plugin_runtime.calls.caller import Caller


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
        path = f"/tenants/{segment(tenant)}"
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
        path, query = f"/manifests/{segment(plugin)}", {"version": version}
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
        path, query = f"/plugins/{segment(plugin)}", {"version": version, "force": force}
        return RemovedPlugin.parse(await self._caller.ask(NO_TENANT, PLUGINS_SERVICE, "DELETE", path, query=query))

    async def what_if(self, plugin: str, version: str = "*") -> WhatIf:
        """What an upgrade to the highest known version in the range would do in each tenant; changes nothing.

        Raises:
            PluginNotFoundError: The broker knows no such plugin.
            VersionMismatchError: The broker knows no version in the range.
            PermissionDeniedError: This plugin is no operator.
        """
        path, query = f"/what-if/{segment(plugin)}", {"version": version}
        return WhatIf.parse(await self._caller.ask(NO_TENANT, DEPENDENCIES_SERVICE, "GET", path, query=query))

    async def plugins(self) -> list[KnownPlugin]:
        """Every known plugin version, sorted by id, then version."""
        return list(PluginList.parse(await self._caller.ask(NO_TENANT, PLUGINS_SERVICE, "GET", "/plugins")).plugins)


def segment(name: str) -> str:
    """A name as one segment of a path; what it may be is the broker's to judge."""
    return quote(name, safe="")

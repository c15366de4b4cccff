"""The service ``system.dependencies``: checks names, translates, delegates."""

from broker.dependencies.lifecycle import Lifecycle
from broker.requests import checked, flag, tenant_of
from contracts.dependencies import (
    CanUninstall,
    DeclareRequest,
    DependencyList,
    Installation,
    InstallationList,
    InstallRequest,
    Resolution,
    UninstallRequest,
)
from contracts.names import check_plugin_id
from contracts.registry import DEPENDENCIES_SERVICE
from plugin_runtime import Call, Plugin


def mount(plugin: Plugin, lifecycle: Lifecycle) -> None:
    """Let the plugin answer for dependencies and installations."""
    _mount_dependencies(plugin, lifecycle)
    _mount_installations(plugin, lifecycle)


def _mount_dependencies(plugin: Plugin, lifecycle: Lifecycle) -> None:
    service = plugin.service(DEPENDENCIES_SERVICE)

    @service.put("/dependencies")
    async def declare(call: Call) -> DependencyList:
        return await lifecycle.declare(call.caller, DeclareRequest.parse(call.body).dependencies)

    @service.get("/dependencies/:plugin")
    async def dependencies(call: Call, plugin: str) -> DependencyList:
        return await lifecycle.dependencies(_plugin(plugin), recursive=flag(call.query, "recursive"))

    @service.get("/dependents/:plugin")
    async def dependents(call: Call, plugin: str) -> DependencyList:
        return await lifecycle.dependents(_plugin(plugin), recursive=flag(call.query, "recursive"))

    @service.get("/resolve/:plugin")
    async def resolve(call: Call, plugin: str) -> Resolution:
        return await lifecycle.resolve(tenant_of(call.tenant.id), _plugin(plugin))


def _mount_installations(plugin: Plugin, lifecycle: Lifecycle) -> None:
    service = plugin.service(DEPENDENCIES_SERVICE)

    @service.get("/can-uninstall/:plugin")
    async def can_uninstall(call: Call, plugin: str) -> CanUninstall:
        return await lifecycle.can_uninstall(tenant_of(call.tenant.id), _plugin(plugin))

    @service.put("/install")
    async def install(call: Call) -> Installation:
        return await lifecycle.install(tenant_of(call.tenant.id), InstallRequest.parse(call.body))

    @service.post("/uninstall")
    async def uninstall(call: Call) -> InstallationList:
        return await lifecycle.uninstall(tenant_of(call.tenant.id), UninstallRequest.parse(call.body))

    @service.get("/installations")
    async def installations(call: Call) -> InstallationList:
        return await lifecycle.installations(tenant_of(call.tenant.id))


def _plugin(plugin_id: str) -> str:
    return checked("plugin", check_plugin_id, plugin_id)

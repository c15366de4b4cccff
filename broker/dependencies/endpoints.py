"""The service ``system.dependencies``: checks names, translates, delegates."""

from broker.administration import Administration
from broker.dependencies.declarations import Declarations
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
    Upgrade,
    UpgradeRequest,
    WhatIf,
)
from contracts.names import check_plugin_id
from contracts.registry import DEPENDENCIES_SERVICE
from contracts.versions import check_range
from plugin_runtime import Call, Plugin


def mount(plugin: Plugin, declarations: Declarations, lifecycle: Lifecycle, administration: Administration) -> None:
    """Let the plugin answer for dependencies and installations."""
    _mount_dependencies(plugin, declarations, lifecycle)
    _mount_changes(plugin, lifecycle, administration)
    _mount_questions(plugin, lifecycle, administration)


def _mount_dependencies(plugin: Plugin, declarations: Declarations, lifecycle: Lifecycle) -> None:
    service = plugin.service(DEPENDENCIES_SERVICE)

    @service.put("/dependencies")
    async def declare(call: Call) -> DependencyList:
        request = DeclareRequest.parse(call.body)
        return await declarations.declare(call.caller, request.dependencies, version=request.version)

    @service.get("/dependencies/:plugin")
    async def dependencies(call: Call, plugin: str) -> DependencyList:
        return await declarations.dependencies(_plugin(plugin), recursive=flag(call.query, "recursive"))

    @service.get("/dependents/:plugin")
    async def dependents(call: Call, plugin: str) -> DependencyList:
        return await declarations.dependents(_plugin(plugin), recursive=flag(call.query, "recursive"))

    @service.get("/resolve/:plugin")
    async def resolve(call: Call, plugin: str) -> Resolution:
        return await lifecycle.resolve(tenant_of(call.tenant.id), _plugin(plugin))


def _mount_changes(plugin: Plugin, lifecycle: Lifecycle, administration: Administration) -> None:
    service = plugin.service(DEPENDENCIES_SERVICE)

    @service.put("/install")
    async def install(call: Call) -> Installation:
        tenant, request = tenant_of(call.tenant.id), InstallRequest.parse(call.body)
        administration.require(call.caller, f"install {request.plugin_id} in tenant {tenant}")
        return await lifecycle.install(tenant, request, caller=call.caller)

    @service.put("/upgrade")
    async def upgrade(call: Call) -> Upgrade:
        tenant, request = tenant_of(call.tenant.id), UpgradeRequest.parse(call.body)
        administration.require(call.caller, f"upgrade {request.plugin_id} in tenant {tenant}")
        return await lifecycle.upgrade(tenant, request, caller=call.caller)

    @service.post("/uninstall")
    async def uninstall(call: Call) -> InstallationList:
        tenant, request = tenant_of(call.tenant.id), UninstallRequest.parse(call.body)
        administration.require(call.caller, f"uninstall {request.plugin_id} from tenant {tenant}")
        return await lifecycle.uninstall(tenant, request, caller=call.caller)


def _mount_questions(plugin: Plugin, lifecycle: Lifecycle, administration: Administration) -> None:
    service = plugin.service(DEPENDENCIES_SERVICE)

    @service.get("/installations")
    async def installations(call: Call) -> InstallationList:
        return await lifecycle.installations(tenant_of(call.tenant.id))

    @service.get("/can-uninstall/:plugin")
    async def can_uninstall(call: Call, plugin: str) -> CanUninstall:
        return await lifecycle.can_uninstall(tenant_of(call.tenant.id), _plugin(plugin))

    @service.get("/what-if/:plugin")
    async def what_if(call: Call, plugin: str) -> WhatIf:
        # It tells what is installed in every tenant.
        administration.require(call.caller, f"ask what an upgrade of {plugin} would do in every tenant")
        range_ = checked("version", check_range, call.query.get("version", "*"))
        return await lifecycle.what_if(_plugin(plugin), range_)


def _plugin(plugin_id: str) -> str:
    return checked("plugin", check_plugin_id, plugin_id)

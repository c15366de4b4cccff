"""The service ``system.tenants``. Its calls carry no tenant; the names stand in body and path."""

from typing import Any

from broker.administration import Administration
from broker.requests import checked, flag
from broker.tenants.store import Tenants
from contracts.dependencies import CreateTenantRequest, TenantList
from contracts.names import check_tenant
from contracts.registry import TENANTS_SERVICE
from plugin_runtime import Call, Plugin


def mount(plugin: Plugin, tenants: Tenants, administration: Administration) -> None:
    """Let the plugin answer for tenants."""
    service = plugin.service(TENANTS_SERVICE)

    @service.put("/tenants")
    async def create_tenant(call: Call) -> dict[str, Any]:
        request = CreateTenantRequest.parse(call.body)
        administration.require(call.caller, f"create tenant {request.id}")
        created = await tenants.create(request.id)
        return {"id": request.id, "created": created}

    @service.get("/tenants")
    async def list_tenants(call: Call) -> TenantList:
        del call
        return TenantList(tenants=await tenants.list())

    @service.delete("/tenants/:id")
    async def remove_tenant(call: Call, id: str) -> dict[str, Any]:  # noqa: A002 - the path's word
        tenant = checked("id", check_tenant, id)
        administration.require(call.caller, f"remove tenant {tenant}")
        await tenants.remove(tenant, force=flag(call.query, "force"))
        return {"id": id, "removed": True}

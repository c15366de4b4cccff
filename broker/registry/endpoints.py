"""The service ``system.registry``: checks names, translates, delegates."""

from typing import get_args

from broker.registry.service import Registry
from broker.requests import checked, tenant_of, whole_number
from contracts.calls import Query
from contracts.errors import InvalidRequestError
from contracts.names import check_plugin_id, check_service_name
from contracts.registry import (
    REGISTRY_SERVICE,
    DeregisterRequest,
    Heartbeat,
    HeartbeatAnswer,
    RegisterAnswer,
    RegisterRequest,
    ServiceList,
    ServiceRecord,
    ServiceRegistration,
    ServiceStatus,
    TenantView,
)
from contracts.versions import check_range
from contracts.wire import describe
from plugin_runtime import Call, Plugin

PAGE_SIZE = 100
LARGEST_PAGE_SIZE = 1000
LAST_PAGE = 1_000_000

STATUSES: tuple[ServiceStatus, ...] = get_args(ServiceStatus)


def mount(plugin: Plugin, registry: Registry) -> None:
    """Let the plugin answer for the registry."""
    _mount_instances(plugin, registry)
    _mount_services(plugin, registry)


def _mount_instances(plugin: Plugin, registry: Registry) -> None:
    service = plugin.service(REGISTRY_SERVICE)

    @service.put("/register")
    async def register(call: Call) -> RegisterAnswer:
        return await registry.register(call.caller, RegisterRequest.parse(call.body))

    @service.put("/heartbeat")
    async def heartbeat(call: Call) -> HeartbeatAnswer:
        return await registry.heartbeat(call.caller, Heartbeat.parse(call.body))

    @service.post("/deregister")
    async def deregister(call: Call) -> None:
        await registry.deregister(call.caller, DeregisterRequest.parse(call.body))


def _mount_services(plugin: Plugin, registry: Registry) -> None:
    service = plugin.service(REGISTRY_SERVICE)

    @service.put("/services")
    async def register_service(call: Call) -> ServiceRecord:
        return await registry.register_service(call.caller, ServiceRegistration.parse(call.body))

    @service.get("/services")
    async def list_services(call: Call) -> ServiceList:
        query = call.query
        return await registry.list(
            tenant_of(call.tenant.id),
            plugin_id=checked("pluginId", check_plugin_id, query["pluginId"]) if "pluginId" in query else None,
            status=_status(query),
            page=whole_number(query, "page", 1, LAST_PAGE),
            limit=whole_number(query, "limit", PAGE_SIZE, LARGEST_PAGE_SIZE),
        )

    @service.get("/services/:name")
    async def discover(call: Call, name: str) -> ServiceRecord:
        range_ = checked("range", check_range, call.query.get("range", "*"))
        return await registry.discover(tenant_of(call.tenant.id), _service(name), range_)

    @service.get("/services/:name/versions")
    async def versions(call: Call, name: str) -> TenantView:
        return await registry.versions(tenant_of(call.tenant.id), _service(name))


def _service(name: str) -> str:
    return checked("name", check_service_name, name)


def _status(query: Query) -> ServiceStatus | None:
    found = query.get("status")
    if found is None:
        return None
    for status in STATUSES:
        if status == found:
            return status
    raise InvalidRequestError(f"status must be one of {', '.join(STATUSES)}, found {describe(found)}")

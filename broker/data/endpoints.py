"""The service ``system.data``: checks names, translates, delegates."""

from collections.abc import Callable
from typing import Any, Protocol

from broker.data.service import SharedData
from broker.requests import checked, whole_number
from contracts.calls import Query
from contracts.names import check_key, check_key_prefix, check_namespace, check_plugin_id
from contracts.registry import DATA_SERVICE
from contracts.shared_data import (
    PAGE_SIZE,
    DeleteAnswer,
    GetAnswer,
    KeyPage,
    SetAnswer,
    SetRequest,
    WatchRequest,
)
from plugin_runtime import Call, Plugin
from plugin_runtime.marks import ServiceDefinition


class WatchBinder(Protocol):
    """Binds and unbinds an instance's own queue to changes of shared data."""

    async def watch(self, tenant: str, plugin_id: str, instance_id: str, pattern: str) -> None:
        """Have the instance hear changes whose ``{namespace}.{key}`` the pattern admits; returns once it is bound."""

    async def unwatch(self, tenant: str, plugin_id: str, instance_id: str, pattern: str) -> None:
        """Take that back; a watch that is not there is no error."""


def mount(plugin: Plugin, data: SharedData, watch: WatchBinder) -> None:
    """Let the plugin answer for shared data."""
    service = plugin.service(DATA_SERVICE)
    _mount_values(service, data)
    _mount_namespaces(service, data)
    _mount_watches(service, data, watch)


def _mount_values(service: ServiceDefinition, data: SharedData) -> None:
    @service.put("/data/:namespace/:key")
    async def set_value(call: Call, namespace: str, key: str) -> SetAnswer:
        request = SetRequest.parse(call.body)
        place = (_namespace(namespace), _key(key))
        return SetAnswer(revision=await data.set(call.tenant.id, *place, request, caller=call.caller))

    @service.get("/data/:namespace/:key")
    async def get_value(call: Call, namespace: str, key: str) -> GetAnswer:
        place = (_namespace(namespace), _key(key))
        return GetAnswer(entry=await data.get(call.tenant.id, *place, caller=call.caller))

    @service.delete("/data/:namespace/:key")
    async def delete_value(call: Call, namespace: str, key: str) -> DeleteAnswer:
        place = (_namespace(namespace), _key(key))
        return DeleteAnswer(deleted=await data.delete(call.tenant.id, *place, caller=call.caller))


def _mount_namespaces(service: ServiceDefinition, data: SharedData) -> None:
    @service.get("/data/:namespace")
    async def list_keys(call: Call, namespace: str) -> KeyPage:
        return await data.keys(
            call.tenant.id,
            _namespace(namespace),
            caller=call.caller,
            owner_id=_owner(call.query),
            prefix=_part(call.query, "prefix", check_key_prefix),
            after=_part(call.query, "after", check_key),
            limit=whole_number(call.query, "limit", PAGE_SIZE, PAGE_SIZE),
        )

    @service.delete("/data/:namespace")
    async def clear_namespace(call: Call, namespace: str) -> dict[str, Any]:
        owner_id = _owner(call.query)
        count = await data.clear(call.tenant.id, _namespace(namespace), caller=call.caller, owner_id=owner_id)
        return {"count": count}


def _mount_watches(service: ServiceDefinition, data: SharedData, watch: WatchBinder) -> None:
    @service.put("/watch")
    async def watch_changes(call: Call) -> None:
        request = WatchRequest.parse(call.body)
        await data.check_watch(call.tenant.id, request.pattern, caller=call.caller)
        await watch.watch(call.tenant.id, call.caller, request.instance_id, request.pattern)

    @service.put("/unwatch")
    async def unwatch_changes(call: Call) -> None:
        request = WatchRequest.parse(call.body)
        await watch.unwatch(call.tenant.id, call.caller, request.instance_id, request.pattern)


def _namespace(value: str) -> str:
    return checked("namespace", check_namespace, value)


def _key(value: str) -> str:
    return checked("key", check_key, value)


def _part(query: Query, name: str, check: Callable[[str], str]) -> str:
    return checked(name, check, query[name]) if query.get(name) else ""


def _owner(query: Query) -> str | None:
    return checked("ownerId", check_plugin_id, query["ownerId"]) if "ownerId" in query else None

"""Rules of a manifest that look at more than one field: prefixes, duplicates, a dependency on itself.

They read the raw document, so that they are reported beside wrong types.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from contracts.names import PLUGIN_PREFIX, RESERVED_PLUGINS, owner_of, short_name

_Object = Mapping[str, Any]
_Shape = tuple[str | None, ...]


def broken_rules(document: _Object) -> Iterator[tuple[str, str]]:
    """Yield ``(dotted path, message)`` for each rule that spans fields; other errors do not hide them.

    Without a proper id, nothing is said about who owns what: the id itself is reported.
    """
    api = document.get("api")
    if not isinstance(api, Mapping):
        return
    services, dependencies = _objects(api, "services"), _objects(api, "dependencies")
    shared = _objects(api, "sharedData")
    for index, service in services:
        yield from _endpoint_rules(f"api.services.{index}.endpoints", _objects(service, "endpoints"))
    yield from _doubles("api.services", services, "name", "service")
    yield from _dependency_rules(dependencies)
    yield from _doubles("api.sharedData", shared, "namespace", "namespace")
    plugin_id = document.get("id")
    if isinstance(plugin_id, str) and plugin_id.startswith(PLUGIN_PREFIX):
        yield from _ownership(plugin_id, api)


def cache_rule(endpoint: _Object) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with an endpoint whose answers may be kept though its method is not GET."""
    method, metadata = endpoint.get("method"), endpoint.get("metadata")
    has_ttl = isinstance(metadata, Mapping) and metadata.get("cacheTTL") is not None
    if has_ttl and isinstance(method, str) and method != "GET":
        yield "metadata.cacheTTL", f"is for GET only, found {method}"


def _objects(parent: _Object, key: str) -> list[tuple[int, _Object]]:
    items = parent.get(key)
    if not isinstance(items, list | tuple):
        return []
    return [(index, item) for index, item in enumerate(items) if isinstance(item, Mapping)]


def _doubles(path: str, items: list[tuple[int, _Object]], key: str, kind: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, item in items:
        name = item.get(key)
        if isinstance(name, str):
            if name in seen:
                yield f"{path}.{index}.{key}", f"{kind} '{name}' is listed twice"
            seen.add(name)


def _endpoint_rules(path: str, endpoints: list[tuple[int, _Object]]) -> Iterator[tuple[str, str]]:
    seen: dict[tuple[str, _Shape], str] = {}
    for index, endpoint in endpoints:
        yield from ((f"{path}.{index}.{place}", message) for place, message in cache_rule(endpoint))
        method, route = endpoint.get("method"), endpoint.get("path")
        if not isinstance(method, str) or not isinstance(route, str):
            continue
        shape = (method, _shape(route))
        if shape in seen:
            yield f"{path}.{index}", f"endpoint {method} {route} is already there as {seen[shape]}"
        seen.setdefault(shape, f"{method} {route}")


def _shape(route: str) -> _Shape:
    """What a path matches: /contacts/:id and /contacts/:name are one, and so are /contacts and /%63ontacts."""
    return tuple(None if segment.startswith(":") else unquote(segment) for segment in route.split("/"))


def _dependency_rules(dependencies: list[tuple[int, _Object]]) -> Iterator[tuple[str, str]]:
    seen: set[tuple[str, str | None]] = set()
    for index, dependency in dependencies:
        target, service = dependency.get("pluginId"), dependency.get("serviceName")
        if not isinstance(target, str) or not isinstance(service, str | None):
            continue
        if target in RESERVED_PLUGINS:
            yield (
                f"api.dependencies.{index}.pluginId",
                f"'{target}' is part of the bus: its services can be called without a dependency, so leave this out",
            )
        elif service is not None and "." in service and owner_of(service) != target:
            yield (
                f"api.dependencies.{index}.serviceName",
                f"service '{service}' belongs to '{owner_of(service)}', not to '{target}'",
            )
        if (target, service) in seen:
            what = f"{target} {service}" if service else target
            yield f"api.dependencies.{index}", f"dependency on {what} is listed twice"
        seen.add((target, service))


def _ownership(plugin_id: str, api: _Object) -> Iterator[tuple[str, str]]:
    """What the plugin offers, publishes and shares bears its own name; what it asks for does not."""
    for index, service in _objects(api, "services"):
        if isinstance(service.get("name"), str) and "." in service["name"]:
            yield from _foreign(plugin_id, f"api.services.{index}.name", "service", service["name"])
    for index, dependency in _objects(api, "dependencies"):
        if dependency.get("pluginId") == plugin_id:
            yield f"api.dependencies.{index}.pluginId", f"plugin '{plugin_id}' cannot depend on itself"
    events = api.get("events")
    publishes = events.get("publishes") if isinstance(events, Mapping) else None
    for index, entry in enumerate(publishes if isinstance(publishes, list | tuple) else ()):
        pattern = entry.get("pattern") if isinstance(entry, Mapping) else entry
        yield from _foreign(plugin_id, f"api.events.publishes.{index}", "event", pattern)
    for index, shared in _objects(api, "sharedData"):
        yield from _foreign(plugin_id, f"api.sharedData.{index}.namespace", "namespace", shared.get("namespace"))


def _foreign(plugin_id: str, path: str, kind: str, name: object) -> Iterator[tuple[str, str]]:
    if isinstance(name, str) and owner_of(name) != plugin_id:
        yield path, f"{kind} '{name}' must begin with the plugin's own name '{short_name(plugin_id)}.'"

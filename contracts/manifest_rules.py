"""Rules of a manifest that look at more than one field: prefixes, duplicates, a dependency on itself.

They read the raw document, so that they are reported beside wrong types.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from contracts.names import PLUGIN_PREFIX, owner_of, short_name


def broken_rules(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield ``(dotted path, message)`` for each rule that spans fields: prefixes, duplicates, self-dependency."""
    plugin_id = document.get("id")
    api = document.get("api")
    if not isinstance(plugin_id, str) or not isinstance(api, Mapping):
        return
    if not plugin_id.startswith(PLUGIN_PREFIX):
        return  # without a proper id, who owns a name cannot be judged; the id itself is reported
    yield from _service_rules(plugin_id, _objects(api, "services"))
    yield from _dependency_rules(plugin_id, _objects(api, "dependencies"))
    for index, shared in _objects(api, "sharedData"):
        namespace = shared.get("namespace")
        if isinstance(namespace, str) and owner_of(namespace) != plugin_id:
            mine = short_name(plugin_id)
            yield (
                f"api.sharedData.{index}.namespace",
                f"namespace '{namespace}' must begin with the plugin's own name '{mine}.'",
            )
    events = api.get("events")
    if isinstance(events, Mapping):
        yield from _event_rules(plugin_id, events)


def _event_rules(plugin_id: str, events: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    publishes = events.get("publishes")
    for index, entry in enumerate(publishes if isinstance(publishes, list | tuple) else ()):
        pattern = entry.get("pattern") if isinstance(entry, Mapping) else entry
        if isinstance(pattern, str) and owner_of(pattern) != plugin_id:
            mine = short_name(plugin_id)
            yield f"api.events.publishes.{index}", f"event '{pattern}' must begin with the plugin's own name '{mine}.'"


def _objects(parent: Mapping[str, Any], key: str) -> list[tuple[int, Mapping[str, Any]]]:
    items = parent.get(key)
    if not isinstance(items, list | tuple):
        return []
    return [(index, item) for index, item in enumerate(items) if isinstance(item, Mapping)]


def _service_rules(plugin_id: str, services: list[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, service in services:
        name = service.get("name")
        if isinstance(name, str):
            if "." in name and owner_of(name) != plugin_id:
                mine = short_name(plugin_id)
                yield f"api.services.{index}.name", f"service '{name}' must begin with the plugin's own name '{mine}.'"
            if name in seen:
                yield f"api.services.{index}.name", f"service '{name}' is listed twice"
            seen.add(name)
        yield from _endpoint_rules(f"api.services.{index}.endpoints", _objects(service, "endpoints"))


def _endpoint_rules(path: str, endpoints: list[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    seen: dict[tuple[str, str], str] = {}
    for index, endpoint in endpoints:
        method, route = endpoint.get("method"), endpoint.get("path")
        if not isinstance(method, str) or not isinstance(route, str):
            continue
        # /contacts/:id and /contacts/:name are one route: both match the same calls.
        shape = (method, re.sub(r"(?<=/):[^/]+", ":", route))
        if shape in seen:
            yield f"{path}.{index}", f"endpoint {method} {route} is already there as {seen[shape]}"
        seen.setdefault(shape, f"{method} {route}")


def _dependency_rules(plugin_id: str, dependencies: list[tuple[int, Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    seen: set[tuple[str, str | None]] = set()
    for index, dependency in dependencies:
        target, service = dependency.get("pluginId"), dependency.get("serviceName")
        if not isinstance(target, str) or not isinstance(service, str | None):
            continue
        if target == plugin_id:
            yield f"api.dependencies.{index}.pluginId", f"plugin '{plugin_id}' cannot depend on itself"
        if service is not None and "." in service and owner_of(service) != target:
            yield (
                f"api.dependencies.{index}.serviceName",
                f"service '{service}' belongs to '{owner_of(service)}', not to '{target}'",
            )
        if (target, service) in seen:
            what = f"{target} {service}" if service else target
            yield f"api.dependencies.{index}", f"dependency on {what} is listed twice"
        seen.add((target, service))

"""Plugins as tests need them: manifests from a few words, handlers that keep what they hear."""

from typing import Any

from contracts.manifest import PluginManifest
from plugin_runtime import Call, Change, Event, Plugin
from tests.factories import Json


def make_plugin(
    name: str,
    *endpoints: str,
    version: str = "1.0.0",
    service: str = "contacts",
    service_version: str | None = None,
    needs: tuple[Json, ...] = (),
    shared: tuple[Json, ...] = (),
    calls: tuple[str, ...] = (),
) -> Plugin:
    """A plugin without handlers; with endpoints such as ``GET /contacts`` it has one service.

    Args:
        needs: Dependencies as a manifest lists them.
        calls: Services that it may call at any version, and does not miss while they are away.
    """
    listed = [dict(zip(("method", "path"), line.split(), strict=True)) for line in endpoints]
    offered = {"name": f"{name}.{service}", "version": service_version or version, "endpoints": listed}
    asked = [*needs, *(need(called.partition(".")[0], "*", called, required=False) for called in calls)]
    api = {"services": [offered] if listed else [], "dependencies": asked, "sharedData": list(shared)}
    return Plugin.from_manifest({"id": f"plugin-{name}", "name": name, "version": version, "api": api})


def make_crm(answer: Any = "served", *, version: str = "1.0.0", **fields: Any) -> Plugin:
    """A CRM whose ``GET /contacts`` gives one and the same answer."""
    crm = make_plugin("crm", "GET /contacts", version=version, **fields)

    @crm.service("crm.contacts").get("/contacts")
    async def contacts(_call: Call) -> Any:
        return answer

    return crm


def make_caller(*calls: str, name: str = "analytics") -> Plugin:
    """A plugin that only calls: ``crm.contacts`` unless other services are given."""
    return make_plugin(name, calls=calls or ("crm.contacts",))


def manifest(name: str, version: str = "1.0.0", **fields: Any) -> PluginManifest:
    """A manifest alone."""
    return make_plugin(name, version=version, **fields).manifest


def need(name: str, version: str = "^1.0.0", service: str | None = None, *, required: bool = True) -> Json:
    """A dependency as a manifest lists it."""
    found: Json = {"pluginId": f"plugin-{name}", "version": version, "required": required}
    return found if service is None else {**found, "serviceName": service}


class Ears:
    """A plugin's memory of events and changes."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def __call__(self, incoming: Event | Change) -> None:
        self.heard.append(incoming)

    @property
    def keys(self) -> list[str]:
        return [found.key for found in self.heard]

    def on(self, plugin: Plugin, pattern: str, **options: Any) -> "Ears":
        """Hear a plugin's events."""
        plugin.on(pattern, name=options.pop("name", "ears"), **options)(self._handler())
        return self

    def on_data(self, plugin: Plugin, pattern: str, **options: Any) -> "Ears":
        """Hear changes of shared data."""
        plugin.on_data(pattern, name=options.pop("name", "ears"), **options)(self._handler())
        return self

    def _handler(self) -> Any:
        async def handler(incoming: Any) -> None:
            self.heard.append(incoming)

        return handler

"""The service ``system.plugins``: what plugins the broker knows."""

from broker.administration import Administration
from broker.plugins.removal import Removal
from broker.plugins.service import Manifests
from broker.requests import checked, flag
from contracts.calls import Query
from contracts.dependencies import KnownPlugin, PluginList, PublishManifestRequest, RemovedPlugin
from contracts.manifest import PluginManifest
from contracts.names import check_plugin_id
from contracts.registry import PLUGINS_SERVICE
from contracts.versions import check_range, check_version
from plugin_runtime import Call, Plugin


def mount(plugin: Plugin, manifests: Manifests, removal: Removal, administration: Administration) -> None:
    """Let the plugin answer for manifests."""
    service = plugin.service(PLUGINS_SERVICE)

    @service.put("/plugins")
    async def publish_manifest(call: Call) -> KnownPlugin:
        return await manifests.publish(PublishManifestRequest.parse(call.body).manifest, caller=call.caller)

    @service.get("/plugins")
    async def list_plugins(call: Call) -> PluginList:
        del call
        return await manifests.list()

    @service.delete("/plugins/:plugin")
    async def remove_plugin(call: Call, plugin: str) -> RemovedPlugin:
        plugin_id = _plugin(plugin)
        administration.require(call.caller, f"remove {plugin_id}")
        version, force = _version(call.query), flag(call.query, "force")
        return await removal.remove(plugin_id, version=version, force=force, caller=call.caller)

    @service.get("/manifests/:plugin")
    async def manifest(call: Call, plugin: str) -> PluginManifest:
        return await manifests.manifest(
            _plugin(plugin), checked("version", check_range, call.query.get("version", "*"))
        )


def _plugin(plugin_id: str) -> str:
    return checked("plugin", check_plugin_id, plugin_id)


def _version(query: Query) -> str | None:
    return checked("version", check_version, query["version"]) if "version" in query else None

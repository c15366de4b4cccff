"""The service ``system.plugins``: what plugins the broker knows."""

from broker.plugins.service import Manifests
from contracts.dependencies import KnownPlugin, PluginList, PublishManifestRequest
from contracts.registry import PLUGINS_SERVICE
from plugin_runtime import Call, Plugin


def mount(plugin: Plugin, manifests: Manifests) -> None:
    """Let the plugin answer for manifests."""
    service = plugin.service(PLUGINS_SERVICE)

    @service.put("/plugins")
    async def publish_manifest(call: Call) -> KnownPlugin:
        return await manifests.publish(PublishManifestRequest.parse(call.body).manifest, caller=call.caller)

    @service.get("/plugins")
    async def list_plugins(call: Call) -> PluginList:
        del call
        return await manifests.list()

"""Known plugins: manifests published before any instance runs, and the namespaces they own."""

from broker.data.rules import NamespaceRule
from broker.dependencies import store as dependencies
from broker.dependencies.installations import Installations
from broker.plugins import store
from broker.provisioning.changes import Changes
from broker.registry.announcements import Announcements
from broker.storage.database import Database, Source
from contracts.dependencies import KnownPlugin, PluginList
from contracts.manifest import PluginManifest, SharedNamespace
from contracts.versions import ordered

NAMESPACE = """
SELECT owned.plugin_id, owned.plugin_version, owned.document FROM shared_namespaces AS owned
JOIN installations ON installations.plugin_id = owned.plugin_id AND installations.version = owned.plugin_version
WHERE installations.tenant = :tenant AND owned.namespace = :namespace
"""


class Manifests:
    """What plugins say of themselves. Is the shared data's `NamespaceRules` too."""

    def __init__(
        self, *, database: Database, changes: Changes, installations: Installations, announcements: Announcements
    ) -> None:
        self._database = database
        self._changes = changes
        self._installations = installations
        self._announcements = announcements

    async def publish(self, manifest: PluginManifest) -> KnownPlugin:
        """Make a plugin version known; the same content again changes nothing.

        Raises:
            InvalidRequestError: The id is reserved for the broker.
            NameTakenError: A service name belongs to another plugin.
        """
        async with self._changes.of(manifest.id) as transaction:
            if await store.publish(transaction, manifest):
                await self._announcements.dependencies(
                    transaction, manifest.id, manifest.version, manifest.api.dependencies
                )
                tenants = await dependencies.tenants_of(transaction, manifest.id)
                await self._installations.reassess(transaction, tenants)
        return KnownPlugin(id=manifest.id, version=manifest.version, name=manifest.name)

    async def list(self) -> PluginList:
        """Every known plugin version."""
        return PluginList(plugins=await store.known(self._database))

    async def rules_for(self, source: Source, tenant: str, namespace: str) -> NamespaceRule | None:
        """The rule of a namespace in a tenant: that of the highest installed version which declares it, or None."""
        rows = await source.rows(NAMESPACE, {"tenant": tenant, "namespace": namespace})
        found = {row["plugin_version"]: row for row in rows}
        if not found:
            return None
        row = found[ordered(found)[-1]]
        return NamespaceRule(row["plugin_id"], SharedNamespace.model_validate_json(row["document"]))

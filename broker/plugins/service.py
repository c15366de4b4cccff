"""Known plugins: manifests published before any instance runs, and the namespaces they own."""

from broker.data.rules import NamespaceRule
from broker.dependencies import store as dependencies
from broker.dependencies.installations import Installations
from broker.plugins import store
from broker.provisioning.changes import Changes
from broker.registry.announcements import Announcements
from broker.storage.database import Database, Source
from contracts.dependencies import KnownPlugin, PluginList
from contracts.errors import PermissionDeniedError
from contracts.manifest import PluginManifest


class Manifests:
    """What plugins say of themselves. Is the shared data's `NamespaceRules` too."""

    def __init__(
        self, *, database: Database, changes: Changes, installations: Installations, announcements: Announcements
    ) -> None:
        self._database = database
        self._changes = changes
        self._installations = installations
        self._announcements = announcements

    async def publish(self, manifest: PluginManifest, *, caller: str) -> KnownPlugin:
        """Make a plugin version known; the same content again changes nothing.

        Anybody may make an unknown version known, since deployers do that; a known one is replaced by its own plugin
        alone.

        Raises:
            InvalidRequestError: The id is reserved for the broker.
            PermissionDeniedError: The version is known with other content, and the caller is another plugin.
            NameTakenError: A service name belongs to another plugin.
        """
        async with self._changes.of(manifest.id) as transaction:
            await _refuse_foreign_change(transaction, manifest, caller)
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
        found = await store.declared_namespace(source, tenant, namespace)
        return None if found is None else NamespaceRule(*found)


async def _refuse_foreign_change(source: Source, manifest: PluginManifest, caller: str) -> None:
    known = await store.manifest_of(source, manifest.id, manifest.version)
    if known is None or known == manifest or caller == manifest.id:
        return
    raise PermissionDeniedError(
        f"Plugin {caller} may not replace the manifest of {manifest.id}@{manifest.version}, only {manifest.id} may",
        missing=manifest.id,
    )

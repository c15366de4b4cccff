"""Known plugins: manifests published before any instance runs, and the namespaces they own."""

from broker.administration import Administration
from broker.data.rules import NamespaceRule
from broker.dependencies import store as dependencies
from broker.dependencies.installations import Installations
from broker.dependencies.lifecycle import choose_version
from broker.plugins import store
from broker.plugins.schemas import completed
from broker.provisioning.changes import Changes
from broker.registry.announcements import Announcements
from broker.storage.database import Database, Source
from contracts.dependencies import KnownPlugin, PluginList
from contracts.errors import PermissionDeniedError
from contracts.manifest import PluginManifest


class Manifests:
    """What plugins say of themselves. Is the shared data's `NamespaceRules` too."""

    def __init__(
        self,
        *,
        database: Database,
        changes: Changes,
        installations: Installations,
        announcements: Announcements,
        administration: Administration,
    ) -> None:
        self._administration = administration
        self._database = database
        self._changes = changes
        self._installations = installations
        self._announcements = announcements

    async def publish(self, manifest: PluginManifest, *, caller: str) -> KnownPlugin:
        """Make a plugin version known; the same content again changes nothing.

        A plugin publishes its own manifest; who may administer publishes others too, yet a version that is known is
        replaced by its own plugin alone.

        Raises:
            InvalidRequestError: The id is reserved for the broker, or an instance of that version runs with other
                content.
            PermissionDeniedError: The caller is another plugin and may not administer, or the version is known with
                other content.
            NameTakenError: A service name belongs to another plugin.
        """
        if caller != manifest.id:
            self._administration.require(caller, f"publish the manifest of {manifest.id}")
        async with self._changes.of(manifest.id) as transaction:
            await _refuse_foreign_change(transaction, manifest, caller)
            if await store.publish(transaction, manifest):
                await self._announcements.dependencies(
                    transaction, manifest.id, manifest.version, manifest.api.dependencies
                )
                tenants = await dependencies.tenants_of(transaction, manifest.id)
                await self._installations.settle(transaction, tenants)
                await self._installations.reassess(transaction, tenants, [manifest.id])
        return KnownPlugin(id=manifest.id, version=manifest.version, name=manifest.name)

    async def manifest(self, plugin_id: str, range_: str = "*") -> PluginManifest:
        """The manifest of the highest known version in a range.

        Raises:
            PluginNotFoundError: Nobody knows the plugin.
            VersionMismatchError: No known version is in the range.
        """
        version = await choose_version(self._database, plugin_id, range_)
        found = await store.manifest_of(self._database, plugin_id, version)
        if found is None:  # removed in between
            raise await store.unknown_plugin(self._database, plugin_id)
        return found

    async def list(self) -> PluginList:
        """Every known plugin version."""
        return PluginList(plugins=await store.known(self._database))

    async def rules_for(self, source: Source, tenant: str, namespace: str) -> NamespaceRule | None:
        """The rule of a namespace in a tenant: that of the highest installed version which declares it, or None."""
        found = await store.declared_namespace(source, tenant, namespace)
        return None if found is None else NamespaceRule(*found)


async def _refuse_foreign_change(source: Source, manifest: PluginManifest, caller: str) -> None:
    known = await store.manifest_of(source, manifest.id, manifest.version)
    if known is None or caller == manifest.id or completed(manifest, known) == known:
        return
    raise PermissionDeniedError(
        f"Plugin {caller} may not replace the manifest of {manifest.id}@{manifest.version}, only {manifest.id} may",
        missing=manifest.id,
    )

"""Rows of manifests: the plugin versions the broker knows, what they offer and whose namespaces are whose."""

import json
from collections.abc import Iterable
from typing import Any

import structlog

from broker.plugins.differences import differences
from broker.plugins.schemas import completed, differ_in_schemas_only
from broker.storage.database import Source, Transaction
from contracts.dependencies import KnownPlugin
from contracts.errors import (
    InvalidRequestError,
    NameTakenError,
    PluginNotFoundError,
    did_you_mean,
)
from contracts.manifest import Dependency, PluginManifest, Service, SharedNamespace
from contracts.names import RESERVED_PLUGINS, owner_of
from contracts.versions import ordered

KNOWN = "SELECT id, version, name FROM plugins ORDER BY id"
MANIFEST = "SELECT manifest FROM plugins WHERE id = :id AND version = :version"
RUNNING = """
SELECT id FROM instances WHERE plugin_id = :id AND plugin_version = :version
    AND state <> 'UNAVAILABLE' AND id IS NOT :by ORDER BY id LIMIT 1
"""
VERSIONS = "SELECT version FROM plugins WHERE id = :id"
IDS = "SELECT DISTINCT id FROM plugins ORDER BY id"
PUBLISH = """
INSERT INTO plugins (id, version, name, manifest) VALUES (:id, :version, :name, :manifest)
ON CONFLICT (id, version) DO UPDATE SET name = excluded.name, manifest = excluded.manifest
"""
REMOVE = "DELETE FROM plugins WHERE id = :id AND version = :version"
REMOVE_STATUSES = """
DELETE FROM service_statuses WHERE NOT EXISTS (
    SELECT 1 FROM services WHERE services.name = service_statuses.name AND services.version = service_statuses.version)
"""
OTHER_OWNER = "SELECT plugin_id FROM services WHERE name = :name AND plugin_id <> :plugin_id LIMIT 1"
CLEAR_SERVICES = "DELETE FROM services WHERE plugin_id = :id AND plugin_version = :version"
CLEAR_NAMESPACES = "DELETE FROM shared_namespaces WHERE plugin_id = :id AND plugin_version = :version"
CLEAR_DEPENDENCIES = "DELETE FROM dependencies WHERE plugin_id = :id AND plugin_version = :version"
ADD_SERVICE = """
INSERT INTO services (plugin_id, plugin_version, name, version, document)
VALUES (:plugin_id, :plugin_version, :name, :version, :document)
ON CONFLICT (name, plugin_id, plugin_version) DO UPDATE SET version = excluded.version, document = excluded.document
"""
ADD_NAMESPACE = """
INSERT INTO shared_namespaces (plugin_id, plugin_version, namespace, document)
VALUES (:plugin_id, :plugin_version, :namespace, :document)
ON CONFLICT (namespace, plugin_id, plugin_version) DO UPDATE SET document = excluded.document
"""
NAMESPACE = """
SELECT owned.plugin_id, owned.plugin_version, owned.document FROM shared_namespaces AS owned
JOIN installations ON installations.plugin_id = owned.plugin_id AND installations.version = owned.plugin_version
WHERE installations.tenant = :tenant AND owned.namespace = :namespace
"""
ADD_DEPENDENCY = """
INSERT INTO dependencies (plugin_id, plugin_version, position, target, document)
VALUES (:plugin_id, :plugin_version, :position, :target, :document)
"""

_log = structlog.get_logger()


async def publish(transaction: Transaction, manifest: PluginManifest, *, by: str | None = None) -> bool:
    """Make a plugin version known; one that is known with other content is replaced, and that is logged.

    Dependencies that were declared anew stay as long as the manifest itself stays the same. Schemas that are known stay
    unless an instance registers that is the only one.

    Args:
        transaction: What it is written in.
        manifest: What the version is.
        by: The instance that registers with it, if one does.

    Returns:
        Whether anything changed.

    Raises:
        InvalidRequestError: The id is reserved for the broker, or as in `refuse_other_content`.
        NameTakenError: A service name belongs to another plugin.
    """
    refuse_reserved(manifest.id)
    key = {"id": manifest.id, "version": manifest.version}
    before = await manifest_of(transaction, manifest.id, manifest.version)
    if before is not None:
        await refuse_other_content(transaction, manifest, by=by)
        # An instance that runs alone says which types its handlers have now; a file, or one of several, says no less.
        if by is None or await transaction.row(RUNNING, {**key, "by": by}) is not None:
            manifest = completed(manifest, before)
        if manifest == before:
            return False
        if not differ_in_schemas_only(manifest, before):
            _log.warning("plugin.manifest_replaced", plugin=manifest.id, version=manifest.version)
    row = {**key, "name": manifest.name, "manifest": _text(manifest.to_json())}
    await transaction.execute(PUBLISH, row)
    await _write_parts(transaction, manifest)
    return True


async def refuse_other_content(source: Source, manifest: PluginManifest, *, by: str | None = None) -> None:
    """Refuse to replace the manifest of a version while an instance within its lease runs with the known content.

    Replaced beneath it, that instance would serve what nobody finds any more. Schemas that only one of the two says
    make no other content.

    Raises:
        InvalidRequestError: Another instance than ``by`` does; details: ``instanceId`` and ``differences``.
    """
    known = await manifest_of(source, manifest.id, manifest.version)
    if known is None or differ_in_schemas_only(manifest, known):
        return
    running = await source.row(RUNNING, {"id": manifest.id, "version": manifest.version, "by": by})
    if running is None:
        return
    where = f"{manifest.id}@{manifest.version}"
    found = differences(known.to_json(), manifest.to_json())
    raise InvalidRequestError(
        f'{where} is registered with other content by instance {running["id"]}: raise "version", or stop that instance '
        f"first; this one differs in {', '.join(found)}",
        instanceId=running["id"],
        differences=found,
    )


def refuse_reserved(plugin_id: str) -> None:
    """Raise `InvalidRequestError` for an id that only the broker may use."""
    if plugin_id in RESERVED_PLUGINS:
        raise InvalidRequestError(f"manifest.id: '{plugin_id}' is reserved for the broker", pluginId=plugin_id)


async def _write_parts(transaction: Transaction, manifest: PluginManifest) -> None:
    key = {"id": manifest.id, "version": manifest.version}
    for clear in (CLEAR_SERVICES, CLEAR_NAMESPACES):
        await transaction.execute(clear, key)
    for service in manifest.api.services:
        await write_service(transaction, manifest.id, manifest.version, service)
    for shared in manifest.api.shared_data:
        row = {"plugin_id": manifest.id, "plugin_version": manifest.version, "namespace": shared.namespace}
        await transaction.execute(ADD_NAMESPACE, {**row, "document": _text(shared.to_json())})
    await write_dependencies(transaction, manifest.id, manifest.version, manifest.api.dependencies)


async def write_service(transaction: Transaction, plugin_id: str, plugin_version: str, service: Service) -> None:
    """Write what a plugin version offers under a name.

    Raises:
        NameTakenError: The name belongs to another plugin, by its first word or because it was there first.
    """
    taken = await transaction.row(OTHER_OWNER, {"name": service.name, "plugin_id": plugin_id})
    owner = taken["plugin_id"] if taken else owner_of(service.name)
    if owner != plugin_id:
        raise NameTakenError(f"Service {service.name} belongs to {owner}, not to {plugin_id}", owner=owner)
    row = {"plugin_id": plugin_id, "plugin_version": plugin_version, "name": service.name, "version": service.version}
    await transaction.execute(ADD_SERVICE, {**row, "document": _text(service.to_json())})


async def write_dependencies(
    transaction: Transaction, plugin_id: str, version: str, dependencies: Iterable[Dependency]
) -> None:
    """Replace the whole set that a plugin version declares."""
    await transaction.execute(CLEAR_DEPENDENCIES, {"id": plugin_id, "version": version})
    for position, dependency in enumerate(dependencies):
        row = {"plugin_id": plugin_id, "plugin_version": version, "position": position}
        document = _text(dependency.to_json())
        await transaction.execute(ADD_DEPENDENCY, {**row, "target": dependency.plugin_id, "document": document})


async def known(source: Source) -> tuple[KnownPlugin, ...]:
    """Every plugin version, sorted by id, then version."""
    found: dict[str, dict[str, KnownPlugin]] = {}
    for row in await source.rows(KNOWN):
        plugin = KnownPlugin(id=row["id"], version=row["version"], name=row["name"])
        found.setdefault(plugin.id, {})[plugin.version] = plugin
    return tuple(plugins[version] for plugins in found.values() for version in ordered(plugins))


async def versions(source: Source, plugin_id: str) -> list[str]:
    """The known versions of a plugin, lowest first.

    Raises:
        PluginNotFoundError: None is known.
    """
    found = await known_versions(source, plugin_id)
    if not found:
        raise await unknown_plugin(source, plugin_id)
    return found


async def known_versions(source: Source, plugin_id: str) -> list[str]:
    """The known versions of a plugin, lowest first; none for one that nobody knows."""
    return ordered(row["version"] for row in await source.rows(VERSIONS, {"id": plugin_id}))


async def remove(transaction: Transaction, plugin_id: str, version: str) -> None:
    """Forget a plugin version with what it offers, owns and asks for; it must be neither installed nor registered."""
    await transaction.execute(REMOVE, {"id": plugin_id, "version": version})
    await transaction.execute(REMOVE_STATUSES)


async def unknown_plugin(source: Source, plugin_id: str) -> PluginNotFoundError:
    """The error that says that nobody knows the plugin, and which one may be meant."""
    ids = [row["id"] for row in await source.rows(IDS)]
    return PluginNotFoundError(f"Plugin {plugin_id} is not known{did_you_mean(plugin_id, ids)}", pluginId=plugin_id)


async def manifest_of(source: Source, plugin_id: str, version: str) -> PluginManifest | None:
    """The manifest of a plugin version, or None."""
    row = await source.row(MANIFEST, {"id": plugin_id, "version": version})
    return PluginManifest.model_validate_json(row["manifest"]) if row else None


async def declared_namespace(source: Source, tenant: str, namespace: str) -> tuple[str, SharedNamespace] | None:
    """Owner and declaration of a namespace in a tenant, by the highest installed version that declares it; or None."""
    rows = await source.rows(NAMESPACE, {"tenant": tenant, "namespace": namespace})
    found = {row["plugin_version"]: row for row in rows}
    if not found:
        return None
    row = found[ordered(found)[-1]]
    return row["plugin_id"], SharedNamespace.model_validate_json(row["document"])


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document)

"""Rows of dependencies and installations: what resolution needs to know, and why a plugin is DEGRADED."""

import json
from collections.abc import Iterable

from broker.dependencies.resolver import PluginFacts, major
from broker.storage.database import Row, Source, Transaction
from contracts.dependencies import DependencyEdge, Installation
from contracts.manifest import Dependency
from contracts.versions import ordered

KNOWN = "SELECT id, version FROM plugins ORDER BY id, version"
KNOWN_DEPENDENCIES = "SELECT plugin_id, plugin_version, document FROM dependencies ORDER BY 1, 2, position"
KNOWN_SERVICES = "SELECT plugin_id, plugin_version, name, version FROM services"
INSTALLED = "SELECT tenant, plugin_id, version FROM installations WHERE tenant = :tenant ORDER BY plugin_id, major"
INSTALLED_PLUGIN = "SELECT version FROM installations WHERE tenant = :tenant AND plugin_id = :plugin ORDER BY major"
TENANTS_OF_PLUGIN = "SELECT DISTINCT tenant FROM installations WHERE plugin_id = :plugin ORDER BY tenant"
TENANTS_OF_VERSION = """
SELECT tenant FROM installations WHERE plugin_id = :plugin AND version = :version ORDER BY tenant
"""
INSTALLED_VERSIONS = "SELECT DISTINCT plugin_id, version FROM installations"
INSTALL = """
INSERT INTO installations (tenant, plugin_id, major, version) VALUES (:tenant, :plugin, :major, :version)
ON CONFLICT (tenant, plugin_id, major) DO UPDATE SET version = excluded.version
"""
UNINSTALL = "DELETE FROM installations WHERE tenant = :tenant AND plugin_id = :plugin AND version = :version"
DECLARED = """
SELECT document FROM dependencies WHERE plugin_id = :plugin AND plugin_version = :version ORDER BY position
"""
UNMET_IN_TENANT = "SELECT plugin_id, plugin_version, reasons FROM unmet WHERE tenant = :tenant"
UNMET_OF_PLUGIN = """
SELECT reasons FROM unmet WHERE plugin_id = :plugin AND plugin_version = :version ORDER BY tenant
"""
ADD_UNMET = """
INSERT INTO unmet (tenant, plugin_id, plugin_version, reasons) VALUES (:tenant, :plugin, :version, :reasons)
ON CONFLICT (plugin_id, plugin_version, tenant) DO UPDATE SET reasons = excluded.reasons
"""
REMOVE_UNMET = "DELETE FROM unmet WHERE tenant = :tenant AND plugin_id = :plugin AND plugin_version = :version"

Reasons = tuple[str, ...]


async def known_facts(source: Source) -> dict[tuple[str, str], PluginFacts]:
    """What resolution must know of every plugin version, by id and version."""
    dependencies: dict[tuple[str, str], list[Dependency]] = {}
    for row in await source.rows(KNOWN_DEPENDENCIES):
        dependencies.setdefault(_node(row), []).append(_dependency(row))
    services: dict[tuple[str, str], dict[str, str]] = {}
    for row in await source.rows(KNOWN_SERVICES):
        services.setdefault(_node(row), {})[row["name"]] = row["version"]
    nodes = [(row["id"], row["version"]) for row in await source.rows(KNOWN)]
    return {
        node: PluginFacts(
            id=node[0],
            version=node[1],
            dependencies=tuple(dependencies.get(node, ())),
            services=services.get(node, {}),
        )
        for node in nodes
    }


async def installations(source: Source, tenant: str) -> tuple[Installation, ...]:
    """What is installed in a tenant, sorted by plugin and version."""
    return tuple(
        Installation(tenant=row["tenant"], plugin_id=row["plugin_id"], version=row["version"])
        for row in await source.rows(INSTALLED, {"tenant": tenant})
    )


async def installed_versions(source: Source, tenant: str, plugin: str) -> list[str]:
    """The versions of a plugin in a tenant, lowest first."""
    rows = await source.rows(INSTALLED_PLUGIN, {"tenant": tenant, "plugin": plugin})
    return [row["version"] for row in rows]


async def tenants_of(source: Source, plugin: str, version: str | None = None) -> list[str]:
    """The tenants in which a plugin is installed (at that version, if one is given), ascending."""
    sql = TENANTS_OF_PLUGIN if version is None else TENANTS_OF_VERSION
    parameters = {"plugin": plugin} if version is None else {"plugin": plugin, "version": version}
    return [row["tenant"] for row in await source.rows(sql, parameters)]


async def install(transaction: Transaction, installation: Installation) -> None:
    """Write an installation; it replaces the one of its major."""
    row = {"tenant": installation.tenant, "plugin": installation.plugin_id, "version": installation.version}
    await transaction.execute(INSTALL, {**row, "major": major(installation.version)})


async def uninstall(transaction: Transaction, installation: Installation) -> None:
    """Remove an installation."""
    row = {"tenant": installation.tenant, "plugin": installation.plugin_id, "version": installation.version}
    await transaction.execute(UNINSTALL, row)


async def declared(source: Source, plugin: str, version: str) -> tuple[Dependency, ...]:
    """What a plugin version asks for, in the order in which it says so."""
    rows = await source.rows(DECLARED, {"plugin": plugin, "version": version})
    return tuple(_dependency(row) for row in rows)


async def edges_in_force(source: Source) -> list[DependencyEdge]:
    """What plugins ask for at the versions that are installed anywhere; those installed nowhere at their highest."""
    versions: dict[str, set[str]] = {}
    for row in await source.rows(KNOWN):
        versions.setdefault(row["id"], set()).add(row["version"])
    used: dict[str, set[str]] = {}
    for row in await source.rows(INSTALLED_VERSIONS):
        used.setdefault(row["plugin_id"], set()).add(row["version"])
    force = {plugin: used.get(plugin) or {ordered(known)[-1]} for plugin, known in versions.items()}
    return [
        DependencyEdge(plugin_id=row["plugin_id"], version=row["plugin_version"], dependency=_dependency(row))
        for row in await source.rows(KNOWN_DEPENDENCIES)
        if row["plugin_version"] in force[row["plugin_id"]]
    ]


async def unmet_in(source: Source, tenant: str) -> dict[tuple[str, str], Reasons]:
    """The plugin versions in a tenant whose requirements are unmet, and why."""
    rows = await source.rows(UNMET_IN_TENANT, {"tenant": tenant})
    return {_node(row): tuple(json.loads(row["reasons"])) for row in rows}


async def reasons_of(source: Source, plugin: str, version: str) -> Reasons:
    """Why a plugin version is DEGRADED, over all tenants, equal lines once."""
    rows = await source.rows(UNMET_OF_PLUGIN, {"plugin": plugin, "version": version})
    return tuple(dict.fromkeys(line for row in rows for line in json.loads(row["reasons"])))


async def write_unmet(transaction: Transaction, tenant: str, node: tuple[str, str], reasons: Iterable[str]) -> None:
    """Note why a plugin version is DEGRADED in a tenant; no reasons mean that it is not."""
    row: dict[str, object] = {"tenant": tenant, "plugin": node[0], "version": node[1]}
    lines = list(reasons)
    if lines:
        await transaction.execute(ADD_UNMET, {**row, "reasons": json.dumps(lines)})
    else:
        await transaction.execute(REMOVE_UNMET, row)


def _node(row: Row) -> tuple[str, str]:
    return row["plugin_id"], row["plugin_version"]


def _dependency(row: Row) -> Dependency:
    return Dependency.model_validate_json(row["document"])

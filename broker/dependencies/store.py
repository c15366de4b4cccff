"""Rows of dependencies and installations: what resolution needs to know, and why a plugin is DEGRADED."""

import functools
import json
from collections.abc import Iterable
from itertools import groupby

from broker.dependencies.resolver import PluginFacts, major
from broker.dependencies.succession import Life
from broker.storage.database import Row, Source, Transaction
from contracts.dependencies import DependencyEdge, Installation
from contracts.manifest import Dependency
from contracts.versions import ordered

KNOWN = "SELECT id, version FROM plugins ORDER BY id, version"
KNOWN_DEPENDENCIES = "SELECT plugin_id, plugin_version, document FROM dependencies ORDER BY 1, 2, position"
KNOWN_SERVICES = "SELECT plugin_id, plugin_version, name, version FROM services"
INSTALLED = "SELECT * FROM installations WHERE tenant = :tenant"
INSTALLED_ANYWHERE = "SELECT * FROM installations WHERE plugin_id = :plugin"
INSTALLED_PLUGIN = "SELECT * FROM installations WHERE tenant = :tenant AND plugin_id = :plugin"
INSTALLED_IN = "SELECT * FROM installations WHERE tenant IN (SELECT value FROM json_each(:tenants))"
TENANTS_OF_PLUGIN = "SELECT DISTINCT tenant FROM installations WHERE plugin_id = :plugin ORDER BY tenant"
TENANTS_OF_VERSION = """
SELECT tenant FROM installations WHERE plugin_id = :plugin AND version = :version ORDER BY tenant
"""
TENANTS_WITH_SUPERSEDED = """
SELECT DISTINCT tenant FROM installations AS old WHERE superseded = 1 AND (
    tenant IN (SELECT value FROM json_each(:tenants))
    OR EXISTS (SELECT 1 FROM installations AS touched WHERE touched.tenant = old.tenant
        AND touched.plugin_id IN (SELECT value FROM json_each(:plugins)))
) ORDER BY tenant
"""
INSTALLED_VERSIONS = "SELECT DISTINCT plugin_id, version FROM installations"
INSTALL = """
INSERT INTO installations (tenant, plugin_id, major, version, forced_at, forced_reasons)
VALUES (:tenant, :plugin, :major, :version,
    CASE WHEN :reasons IS NULL THEN NULL ELSE strftime('%Y-%m-%dT%H:%M:%SZ', 'now') END, :reasons)
ON CONFLICT (tenant, plugin_id, version) DO UPDATE SET superseded = 0,
    forced_at = excluded.forced_at, forced_reasons = excluded.forced_reasons
"""
SUPERSEDE = """
UPDATE installations SET superseded = 1 WHERE tenant = :tenant AND plugin_id = :plugin AND version = :version
"""
UNINSTALL = "DELETE FROM installations WHERE tenant = :tenant AND plugin_id = :plugin AND version = :version"
INSTANCES_OF_SUPERSEDED = """
SELECT instances.plugin_id, instances.plugin_version, instances.state, served.name FROM instances
LEFT JOIN service_instances AS served ON served.instance_id = instances.id
WHERE instances.plugin_id IN (SELECT plugin_id FROM installations WHERE superseded = 1)
"""
SUBSCRIPTIONS_OF_SUPERSEDED = """
SELECT plugin_id, major, min(broadcast) AS broadcast FROM subscriptions
WHERE plugin_id IN (SELECT plugin_id FROM installations WHERE superseded = 1) GROUP BY plugin_id, major
"""
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
    """What is installed in a tenant, superseded versions too, sorted by plugin and version."""
    return _installations(await source.rows(INSTALLED, {"tenant": tenant}))


async def installations_of(source: Source, plugin: str, tenant: str | None = None) -> tuple[Installation, ...]:
    """Where a plugin is installed, superseded versions too, sorted by tenant and version; in one tenant if given."""
    if tenant is None:
        return _installations(await source.rows(INSTALLED_ANYWHERE, {"plugin": plugin}))
    return _installations(await source.rows(INSTALLED_PLUGIN, {"tenant": tenant, "plugin": plugin}))


async def installations_in(source: Source, tenants: Iterable[str]) -> dict[str, tuple[Installation, ...]]:
    """What is installed in each of these tenants, sorted by plugin and version."""
    found: dict[str, tuple[Installation, ...]] = {}
    rows = _installations(await source.rows(INSTALLED_IN, {"tenants": json.dumps(list(tenants))}))
    for tenant, there in groupby(rows, key=lambda item: item.tenant):
        found[tenant] = tuple(there)
    return found


async def current_versions(source: Source, tenant: str, plugin: str) -> list[str]:
    """The versions of a plugin in a tenant that are not superseded, lowest first."""
    return [item.version for item in await installations_of(source, plugin, tenant) if not item.superseded]


async def tenants_of(source: Source, plugin: str, version: str | None = None) -> list[str]:
    """The tenants in which a plugin is installed (at that version, if one is given), ascending."""
    sql = TENANTS_OF_PLUGIN if version is None else TENANTS_OF_VERSION
    parameters = {"plugin": plugin} if version is None else {"plugin": plugin, "version": version}
    return [row["tenant"] for row in await source.rows(sql, parameters)]


async def tenants_with_superseded(
    source: Source, *, tenants: Iterable[str] = (), plugins: Iterable[str] = ()
) -> list[str]:
    """The tenants in which some version lingers: those of the ones given, and those with any of the plugins."""
    parameters = {"tenants": json.dumps(list(tenants)), "plugins": json.dumps(list(plugins))}
    return [row["tenant"] for row in await source.rows(TENANTS_WITH_SUPERSEDED, parameters)]


async def install(transaction: Transaction, installation: Installation) -> None:
    """Write an installation as a current one, with what ``force`` overrode."""
    reasons = json.dumps(installation.overridden) if installation.overridden else None
    row = {**_key(installation), "major": major(installation.version), "reasons": reasons}
    await transaction.execute(INSTALL, row)


async def supersede(transaction: Transaction, installation: Installation) -> None:
    """Note that another version took an installation's place."""
    await transaction.execute(SUPERSEDE, _key(installation))


async def uninstall(transaction: Transaction, installation: Installation) -> None:
    """Remove an installation."""
    await transaction.execute(UNINSTALL, _key(installation))


async def life_of_superseded(source: Source) -> dict[tuple[str, str], Life]:
    """What instances do, for every plugin of which a version lingers anywhere."""
    subscribed = {
        (row["plugin_id"], row["major"]): not row["broadcast"] for row in await source.rows(SUBSCRIPTIONS_OF_SUPERSEDED)
    }
    serving: dict[tuple[str, str], set[str]] = {}
    registered: dict[tuple[str, str], set[str]] = {}
    for row in await source.rows(INSTANCES_OF_SUPERSEDED):
        names = {row["name"]} - {None}
        registered.setdefault(_node(row), set()).update(names)
        serving.setdefault(_node(row), set()).update(names if row["state"] != "UNAVAILABLE" else ())
    nodes = [(row["id"], row["version"]) for row in await source.rows(KNOWN)]
    return {
        node: Life(
            serving=frozenset(serving.get(node, ())),
            registered=frozenset(registered.get(node, ())),
            has_come=node in registered or (node[0], major(node[1])) in subscribed,
            is_hearing=subscribed.get((node[0], major(node[1])), False),
        )
        for node in nodes
        if node in registered or (node[0], major(node[1])) in subscribed
    }


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


def _key(installation: Installation) -> dict[str, object]:
    return {"tenant": installation.tenant, "plugin": installation.plugin_id, "version": installation.version}


def _installations(rows: Iterable[Row]) -> tuple[Installation, ...]:
    found: dict[tuple[str, str], dict[str, Installation]] = {}
    for row in rows:
        installation = Installation.model_construct(
            tenant=row["tenant"],
            plugin_id=row["plugin_id"],
            version=row["version"],
            superseded=bool(row["superseded"]),
            overridden=tuple(json.loads(row["forced_reasons"] or "[]")),
        )
        found.setdefault((row["tenant"], row["plugin_id"]), {})[row["version"]] = installation
    return tuple(found[key][version] for key in sorted(found) for version in ordered(found[key]))


def _dependency(row: Row) -> Dependency:
    return _parsed(row["document"])


@functools.lru_cache(maxsize=65_536)
def _parsed(document: str) -> Dependency:
    """Parsed once: every change reads all dependencies there are, and few of them are new."""
    return Dependency.model_validate_json(document)

"""Rows of the registry: instances, what they serve, statuses announced last, the revision."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from broker.registry.rules import ServiceKey, Standing
from broker.storage.database import Row, Source, Transaction
from contracts.registry import InstanceStatus, ServiceStatus

INSTANCE = "SELECT * FROM instances WHERE id = :id"
INSTANCES = "SELECT * FROM instances ORDER BY id"
INSTANCES_OF = "SELECT * FROM instances WHERE plugin_id = :plugin ORDER BY id"
WRITE_INSTANCE = """
INSERT INTO instances (id, plugin_id, plugin_version, reported, state, last_heard)
VALUES (:id, :plugin_id, :plugin_version, :reported, :state, :last_heard)
ON CONFLICT (id) DO UPDATE SET plugin_version = excluded.plugin_version, reported = excluded.reported,
    state = excluded.state, last_heard = excluded.last_heard
"""
SET_STATE = "UPDATE instances SET reported = :reported, state = :state, last_heard = :last_heard WHERE id = :id"
SET_HEARD = """
UPDATE instances SET last_heard = heard.value FROM json_each(:heard) AS heard WHERE instances.id = heard.key
"""
REMOVE_INSTANCE = "DELETE FROM instances WHERE id = :id"
SERVED = "SELECT name, version FROM service_instances WHERE instance_id = :id ORDER BY name"
SERVED_BY_PLUGIN = """
SELECT DISTINCT served.name, served.version FROM service_instances AS served
JOIN instances ON instances.id = served.instance_id WHERE instances.plugin_id = :plugin ORDER BY 1, 2
"""
SERVE = """
INSERT INTO service_instances (instance_id, name, version) VALUES (:id, :name, :version)
ON CONFLICT (instance_id, name) DO UPDATE SET version = excluded.version
"""
STOP_SERVING = "DELETE FROM service_instances WHERE instance_id = :id AND name = :name"
STOP_SERVING_ALL = "DELETE FROM service_instances WHERE instance_id = :id"
RUNNING_VERSIONS = "SELECT DISTINCT plugin_version FROM instances WHERE plugin_id = :plugin"
IN_TENANT = """
SELECT services.*, EXISTS (SELECT 1 FROM unmet WHERE unmet.tenant = installations.tenant
    AND unmet.plugin_id = installations.plugin_id AND unmet.plugin_version = installations.version) AS is_lacking
FROM installations
JOIN services ON services.plugin_id = installations.plugin_id AND services.plugin_version = installations.version
WHERE installations.tenant = :tenant
    AND (:name IS NULL OR services.name = :name) AND (:plugin IS NULL OR services.plugin_id = :plugin)
"""
SERVING_TENANTS = """
SELECT DISTINCT own.name, installations.tenant FROM services AS own
JOIN services AS offered ON offered.name = own.name AND offered.version = own.version
    AND offered.plugin_id = own.plugin_id
JOIN installations ON installations.plugin_id = offered.plugin_id AND installations.version = offered.plugin_version
WHERE own.plugin_id = :plugin AND own.plugin_version = :version ORDER BY 1, 2
"""
ANYWHERE = "SELECT * FROM services WHERE name = :name AND version = :version"
SERVING = """
SELECT served.name, served.version, instances.id, instances.state, instances.last_heard
FROM service_instances AS served JOIN instances ON instances.id = served.instance_id
WHERE (:name IS NULL OR served.name = :name) AND (:plugin IS NULL OR instances.plugin_id = :plugin)
"""
DEGRADED_IN = """
SELECT DISTINCT unmet.tenant FROM unmet
JOIN services ON services.plugin_id = unmet.plugin_id AND services.plugin_version = unmet.plugin_version
WHERE services.name = :name AND services.version = :version AND NOT EXISTS (
    SELECT 1 FROM installations AS other
    JOIN services AS offered ON offered.plugin_id = other.plugin_id AND offered.plugin_version = other.version
    WHERE other.tenant = unmet.tenant AND offered.name = :name AND offered.version = :version
        AND NOT EXISTS (SELECT 1 FROM unmet AS lacked WHERE lacked.tenant = other.tenant
            AND lacked.plugin_id = other.plugin_id AND lacked.plugin_version = other.version)
) ORDER BY 1
"""
STANDING = "SELECT status, degraded_in FROM service_statuses WHERE name = :name AND version = :version"
SET_STANDING = """
INSERT INTO service_statuses (name, version, status, degraded_in) VALUES (:name, :version, :status, :degraded_in)
ON CONFLICT (name, version) DO UPDATE SET status = excluded.status, degraded_in = excluded.degraded_in
"""
REMOVE_STANDING = "DELETE FROM service_statuses WHERE name = :name AND version = :version"
REVISION_NAME = "registry_revision"
"""What a transaction touches that counts the revision on; one that changes an instance touches the instance's id."""

REVISION = "SELECT value FROM registry_revision"
NEXT_REVISION = "UPDATE registry_revision SET value = value + 1 RETURNING value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A registered process.

    Attributes:
        reported: What it says of itself.
        state: What the broker last made of it.
        last_heard: Seconds since the epoch, as written last.
    """

    id: str
    plugin_id: str
    plugin_version: str
    reported: InstanceStatus
    state: ServiceStatus
    last_heard: float


def _instance(row: Row) -> Instance:
    return Instance(
        id=row["id"],
        plugin_id=row["plugin_id"],
        plugin_version=row["plugin_version"],
        reported=row["reported"],
        state=row["state"],
        last_heard=row["last_heard"],
    )


async def instance(source: Source, instance_id: str) -> Instance | None:
    """An instance, or None."""
    row = await source.row(INSTANCE, {"id": instance_id})
    return _instance(row) if row else None


async def instances(source: Source, plugin: str | None = None) -> list[Instance]:
    """Every instance, or every one of a plugin."""
    rows = await (source.rows(INSTANCES) if plugin is None else source.rows(INSTANCES_OF, {"plugin": plugin}))
    return [_instance(row) for row in rows]


async def write_instance(transaction: Transaction, found: Instance) -> None:
    """Write an instance, new or known."""
    row = {
        "id": found.id,
        "plugin_id": found.plugin_id,
        "plugin_version": found.plugin_version,
        "reported": found.reported,
        "state": found.state,
        "last_heard": found.last_heard,
    }
    await transaction.execute(WRITE_INSTANCE, row)
    transaction.touch(found.id)


async def set_state(
    transaction: Transaction, instance_id: str, reported: InstanceStatus, state: ServiceStatus, last_heard: float
) -> None:
    """Note what an instance says of itself and what the broker makes of it."""
    row = {"id": instance_id, "reported": reported, "state": state, "last_heard": last_heard}
    await transaction.execute(SET_STATE, row)
    transaction.touch(instance_id)


async def set_heard(transaction: Transaction, heard: Mapping[str, float]) -> None:
    """Note when instances were last heard, all in one statement: there may be thousands."""
    await transaction.execute(SET_HEARD, {"heard": json.dumps(heard)})


async def remove_instance(transaction: Transaction, instance_id: str) -> None:
    """Remove an instance with what it serves, hears and watches."""
    await transaction.execute(REMOVE_INSTANCE, {"id": instance_id})
    transaction.touch(instance_id)


async def served(source: Source, instance_id: str) -> list[ServiceKey]:
    """The service versions that an instance serves."""
    return [(row["name"], row["version"]) for row in await source.rows(SERVED, {"id": instance_id})]


async def served_by(source: Source, plugin: str) -> list[ServiceKey]:
    """The service versions that any instance of a plugin serves."""
    return [(row["name"], row["version"]) for row in await source.rows(SERVED_BY_PLUGIN, {"plugin": plugin})]


async def serve(transaction: Transaction, instance_id: str, name: str, version: str) -> None:
    """Note that an instance serves a service version."""
    await transaction.execute(SERVE, {"id": instance_id, "name": name, "version": version})


async def stop_serving(transaction: Transaction, instance_id: str, name: str | None = None) -> None:
    """Note that an instance serves a service no more, or none at all."""
    if name is None:
        await transaction.execute(STOP_SERVING_ALL, {"id": instance_id})
    else:
        await transaction.execute(STOP_SERVING, {"id": instance_id, "name": name})


async def standing(source: Source, service: ServiceKey) -> Standing | None:
    """What was announced last, or None."""
    row = await source.row(STANDING, {"name": service[0], "version": service[1]})
    return Standing(row["status"], tuple(json.loads(row["degraded_in"]))) if row else None


async def set_standing(transaction: Transaction, service: ServiceKey, found: Standing | None) -> None:
    """Note what is announced; None when the service version is gone."""
    key: dict[str, object] = {"name": service[0], "version": service[1]}
    if found is None:
        await transaction.execute(REMOVE_STANDING, key)
    else:
        row = {**key, "status": found.status, "degraded_in": json.dumps(found.degraded_in)}
        await transaction.execute(SET_STANDING, row)


async def running_versions(source: Source, plugin: str) -> list[str]:
    """The versions at which instances of a plugin are registered."""
    return [row["plugin_version"] for row in await source.rows(RUNNING_VERSIONS, {"plugin": plugin})]


async def services_in(source: Source, tenant: str, *, name: str | None, plugin: str | None) -> list[Row]:
    """What is offered in a tenant: rows of ``services``, of that name or plugin if one is given.

    ``is_lacking``: the plugin version lacks a required dependency in the tenant.
    """
    return await source.rows(IN_TENANT, {"tenant": tenant, "name": name, "plugin": plugin})


async def serving_tenants(source: Source, plugin: str, version: str) -> dict[str, tuple[str, ...]]:
    """By service that a plugin version offers: the tenants whose calls come by the queue of its service version.

    They are those in which any version of the plugin is installed that offers the service at the same version.
    """
    found: dict[str, list[str]] = {}
    for row in await source.rows(SERVING_TENANTS, {"plugin": plugin, "version": version}):
        found.setdefault(row["name"], []).append(row["tenant"])
    return {name: tuple(tenants) for name, tenants in found.items()}


async def services_anywhere(source: Source, service: ServiceKey) -> list[Row]:
    """Rows of ``services``: every plugin version that offers a service version."""
    return await source.rows(ANYWHERE, {"name": service[0], "version": service[1]})


async def degraded_in(source: Source, service: ServiceKey) -> tuple[str, ...]:
    """The tenants in which every installed plugin version that offers a service version lacks something required."""
    rows = await source.rows(DEGRADED_IN, {"name": service[0], "version": service[1]})
    return tuple(row["tenant"] for row in rows)


async def serving(source: Source, *, name: str | None, plugin: str | None) -> dict[ServiceKey, list[Row]]:
    """The instances behind each service version: ``id``, ``state`` and ``last_heard``."""
    found: dict[ServiceKey, list[Row]] = {}
    for row in await source.rows(SERVING, {"name": name, "plugin": plugin}):
        found.setdefault((row["name"], row["version"]), []).append(row)
    return found


async def revision(source: Source) -> int:
    """The revision of the last announcement."""
    row = await source.row(REVISION)
    return int(row["value"]) if row else 0


async def next_revision(transaction: Transaction) -> int:
    """Count the registry's revision on by one and return it."""
    transaction.touch(REVISION_NAME)
    row = await transaction.row(NEXT_REVISION)
    if row is None:
        raise RuntimeError("table registry_revision has lost its row")
    return int(row["value"])

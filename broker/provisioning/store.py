"""Rows that plans are made from, the list of every queue declared, and of those that nothing asks for any more."""

import json
from collections.abc import Iterable

from broker.dependencies.resolver import major
from broker.provisioning.plan import LastingQueue, PluginState
from broker.registry import subscriptions
from broker.registry.rules import ServiceKey
from broker.storage.database import Source, Transaction

PLUGINS = "SELECT DISTINCT id FROM plugins ORDER BY id"
INSTALLATIONS = "SELECT tenant, version FROM installations WHERE plugin_id = :plugin"
OFFERS = "SELECT plugin_version, name, version FROM services WHERE plugin_id = :plugin"
ALIVE = """
SELECT DISTINCT served.name, served.version FROM service_instances AS served
JOIN instances ON instances.id = served.instance_id
WHERE instances.plugin_id = :plugin AND instances.state <> 'UNAVAILABLE'
"""
INSTANCES = "SELECT id, plugin_version, state FROM instances WHERE plugin_id = :plugin"
WATCHES = """
SELECT watches.instance_id, watches.tenant, watches.pattern FROM watches
JOIN instances ON instances.id = watches.instance_id WHERE instances.plugin_id = :plugin
"""
ADD_WATCH = "INSERT OR IGNORE INTO watches (instance_id, tenant, pattern) VALUES (:instance, :tenant, :pattern)"
REMOVE_WATCH = "DELETE FROM watches WHERE instance_id = :instance AND tenant = :tenant AND pattern = :pattern"
INSTANCE_OWNER = "SELECT plugin_id FROM instances WHERE id = :instance"
QUEUES = "SELECT name FROM queues ORDER BY name"
ADD_QUEUES = "INSERT OR IGNORE INTO queues (name) SELECT value FROM json_each(:names) WHERE true"
REMOVE_QUEUES = "DELETE FROM queues WHERE name IN (SELECT value FROM json_each(:names))"
REMOVE_WATCHES_IN = """
DELETE FROM watches WHERE tenant = :tenant
    AND instance_id IN (SELECT id FROM instances WHERE plugin_id = :plugin)
"""
WATCHING_IN = """
SELECT DISTINCT instances.plugin_id FROM watches JOIN instances ON instances.id = watches.instance_id
WHERE watches.tenant = :tenant ORDER BY 1
"""
ADD_LEFTOVER = "INSERT OR REPLACE INTO leftover_queues (name, plugin_id, subscription) VALUES (:name, :plugin, :heard)"
REMOVE_LEFTOVERS = "DELETE FROM leftover_queues WHERE name IN (SELECT value FROM json_each(:names))"
LEFTOVERS = "SELECT name, subscription FROM leftover_queues WHERE plugin_id = :plugin ORDER BY name"
PLUGINS_WITH_LEFTOVERS = "SELECT DISTINCT plugin_id FROM leftover_queues ORDER BY 1"


async def plugins(source: Source) -> list[str]:
    """The ids of every known plugin, ascending."""
    return [row["id"] for row in await source.rows(PLUGINS)]


async def state_of(source: Source, plugin: str) -> PluginState:
    """What the rows say of a plugin."""
    key = {"plugin": plugin}
    offers: dict[str, list[ServiceKey]] = {}
    for row in await source.rows(OFFERS, key):
        offers.setdefault(row["plugin_version"], []).append((row["name"], row["version"]))
    instances = await source.rows(INSTANCES, key)
    return PluginState(
        plugin=plugin,
        installations=tuple((row["tenant"], row["version"]) for row in await source.rows(INSTALLATIONS, key)),
        offers={version: tuple(services) for version, services in offers.items()},
        alive=frozenset((row["name"], row["version"]) for row in await source.rows(ALIVE, key)),
        instances={row["id"]: major(row["plugin_version"]) for row in instances if row["state"] != "UNAVAILABLE"},
        registered=frozenset(row["plugin_version"] for row in instances),
        subscriptions=await subscriptions.of_majors(source, plugin),
        hearing={
            instance: heard for (instance, _), heard in (await subscriptions.of_instances(source, plugin)).items()
        },
        watches=tuple((row[0], row[1], row[2]) for row in await source.rows(WATCHES, key)),
    )


async def add_watch(transaction: Transaction, instance: str, tenant: str, pattern: str) -> None:
    """Note that an instance follows shared data, so that a lost binding can be restored."""
    await transaction.execute(ADD_WATCH, {"instance": instance, "tenant": tenant, "pattern": pattern})


async def remove_watch(transaction: Transaction, instance: str, tenant: str, pattern: str) -> None:
    """Forget a watch."""
    await transaction.execute(REMOVE_WATCH, {"instance": instance, "tenant": tenant, "pattern": pattern})


async def owner_of_instance(source: Source, instance: str) -> str | None:
    """The plugin that an instance belongs to, or None for an instance nobody knows."""
    row = await source.row(INSTANCE_OWNER, {"instance": instance})
    return str(row["plugin_id"]) if row else None


async def known_queues(source: Source) -> list[str]:
    """Every queue ever declared for a plugin, ascending."""
    return [row["name"] for row in await source.rows(QUEUES)]


async def remember_queues(transaction: Transaction, names: Iterable[str]) -> None:
    """Note queues that are about to be declared; none of them is left over any more."""
    found = list(names)
    await transaction.execute(ADD_QUEUES, {"names": json.dumps(sorted(found))})
    await remove_leftovers(transaction, found)


async def forget_queues(transaction: Transaction, names: Iterable[str]) -> None:
    """Note that queues were deleted."""
    await transaction.execute(REMOVE_QUEUES, {"names": json.dumps(sorted(names))})


async def remove_leftovers(transaction: Transaction, names: Iterable[str]) -> None:
    """Note that queues are left over no more: deleted, or asked for again."""
    await transaction.execute(REMOVE_LEFTOVERS, {"names": json.dumps(sorted(names))})


async def remove_watches_in(transaction: Transaction, tenant: str, plugin: str) -> None:
    """Forget what a plugin's instances follow of a tenant's shared data."""
    await transaction.execute(REMOVE_WATCHES_IN, {"tenant": tenant, "plugin": plugin})


async def watching_in(source: Source, tenant: str) -> list[str]:
    """The plugins of which an instance follows a tenant's shared data, ascending."""
    return [row["plugin_id"] for row in await source.rows(WATCHING_IN, {"tenant": tenant})]


async def add_leftovers(transaction: Transaction, plugin: str, queues: Iterable[LastingQueue]) -> None:
    """Note queues that nothing asks for any more."""
    for queue in queues:
        row = {"name": queue.name, "plugin": plugin, "heard": queue.subscription}
        await transaction.execute(ADD_LEFTOVER, row)


async def leftovers(source: Source, plugin: str) -> frozenset[LastingQueue]:
    """The queues of a plugin that nothing asks for any more."""
    rows = await source.rows(LEFTOVERS, {"plugin": plugin})
    return frozenset(LastingQueue(row["name"], row["subscription"]) for row in rows)


async def plugins_with_leftovers(source: Source) -> list[str]:
    """The plugins of which queues are left over, ascending; such a plugin may be known no more."""
    return [row["plugin_id"] for row in await source.rows(PLUGINS_WITH_LEFTOVERS)]

"""Rows that plans are made from, and the list of every queue ever declared."""

import json
from collections.abc import Iterable

from broker.provisioning.plan import PluginState
from broker.registry.rules import ServiceKey
from broker.storage.database import Source, Transaction
from contracts.registry import Subscription

PLUGINS = "SELECT DISTINCT id FROM plugins ORDER BY id"
INSTALLATIONS = "SELECT tenant, version FROM installations WHERE plugin_id = :plugin"
OFFERS = "SELECT plugin_version, name, version FROM services WHERE plugin_id = :plugin"
ALIVE = """
SELECT DISTINCT served.name, served.version FROM service_instances AS served
JOIN instances ON instances.id = served.instance_id
WHERE instances.plugin_id = :plugin AND instances.state <> 'UNAVAILABLE'
"""
INSTANCES = "SELECT id, plugin_version FROM instances WHERE plugin_id = :plugin AND state <> 'UNAVAILABLE'"
SUBSCRIPTIONS = "SELECT major, name, source, pattern, broadcast FROM subscriptions WHERE plugin_id = :plugin"
WATCHES = """
SELECT watches.instance_id, watches.tenant, watches.pattern FROM watches
JOIN instances ON instances.id = watches.instance_id WHERE instances.plugin_id = :plugin
"""
ADD_WATCH = "INSERT OR IGNORE INTO watches (instance_id, tenant, pattern) VALUES (:instance, :tenant, :pattern)"
REMOVE_WATCH = "DELETE FROM watches WHERE instance_id = :instance AND tenant = :tenant AND pattern = :pattern"
INSTANCE_OWNER = "SELECT plugin_id FROM instances WHERE id = :instance"
QUEUES = "SELECT name FROM queues ORDER BY name"
ADD_QUEUES = "INSERT OR IGNORE INTO queues (name) SELECT value FROM json_each(:names) WHERE true"


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
        instances={row["id"]: int(row["plugin_version"].partition(".")[0]) for row in instances},
        subscriptions=await subscriptions_of(source, plugin),
        watches=tuple((row[0], row[1], row[2]) for row in await source.rows(WATCHES, key)),
    )


async def subscriptions_of(source: Source, plugin: str) -> dict[int, tuple[Subscription, ...]]:
    """What each major of a plugin hears."""
    found: dict[int, tuple[Subscription, ...]] = {}
    for row in await source.rows(SUBSCRIPTIONS, {"plugin": plugin}):
        heard = Subscription(
            name=row["name"], source=row["source"], pattern=row["pattern"], broadcast=bool(row["broadcast"])
        )
        found[row["major"]] = (*found.get(row["major"], ()), heard)
    return found


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
    """Note queues that are about to be declared."""
    await transaction.execute(ADD_QUEUES, {"names": json.dumps(sorted(names))})

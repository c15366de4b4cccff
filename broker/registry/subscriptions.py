"""Rows of what instances hear, and of what their plugin's major hears by that."""

from collections.abc import Iterable, Mapping

import structlog

from broker.dependencies.resolver import major
from broker.plugins import store as plugins
from broker.registry.hearing import Hearing, heard_now
from broker.storage.database import Row, Source, Transaction
from contracts.registry import Subscription

OF_MAJORS = "SELECT major, name, source, pattern, broadcast FROM subscriptions WHERE plugin_id = :plugin"
OF_INSTANCES = """
SELECT instances.id, instances.plugin_version, heard.name, heard.source, heard.pattern, heard.broadcast
FROM instances LEFT JOIN instance_subscriptions AS heard ON heard.instance_id = instances.id
WHERE instances.plugin_id = :plugin ORDER BY instances.id
"""
HEAR_NOTHING = "DELETE FROM instance_subscriptions WHERE instance_id = :id"
HEAR = """
INSERT INTO instance_subscriptions (instance_id, name, source, pattern, broadcast)
VALUES (:id, :name, :source, :pattern, :broadcast)
ON CONFLICT (instance_id, name) DO UPDATE SET source = excluded.source, pattern = excluded.pattern,
    broadcast = excluded.broadcast
"""
CLEAR = "DELETE FROM subscriptions WHERE plugin_id = :plugin AND major = :major"
ADD = """
INSERT INTO subscriptions (plugin_id, major, name, source, pattern, broadcast)
VALUES (:plugin, :major, :name, :source, :pattern, :broadcast)
"""
KEPT_HINT = "api.events.subscribes lists it, so its events are kept; take it out there to drop them"

_log = structlog.get_logger()


async def of_majors(source: Source, plugin: str) -> dict[int, frozenset[Subscription]]:
    """What each major of a plugin hears."""
    found: dict[int, set[Subscription]] = {}
    for row in await source.rows(OF_MAJORS, {"plugin": plugin}):
        found.setdefault(row["major"], set()).add(_subscription(row))
    return {its_major: frozenset(heard) for its_major, heard in found.items()}


async def of_instances(source: Source, plugin: str) -> dict[tuple[str, str], frozenset[Subscription]]:
    """What each registered instance of a plugin hears, by its id and version."""
    found: dict[tuple[str, str], set[Subscription]] = {}
    for row in await source.rows(OF_INSTANCES, {"plugin": plugin}):
        heard = found.setdefault((row["id"], row["plugin_version"]), set())
        if row["name"] is not None:
            heard.add(_subscription(row))
    return {instance: frozenset(heard) for instance, heard in found.items()}


async def hear(transaction: Transaction, instance: str, subscriptions: Iterable[Subscription]) -> None:
    """Replace what an instance hears; `settle` says what follows for its plugin."""
    await transaction.execute(HEAR_NOTHING, {"id": instance})
    for heard in subscriptions:
        await transaction.execute(HEAR, {"id": instance, **_fields(heard)})


async def settle(transaction: Transaction, plugin: str) -> None:
    """Write what each major of a plugin hears now, by the rule of `broker.registry.hearing`.

    Call it after instances came, went or hear something else. A major of which none is registered is left as it is.
    """
    before = await of_majors(transaction, plugin)
    registered: dict[int, dict[tuple[str, str], frozenset[Subscription]]] = {}
    for instance, heard in (await of_instances(transaction, plugin)).items():
        registered.setdefault(major(instance[1]), {})[instance] = heard
    for its_major, instances in registered.items():
        former, current = before.get(its_major, frozenset()), frozenset().union(*instances.values())
        now = current
        if former - current:  # manifests may be large: they are read only where they are asked
            now = heard_now(former, await _hearing(transaction, plugin, instances))
        if now != former:
            await _replace(transaction, plugin, its_major, now)
        _tell(plugin, dropped=former - now, kept=now - current)


async def forget(transaction: Transaction, plugin: str, gone: int) -> None:
    """Forget what a plugin's major hears."""
    await transaction.execute(CLEAR, {"plugin": plugin, "major": gone})


async def _hearing(
    source: Source, plugin: str, instances: Mapping[tuple[str, str], frozenset[Subscription]]
) -> list[Hearing]:
    manifests = {version: await plugins.manifest_of(source, plugin, version) for version in {v for _, v in instances}}
    return [
        Hearing(
            subscriptions=heard,
            listed=tuple(item.pattern for item in manifest.api.events.subscribes) if manifest else (),
            is_serving=manifest is not None and bool(manifest.api.services),
        )
        for (_, version), heard in instances.items()
        for manifest in (manifests[version],)
    ]


async def _replace(transaction: Transaction, plugin: str, its_major: int, heard: Iterable[Subscription]) -> None:
    key: dict[str, object] = {"plugin": plugin, "major": its_major}
    await transaction.execute(CLEAR, key)
    for subscription in heard:
        await transaction.execute(ADD, {**key, **_fields(subscription)})


def _tell(plugin: str, *, dropped: Iterable[Subscription], kept: Iterable[Subscription]) -> None:
    for item in dropped:
        _log.info("subscription.dropped", plugin=plugin, subscription=item.name, pattern=item.pattern)
    for item in kept:
        if not item.broadcast:
            hint = KEPT_HINT
            _log.warning("subscription.unheard", plugin=plugin, subscription=item.name, pattern=item.pattern, hint=hint)


def _fields(heard: Subscription) -> dict[str, object]:
    return {
        "name": heard.name,
        "source": heard.source,
        "pattern": heard.pattern,
        "broadcast": int(heard.broadcast),
    }


def _subscription(row: Row) -> Subscription:
    return Subscription(
        name=row["name"], source=row["source"], pattern=row["pattern"], broadcast=bool(row["broadcast"])
    )

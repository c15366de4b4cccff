"""Plugins that the broker shall know no more."""

from collections.abc import Sequence

import structlog

from broker.dependencies import overrides
from broker.dependencies import store as dependencies
from broker.dependencies.lifecycle import Lifecycle
from broker.dependencies.resolver import major
from broker.plugins import store
from broker.provisioning import store as provisioned
from broker.provisioning.changes import Changes
from broker.provisioning.plan import LastingQueue
from broker.registry import store as registry
from broker.registry import subscriptions
from broker.registry.store import Instance
from broker.storage.database import Source, Transaction
from contracts.dependencies import Blocker, Installation, RemovedPlugin
from contracts.errors import PluginNotFoundError, StillRequiredError
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import Topology

_log = structlog.get_logger()


class Removal:
    """Forgets plugins."""

    def __init__(self, *, changes: Changes, lifecycle: Lifecycle, topology: Topology) -> None:
        self._changes = changes
        self._lifecycle = lifecycle
        self._topology = topology

    async def remove(
        self, plugin_id: str, *, version: str | None = None, force: bool = False, caller: str = SYSTEM_PLUGIN
    ) -> RemovedPlugin:
        """Forget a plugin, or one version of it, with everything it left: queues and dead letters too. One transaction.

        An instance that runs is in the way even with ``force``: with its next heartbeat it would register again, and
        by that make the plugin known again, so that the removal would be undone within seconds. Stop it first. One
        that went without a word is forgotten; should it come back, it registers again like that.

        Args:
            plugin_id: The plugin.
            version: That version only; all of them when None.
            force: Uninstall it everywhere first, even from under plugins that require it.
            caller: Who is remembered to have used force.

        Raises:
            PluginNotFoundError: Nobody knows the plugin, or not at that version.
            StillRequiredError: Instances run, or, without ``force``, it is installed; details: ``blockedBy``.
            TransportError: RabbitMQ could not be made to fit; nothing was changed.
        """
        async with self._changes.of(plugin_id) as transaction:
            versions = await _chosen(transaction, plugin_id, version)
            installed = [
                item for item in await dependencies.installations_of(transaction, plugin_id) if item.version in versions
            ]
            instances = [
                item for item in await registry.instances(transaction, plugin_id) if item.plugin_version in versions
            ]
            blockers = [_running(item) for item in instances if item.state != "UNAVAILABLE"]
            _refuse(plugin_id, blockers if force else [*map(_installed, installed), *blockers])
            reasons = ["the plugin was removed by force"]
            await self._lifecycle.take_all(transaction, installed, overridden=reasons)
            await overrides.record(transaction, "remove", installed, caller=caller, reasons=reasons)
            await self._forget(transaction, plugin_id, versions, instances)
        await self._changes.clear(plugin_id)
        _log.info("plugin.removed", plugin=plugin_id, versions=versions, uninstalled=len(installed), force=force)
        return RemovedPlugin(plugin_id=plugin_id, versions=tuple(versions))

    async def _forget(
        self, transaction: Transaction, plugin_id: str, versions: Sequence[str], lost: Sequence[Instance]
    ) -> None:
        left: set[LastingQueue] = set()
        for instance in lost:
            queues = self._topology.instance_queues(plugin_id, instance.id)
            left |= {LastingQueue(queue.name) for queue in queues}
            await registry.remove_instance(transaction, instance.id)
        for version in versions:
            await store.remove(transaction, plugin_id, version)
        others = await store.known_versions(transaction, plugin_id)
        for gone in {major(version) for version in versions} - {major(version) for version in others}:
            await subscriptions.forget(transaction, plugin_id, gone)
        await subscriptions.settle(transaction, plugin_id)
        if not others:
            left.add(LastingQueue(self._topology.dead_queue(plugin_id).name))
        await provisioned.add_leftovers(transaction, plugin_id, left)


async def _chosen(source: Source, plugin_id: str, version: str | None) -> list[str]:
    known = await store.versions(source, plugin_id)
    if version is None:
        return known
    if version not in known:
        text = f"Plugin {plugin_id}@{version} is not known: known are {', '.join(known)}"
        raise PluginNotFoundError(text, pluginId=plugin_id, versions=known)
    return [version]


def _installed(installation: Installation) -> Blocker:
    reason = f"{installation.version} is installed in tenant {installation.tenant}"
    return Blocker(plugin_id=installation.plugin_id, reason=reason)


def _running(instance: Instance) -> Blocker:
    reason = f"instance {instance.id} of {instance.plugin_version} runs: stop it first"
    return Blocker(plugin_id=instance.plugin_id, reason=reason)


def _refuse(plugin_id: str, blockers: Sequence[Blocker]) -> None:
    if blockers:
        reasons = "; ".join(blocker.reason for blocker in blockers)
        raise StillRequiredError(
            f"Plugin {plugin_id} cannot be removed: {reasons}", blockedBy=[blocker.to_json() for blocker in blockers]
        )

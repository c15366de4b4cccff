"""Queues that nothing asks for any more: noted with the change that left them, deleted once nobody consumes them.

Not deleted with the change itself: an instance that has just deregistered still works through them. And not while
they hold events of a plugin that is installed somewhere: its author may have dropped the subscription by mistake.
"""

from itertools import groupby

import structlog

from broker.provisioning import store
from broker.provisioning.plan import LastingQueue, plan
from broker.provisioning.provisioner import Provisioner
from broker.storage.database import Database, Source
from contracts.errors import MissingQueueError, TransportError
from plugin_runtime.transport.base import QueueDepth

_log = structlog.get_logger()

GONE = QueueDepth(messages=0, consumers=0)


class Leftovers:
    """Deletes what is left over."""

    def __init__(self, database: Database, provisioner: Provisioner) -> None:
        self._database = database
        self._provisioner = provisioner
        self._told: dict[tuple[str, str], int] = {}

    async def clear(self, *plugins: str) -> None:
        """Delete every leftover queue that may go, of these plugins or, without any, of all.

        What RabbitMQ does not do now is logged, stays noted and is tried again the next time.
        """
        for plugin in plugins or await store.plugins_with_leftovers(self._database):
            try:
                await self._clear(plugin)
            except TransportError as error:
                _log.warning("queue.leftovers_stay", plugin=plugin, error=str(error))

    async def _clear(self, plugin: str) -> None:
        # Within a transaction, so that nobody registers or installs the plugin meanwhile.
        async with self._database.transaction() as transaction:
            left = await store.leftovers(transaction, plugin)
            if not left:
                return
            is_installed, wanted = await self._wanted(transaction, plugin)
            deletable = [
                queue
                for kind in _by_subscription(left - wanted)
                for queue in await self._deletable(plugin, kind, keep_messages=is_installed)
            ]
            for queue in deletable:
                await self._provisioner.delete(queue.name)
            gone = [*deletable, *(left & wanted)]
            await store.forget_queues(transaction, [queue.name for queue in deletable])
            await store.remove_leftovers(transaction, [queue.name for queue in gone])
        if deletable:
            _log.info("queue.leftovers_deleted", plugin=plugin, queues=[queue.name for queue in deletable])

    async def _wanted(self, source: Source, plugin: str) -> tuple[bool, frozenset[LastingQueue]]:
        state = await store.state_of(source, plugin)
        return bool(state.installations), plan(self._provisioner.topology, state).lasting

    async def _deletable(self, plugin: str, kind: list[LastingQueue], *, keep_messages: bool) -> list[LastingQueue]:
        """All of a kind or none: an event that waits in a delay comes back to its subscription's queue."""
        depths = [await self._depth(queue.name) for queue in kind]
        if any(depth.consumers for depth in depths):
            return []
        subscription, waiting = kind[0].subscription, sum(depth.messages for depth in depths)
        if subscription is None or not waiting:
            return kind
        if keep_messages:
            self._tell(plugin, subscription, waiting)
            return []
        _log.warning("queue.events_dropped", plugin=plugin, subscription=subscription, events=waiting)
        return kind

    async def _depth(self, name: str) -> QueueDepth:
        try:
            return await self._provisioner.depth(name)
        except MissingQueueError:
            return GONE

    def _tell(self, plugin: str, subscription: str, waiting: int) -> None:
        """Log once how many events nobody hears, and again when there are more or fewer."""
        if self._told.get((plugin, subscription)) != waiting:
            self._told[plugin, subscription] = waiting
            hint = "no version of the plugin subscribes any more; they go when it is uninstalled everywhere"
            _log.warning("queue.events_unheard", plugin=plugin, subscription=subscription, events=waiting, hint=hint)


def _by_subscription(left: frozenset[LastingQueue]) -> list[list[LastingQueue]]:
    """Queues of one subscription together, every other one by itself."""

    def key(queue: LastingQueue) -> str:
        return queue.name if queue.subscription is None else f"subscription {queue.subscription}"

    return [list(group) for _, group in groupby(sorted(left, key=lambda queue: (key(queue), queue.name)), key=key)]

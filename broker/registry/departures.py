"""Instances that go without a word: the last of a service version is announced, unbound, and its queue emptied."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

from broker.provisioning.changes import Changes
from broker.provisioning.provisioner import Provisioner
from broker.registry import store
from broker.registry.announcements import Announcements
from broker.registry.statuses import Statuses
from broker.storage.database import Database, Transaction

_log = structlog.get_logger()


class Departures:
    """Writes down who went, whoever noticed it: a lease that ran out, or RabbitMQ."""

    def __init__(
        self,
        *,
        database: Database,
        changes: Changes,
        provisioner: Provisioner,
        statuses: Statuses,
        announcements: Announcements,
    ) -> None:
        self._database = database
        self._changes = changes
        self._provisioner = provisioner
        self._statuses = statuses
        self._announcements = announcements

    @asynccontextmanager
    async def of(self, plugin: str) -> AsyncIterator[Transaction]:
        """A transaction in whose block instances of a plugin change their states.

        When the block is left, every status that changed is announced. A service version that became UNAVAILABLE is
        announced by its presence too, unbound by the plan, and its queue is purged, all before the commit: whoever
        registers next finds the queue empty, and no call of its own is dropped.

        Raises:
            TransportError: RabbitMQ did not do it; nothing is committed.
        """
        async with self._database.transaction() as transaction:
            async with self._changes.within(transaction, plugin):
                yield transaction
                settled = await self._statuses.settle(transaction, [plugin])
                gone = [change.service for change in settled if change.is_departure]
                for service in gone:
                    await self._announcements.presence(transaction, *service)
            for service in gone:
                await self._provisioner.purge_calls(*service)

    async def take(self, plugin: str, judged: Mapping[str, float | None], registered: Mapping[str, float]) -> None:
        """Give instances up at once that nobody hears any more, unless they registered again since they were judged.

        Each returns to what it was by registering again, or by its next heartbeat.

        Args:
            plugin: Whose instances they are.
            judged: Their ids, and when each had registered last as it was judged.
            registered: When each has registered last by now; missing if this process did not let it in.

        Raises:
            TransportError: RabbitMQ did not do it; nothing is committed.
        """
        async with self.of(plugin) as transaction:
            for instance, moment in judged.items():
                current = await store.instance(transaction, instance)
                if current is None or current.state == "UNAVAILABLE" or registered.get(instance) != moment:
                    continue
                await store.set_state(transaction, instance, current.reported, "UNAVAILABLE", current.last_heard)
                _log.warning("instance.gone", plugin=plugin, instance=instance)

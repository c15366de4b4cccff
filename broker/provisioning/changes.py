"""Rows and topology change together: the difference of the plans before and after is applied before the commit.

The store runs one transaction at a time, and topology changes only within one, so no two changes interleave. What
was bound for a transaction that then failed is noted and repaired: the rows are what counts.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from broker.provisioning import store
from broker.provisioning.plan import Plan, plan
from broker.provisioning.provisioner import Provisioner
from broker.storage.database import Database, Source, Transaction
from contracts.errors import PlexicaError

_log = structlog.get_logger()


class Changes:
    """Opens transactions that change what plugins have in RabbitMQ."""

    def __init__(self, database: Database, provisioner: Provisioner) -> None:
        self._database = database
        self._provisioner = provisioner
        self._doubtful: dict[str, Plan] = {}

    @asynccontextmanager
    async def of(self, *plugins: str, refresh: bool = False) -> AsyncIterator[Transaction]:
        """A transaction; when its block is left, RabbitMQ is made to fit the rows of ``plugins``, then it commits.

        Args:
            plugins: Whose topology the block may change.
            refresh: Apply all that they should have, not only the difference.

        Raises:
            TransportError: RabbitMQ did not do it; nothing is committed.
        """
        async with self._database.transaction() as transaction, self.within(transaction, *plugins, refresh=refresh):
            yield transaction

    @asynccontextmanager
    async def within(self, transaction: Transaction, *plugins: str, refresh: bool = False) -> AsyncIterator[None]:
        """The same for a transaction that somebody else opened and commits."""
        before = {plugin: await self._plan(transaction, plugin) for plugin in plugins}
        yield
        after = {plugin: await self._plan(transaction, plugin) for plugin in plugins}
        touched = sorted(plugin for plugin in plugins if refresh or before[plugin] != after[plugin])
        await store.remember_queues(transaction, {queue.name for plugin in touched for queue in after[plugin].queues})
        for plugin in touched:
            self._doubt(transaction, plugin, after[plugin])
            if refresh:
                await self._provisioner.apply(after[plugin])
            await self._provisioner.move(before[plugin], after[plugin])

    async def repair(self) -> None:
        """Take back what was bound for transactions that failed, and bind again what they unbound.

        A plugin for which that fails is logged and looked at again the next time; the others are repaired.
        """
        for plugin, wanted in sorted(self._doubtful.items()):
            try:
                await self._repair(plugin, wanted)
            except PlexicaError as error:
                _log.warning("topology.not_repaired", plugin=plugin, error=str(error))

    async def _repair(self, plugin: str, wanted: Plan) -> None:
        async with self._database.transaction() as transaction:
            actual = await self._plan(transaction, plugin)
            await self._provisioner.apply(actual)
            await self._provisioner.move(wanted, actual)
        if self._doubtful.get(plugin) is wanted:
            del self._doubtful[plugin]
        _log.info("topology.repaired", plugin=plugin)

    def _doubt(self, transaction: Transaction, plugin: str, wanted: Plan) -> None:
        """Have `repair` look at a plugin, unless the transaction is committed."""
        earlier = self._doubtful.get(plugin)
        if earlier is None:
            self._doubtful[plugin] = wanted
            transaction.on_commit(lambda: self._trust(plugin))
        else:
            self._doubtful[plugin] = Plan(earlier.queues | wanted.queues, earlier.bindings | wanted.bindings)

    def _trust(self, plugin: str) -> None:
        self._doubtful.pop(plugin, None)

    async def _plan(self, source: Source, plugin: str) -> Plan:
        return plan(self._provisioner.topology, await store.state_of(source, plugin))

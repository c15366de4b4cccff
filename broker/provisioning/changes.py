"""Rows and topology change together: the difference of the plans before and after is applied before the commit.

The store runs one transaction at a time, and topology changes only within one, so no two changes interleave. What
was bound for a transaction that then failed is noted and repaired: the rows are what counts. Queues are not deleted
here but noted as left over, in the same transaction: see `broker.provisioning.leftovers`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

import structlog

from broker.provisioning import store
from broker.provisioning.leftovers import Leftovers
from broker.provisioning.plan import Plan, plan
from broker.provisioning.provisioner import Provisioner
from broker.storage.database import Database, Source, Transaction
from contracts.errors import PlexicaError

Consequence = Callable[[Transaction, Collection[str]], Awaitable[None]]
"""What follows from a change of these plugins, in the same transaction, before RabbitMQ is made to fit."""

_log = structlog.get_logger()


class Changes:
    """Opens transactions that change what plugins have in RabbitMQ."""

    def __init__(self, database: Database, provisioner: Provisioner) -> None:
        self._database = database
        self._provisioner = provisioner
        self._doubtful: dict[str, Plan] = {}
        self._before: dict[Transaction, dict[str, Plan]] = {}
        self._consequences: list[Consequence] = []
        self._leftovers = Leftovers(database, provisioner)

    def before_applying(self, consequence: Consequence) -> None:
        """Have every change followed by this one; it may `widen` the change."""
        self._consequences.append(consequence)

    @asynccontextmanager
    async def of(self, *plugins: str, refresh: bool = False) -> AsyncIterator[Transaction]:
        """A transaction; when its block is left, RabbitMQ is made to fit the rows of ``plugins``, then it commits.

        Args:
            plugins: Whose topology the block may change.
            refresh: Apply all that these should have, not only the difference.

        Raises:
            TransportError: RabbitMQ did not do it; nothing is committed.
        """
        async with self._database.transaction() as transaction, self.within(transaction, *plugins, refresh=refresh):
            yield transaction

    @asynccontextmanager
    async def within(self, transaction: Transaction, *plugins: str, refresh: bool = False) -> AsyncIterator[None]:
        """The same for a transaction that somebody else opened and commits."""
        self._before[transaction] = {}
        try:
            await self.widen(transaction, *plugins)
            yield
            for consequence in self._consequences:
                await consequence(transaction, plugins)
            before = self._before[transaction]
        finally:
            del self._before[transaction]
        for plugin in sorted(before):
            await self._apply(transaction, plugin, before[plugin], refresh=refresh and plugin in plugins)

    async def widen(self, transaction: Transaction, *plugins: str) -> None:
        """Take further plugins into the change under way; call it before their rows change."""
        before = self._before[transaction]
        for plugin in plugins:
            if plugin not in before:
                before[plugin] = await self._plan(transaction, plugin)

    async def _apply(self, transaction: Transaction, plugin: str, before: Plan, *, refresh: bool) -> None:
        after = await self._plan(transaction, plugin)
        if after == before and not refresh:
            return
        await store.remember_queues(transaction, {queue.name for queue in after.queues})
        await store.add_leftovers(transaction, plugin, before.lasting - after.lasting)
        self._doubt(transaction, plugin, after)
        if refresh:
            await self._provisioner.apply(after)
        await self._provisioner.move(before, after)

    async def repair(self) -> None:
        """Take back what failed transactions bound, bind again what they unbound, and delete what is left over.

        A plugin for which that fails is logged and looked at again the next time; the others are repaired.
        """
        for plugin, wanted in sorted(self._doubtful.items()):
            try:
                await self._repair(plugin, wanted)
            except PlexicaError as error:
                _log.warning("topology.not_repaired", plugin=plugin, error=str(error))
        await self.clear()

    async def clear(self, *plugins: str) -> None:
        """Delete the queues that these plugins, or without any all, left over; outside of a transaction.

        Never raises for RabbitMQ's sake: `repair` tries again.
        """
        await self._leftovers.clear(*plugins)

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

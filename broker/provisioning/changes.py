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
from broker.provisioning.plan import Plan, PluginState, plan
from broker.provisioning.provisioner import Provisioner
from broker.storage.database import Database, Transaction
from contracts.errors import PlexicaError

Consequence = Callable[[Transaction, Collection[str]], Awaitable[None]]
"""What follows in the same transaction where other instances of these plugins live, or they hear something else."""

Continuation = Callable[[], Awaitable[None]]
"""What was too much for one transaction and is gone on with in further ones."""

_log = structlog.get_logger()


class Changes:
    """Opens transactions that change what plugins have in RabbitMQ."""

    def __init__(self, database: Database, provisioner: Provisioner) -> None:
        self._database = database
        self._provisioner = provisioner
        self._doubtful: dict[str, Plan] = {}
        self._before: dict[Transaction, dict[str, PluginState]] = {}
        self._consequences: list[Consequence] = []
        self._continuations: list[Continuation] = []
        self._leftovers = Leftovers(database, provisioner)

    def before_applying(self, consequence: Consequence) -> None:
        """Have changes of what instances do followed by this one, which may `widen` them."""
        self._consequences.append(consequence)

    def when_repairing(self, continuation: Continuation) -> None:
        """Have this run with every `repair`, outside of a transaction."""
        self._continuations.append(continuation)

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
            await self._follow(transaction, plugins)
            before = self._before[transaction]
        finally:
            del self._before[transaction]
        for plugin, state in sorted(before.items(), key=lambda item: item[0]):
            await self._apply(transaction, state, again=refresh and plugin in plugins)

    async def _follow(self, transaction: Transaction, plugins: Collection[str]) -> None:
        """Run the consequences for those plugins whose instances or subscriptions are others now."""
        before = self._before[transaction]
        living = [name for name in plugins if not (await store.state_of(transaction, name)).is_alike(before[name])]
        for consequence in self._consequences if living else ():
            await consequence(transaction, living)

    async def widen(self, transaction: Transaction, *plugins: str) -> None:
        """Take further plugins into the change under way; call it before their rows change."""
        before = self._before[transaction]
        for plugin in plugins:
            if plugin not in before:
                before[plugin] = await store.state_of(transaction, plugin)

    async def _apply(self, transaction: Transaction, state: PluginState, *, again: bool) -> None:
        plugin, now = state.plugin, await store.state_of(transaction, state.plugin)
        # Most changes concern one tenant of perhaps a thousand.
        tenants = None if again else state.tenants_apart(now)
        before, after = self._plan(state, tenants), self._plan(now, tenants)
        if after == before and not again:
            return
        await store.remember_queues(transaction, {queue.name for queue in after.queues})
        await store.add_leftovers(transaction, plugin, before.lasting - after.lasting)
        self._doubt(transaction, plugin, after)
        if again:
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
        for continuation in self._continuations:
            await continuation()
        await self.clear()

    async def clear(self, *plugins: str) -> None:
        """Delete the queues that these plugins, or without any all, left over; outside of a transaction.

        Never raises for RabbitMQ's sake: `repair` tries again.
        """
        await self._leftovers.clear(*plugins)

    async def _repair(self, plugin: str, wanted: Plan) -> None:
        async with self._database.transaction() as transaction:
            actual = self._plan(await store.state_of(transaction, plugin))
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

    def _plan(self, state: PluginState, tenants: Collection[str] | None = None) -> Plan:
        return plan(self._provisioner.topology, state, tenants)

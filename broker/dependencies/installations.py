"""Installations within a transaction: put, supersede, take, and what that does to everybody's requirements."""

from collections.abc import Collection, Iterable
from functools import partial
from typing import Literal

import structlog

from broker.dependencies import store
from broker.dependencies.causes import Node
from broker.dependencies.impact import Known, affected
from broker.dependencies.resolver import PluginFacts, major, resolve
from broker.dependencies.succession import still_needed
from broker.grants.permissions import Permissions
from broker.provisioning import store as provisioned
from broker.provisioning.changes import Changes
from broker.registry.announcements import Announcements
from broker.registry.statuses import Statuses
from broker.storage.database import Source, Transaction
from contracts.dependencies import Installation, Resolution
from contracts.versions import ordered

TENANTS_AT_ONCE = 100
"""In how many tenants one transaction ends a succession: to unbind a hundred takes RabbitMQ about 0.1 s."""

_log = structlog.get_logger()


class Installations:
    """Changes what is installed; the caller's transaction and topology change around it."""

    def __init__(
        self, changes: Changes, announcements: Announcements, statuses: Statuses, permissions: Permissions
    ) -> None:
        self._changes = changes
        self._announcements = announcements
        self._permissions = permissions
        self._statuses = statuses
        self._unsettled: set[str] = set()
        changes.before_applying(self._succeed)
        changes.when_repairing(self._settle_rest)

    async def put(
        self, transaction: Transaction, installation: Installation, *, alone: bool = False
    ) -> tuple[str, ...] | None:
        """Install a version, which supersedes the others of its major, or, if it stands alone, of its plugin.

        Announced as ``upgraded`` where it supersedes anything, otherwise as ``installed``, with what ``force``
        overrode. What is superseded lingers: see `settle`.

        Returns:
            The versions that it supersedes, lowest first; None where nothing had to be changed.
        """
        there = await store.installations_of(transaction, installation.plugin_id, installation.tenant)
        current = [item for item in there if not item.superseded]
        rivals = [item for item in current if alone or major(item.version) == major(installation.version)]
        replaced = tuple(item.version for item in rivals if item.version != installation.version)
        if not replaced and any(item.version == installation.version for item in current):
            return None
        for item in rivals:
            if item.version != installation.version:
                await store.supersede(transaction, item)
        await store.install(transaction, installation)
        await self._permissions.grant(transaction, installation)
        change: Literal["installed", "upgraded"] = "upgraded" if replaced else "installed"
        remaining = ordered({installation.version, *(item.version for item in there)})
        reasons = installation.overridden
        await self._announcements.plugin(transaction, change, installation, remaining=remaining, reasons=reasons)
        log = _log.warning if reasons else _log.info
        log(f"plugin.{change}", **_words(installation), replaced=replaced, overridden=reasons)
        return replaced

    async def grant(self, transaction: Transaction, installation: Installation) -> None:
        """Grant an installed version what it asks for now, in place of what it was granted when it was installed.

        Announced as ``upgraded`` where it changes what the plugin may do in the tenant: its instances then ask for a
        new grant. Otherwise silent.
        """
        plugin, tenant = installation.plugin_id, installation.tenant
        before = await self._permissions.of(transaction, tenant, plugin)
        await self._permissions.grant(transaction, installation)
        after = await self._permissions.of(transaction, tenant, plugin)
        if after == before:
            return
        there = await store.installations_of(transaction, plugin, tenant)
        await self._announcements.plugin(
            transaction, "upgraded", installation, remaining=[item.version for item in there]
        )
        _log.info("plugin.granted", **_words(installation), permissions=after, before=before)

    async def take(
        self, transaction: Transaction, installation: Installation, *, overridden: Iterable[str] = ()
    ) -> None:
        """Remove an installation, and, with the plugin's last one in the tenant, what its instances follow there."""
        reasons = tuple(overridden)
        await store.uninstall(transaction, installation)
        await self._permissions.revoke(transaction, installation.tenant, installation.plugin_id)
        left = await store.installations_of(transaction, installation.plugin_id, installation.tenant)
        if not left:
            await provisioned.remove_watches_in(transaction, installation.tenant, installation.plugin_id)
        remaining = [item.version for item in left]
        await self._announcements.plugin(transaction, "uninstalled", installation, remaining=remaining, reasons=reasons)
        log = _log.warning if reasons else _log.info
        log("plugin.uninstalled", **_words(installation), remaining=remaining, overridden=reasons)

    async def settle(self, transaction: Transaction, tenants: Collection[str]) -> None:
        """Take out of these tenants what was superseded and is needed no more; see `broker.dependencies.succession`.

        Within a topology change, which it widens. For what changes in tenants: installed, uninstalled, declared or
        published anew. Where instances come and go, it settles by itself.
        """
        await self._take_needless(transaction, await store.tenants_with_superseded(transaction, tenants=tenants))

    async def _succeed(self, transaction: Transaction, plugins: Collection[str]) -> None:
        """The plugins' instances came or went, which may be felt in every tenant: the first ones now, others soon."""
        tenants = await store.tenants_with_superseded(transaction, plugins=plugins)
        if await self._take_needless(transaction, tenants):
            transaction.on_commit(lambda: self._unsettled.update(plugins))

    async def _settle_rest(self) -> None:
        for plugin in sorted(self._unsettled):
            async with self._changes.of(plugin) as transaction:
                transaction.on_commit(partial(self._unsettled.discard, plugin))
                await self._succeed(transaction, [plugin])

    async def _take_needless(self, transaction: Transaction, tenants: Collection[str]) -> bool:
        """True if that is not all: one transaction takes out of `TENANTS_AT_ONCE` at most, and others want to run."""
        if not tenants:
            return False
        known = await store.known_facts(transaction)
        needless = await self._needless(transaction, tenants, known)
        now = dict(list(needless.items())[:TENANTS_AT_ONCE])
        for gone in now.values():
            for installation in gone:
                await self._changes.widen(transaction, installation.plugin_id)
                await self.take(transaction, installation)
        changed = {installation.plugin_id for gone in now.values() for installation in gone}
        await self.reassess(transaction, now, changed, known=known)
        return len(now) < len(needless)

    async def _needless(self, source: Source, tenants: Collection[str], known: Known) -> dict[str, list[Installation]]:
        """What may go, by tenant."""
        life = await store.life_of_superseded(source)
        answers: dict[tuple[tuple[Node, bool], ...], frozenset[Node]] = {}
        found: dict[str, list[Installation]] = {}
        for tenant, there in (await store.installations_in(source, tenants)).items():
            alike = tuple((node_of(item), item.superseded) for item in there)
            if alike not in answers:  # most tenants have the same plugins installed
                superseded = {node for node, is_superseded in alike if is_superseded}
                answers[alike] = still_needed([known[node] for node, _ in alike], superseded, life)
            gone = [item for item in there if item.superseded and node_of(item) not in answers[alike]]
            if gone:
                found[tenant] = gone
        return found

    async def reassess(
        self, transaction: Transaction, tenants: Iterable[str], changed: Collection[str], *, known: Known | None = None
    ) -> None:
        """Resolve in these tenants whatever a change of plugins can affect, and announce each service it alters.

        Args:
            transaction: That of the change.
            tenants: Where to look.
            changed: The plugins that were installed, uninstalled, published or declared anew.
            known: Every plugin version, if it was read already.
        """
        places = sorted(set(tenants))
        if not places:
            return
        known = await store.known_facts(transaction) if known is None else known
        reach = affected(known.values(), changed)
        there = await store.installations_in(transaction, places)
        altered: set[str] = set()
        answers: dict[tuple[Node, ...], dict[Node, store.Reasons]] = {}
        for tenant in places:
            nodes = tuple(node_of(item) for item in there.get(tenant, ()))
            if nodes not in answers:  # most tenants have the same plugins installed
                answers[nodes] = _unmet([known[node] for node in nodes], known, reach)
            altered |= await self._write_unmet(transaction, tenant, answers[nodes], reach)
        await self._statuses.settle(transaction, altered)

    async def _write_unmet(
        self, transaction: Transaction, tenant: str, after: dict[Node, store.Reasons], reach: Collection[str]
    ) -> set[str]:
        before = await store.unmet_in(transaction, tenant)
        changed = {node for node in before.keys() | after.keys() if node[0] in reach}
        changed = {node for node in changed if before.get(node) != after.get(node)}
        for node in sorted(changed):
            await store.write_unmet(transaction, tenant, node, after.get(node, ()))
        return {node[0] for node in changed}


def node_of(installation: Installation) -> Node:
    """Id and version."""
    return installation.plugin_id, installation.version


def _words(installation: Installation) -> dict[str, str]:
    return {"tenant": installation.tenant, "plugin": installation.plugin_id, "version": installation.version}


def _unmet(installed: list[PluginFacts], known: Known, reach: Collection[str]) -> dict[Node, store.Reasons]:
    found = {
        facts.node: resolve(facts.id, known=known.values(), installed=installed, version=facts.version).errors
        for facts in installed
        if facts.dependencies and facts.id in reach
    }
    return {node: errors for node, errors in found.items() if errors}


async def resolve_in(source: Source, tenant: str, plugin_id: str, version: str | None = None) -> Resolution:
    """Resolve a plugin against what is installed in a tenant; `PluginNotFoundError` if nobody knows it."""
    known = await store.known_facts(source)
    installed = [known[node_of(item)] for item in await store.installations(source, tenant)]
    return resolve(plugin_id, known=known.values(), installed=installed, version=version)

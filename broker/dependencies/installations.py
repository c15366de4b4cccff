"""Installations within a transaction: put, take, and what that does to everybody's requirements."""

from collections.abc import Iterable

import structlog

from broker.dependencies import store
from broker.dependencies.resolver import PluginFacts, major, resolve
from broker.grants.permissions import Permissions
from broker.registry.announcements import Announcements
from broker.registry.statuses import Statuses
from broker.storage.database import Source, Transaction
from contracts.dependencies import Installation, Resolution

_log = structlog.get_logger()


class Installations:
    """Changes what is installed; the caller's transaction and topology change around it."""

    def __init__(self, announcements: Announcements, statuses: Statuses, permissions: Permissions) -> None:
        self._announcements = announcements
        self._permissions = permissions
        self._statuses = statuses

    async def put(self, transaction: Transaction, installation: Installation) -> bool:
        """Install a version; it replaces the one of its major. False if it was there already."""
        there = await store.installed_versions(transaction, installation.tenant, installation.plugin_id)
        if installation.version in there:
            return False
        replaced = [version for version in there if major(version) == major(installation.version)]
        await store.install(transaction, installation)
        await self._permissions.grant(transaction, installation)
        change = "upgraded" if replaced else "installed"
        await self._announcements.plugin(transaction, "upgraded" if replaced else "installed", installation)
        _log.info(f"plugin.{change}", **installation.model_dump())
        return True

    async def grant(self, transaction: Transaction, installation: Installation) -> None:
        """Grant an installed version what it asks for now, in place of what it was granted when it was installed."""
        await self._permissions.grant(transaction, installation)

    async def take(self, transaction: Transaction, installation: Installation) -> None:
        """Remove an installation."""
        await store.uninstall(transaction, installation)
        await self._permissions.revoke(transaction, installation.tenant, installation.plugin_id)
        await self._announcements.plugin(transaction, "uninstalled", installation)
        _log.info("plugin.uninstalled", **installation.model_dump())

    async def reassess(self, transaction: Transaction, tenants: Iterable[str]) -> set[str]:
        """Resolve everything installed in these tenants anew, and announce each service that this changes.

        Returns:
            The plugins whose reasons to be DEGRADED changed.
        """
        known = await store.known_facts(transaction)
        changed: set[str] = set()
        for tenant in sorted(set(tenants)):
            before = await store.unmet_in(transaction, tenant)
            after = await self._unmet(transaction, tenant, known)
            for node in sorted(before.keys() | after.keys()):
                if before.get(node) != after.get(node):
                    await store.write_unmet(transaction, tenant, node, after.get(node, ()))
                    changed.add(node[0])
        await self._statuses.settle(transaction, changed)
        return changed

    async def _unmet(
        self, source: Source, tenant: str, known: dict[tuple[str, str], PluginFacts]
    ) -> dict[tuple[str, str], store.Reasons]:
        installed = [known[item.plugin_id, item.version] for item in await store.installations(source, tenant)]
        found = {
            facts.node: resolve(facts.id, known=known.values(), installed=installed, version=facts.version).errors
            for facts in installed
            if facts.dependencies
        }
        return {node: errors for node, errors in found.items() if errors}


async def resolve_in(source: Source, tenant: str, plugin_id: str, version: str | None = None) -> Resolution:
    """Resolve a plugin against what is installed in a tenant; `PluginNotFoundError` if nobody knows it."""
    known = await store.known_facts(source)
    installed = [known[item.plugin_id, item.version] for item in await store.installations(source, tenant)]
    return resolve(plugin_id, known=known.values(), installed=installed, version=version)

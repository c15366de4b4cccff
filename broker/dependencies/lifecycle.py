"""Install and uninstall plugins in tenants, declare dependencies, and say who needs whom."""

from collections.abc import Awaitable, Callable, Iterable

import structlog

from broker.dependencies import store
from broker.dependencies.installations import Installations, resolve_in
from broker.dependencies.resolver import PluginFacts, after_install, judge
from broker.plugins import store as plugins
from broker.provisioning.changes import Changes
from broker.registry import store as instances
from broker.registry.announcements import Announcements
from broker.storage.database import Database, Source, Transaction
from broker.tenants.store import Tenants
from contracts.dependencies import (
    Blocker,
    CanUninstall,
    Cause,
    DependencyEdge,
    DependencyList,
    Installation,
    InstallationList,
    InstallRequest,
    Resolution,
    UninstallRequest,
)
from contracts.errors import (
    InvalidRequestError,
    PluginNotFoundError,
    StillRequiredError,
    UnresolvableError,
    VersionMismatchError,
)
from contracts.manifest import Dependency
from contracts.manifest_rules import broken_rules
from contracts.versions import highest, ordered

RemoveData = Callable[[Transaction, str, str], Awaitable[None]]
"""Removes a plugin's shared data from a tenant: transaction, tenant, plugin id."""

_log = structlog.get_logger()


def refuse_unresolved(resolution: Resolution) -> None:
    """Raise `UnresolvableError`, which carries the resolution, unless it is valid."""
    if not resolution.valid:
        raise UnresolvableError("; ".join(resolution.errors), **resolution.to_json())


class Lifecycle:
    """What a deployer does with plugins.

    Args:
        remove_data: What an uninstall with ``remove_data`` runs within its transaction.
    """

    def __init__(
        self,
        *,
        database: Database,
        changes: Changes,
        tenants: Tenants,
        installations: Installations,
        announcements: Announcements,
        remove_data: RemoveData | None = None,
    ) -> None:
        self._database = database
        self._changes = changes
        self._tenants = tenants
        self._installations = installations
        self._announcements = announcements
        self._remove_data = remove_data

    async def install(self, tenant: str, request: InstallRequest) -> Installation:
        """Install the highest known version in the range; one of the same major is upgraded. Idempotent.

        When this returns, calls and events of the tenant reach the plugin's queues and the announcement is certain.

        Raises:
            TenantNotFoundError: There is no such tenant.
            PluginNotFoundError: Nobody published the plugin.
            VersionMismatchError: No published version is in the range.
            UnresolvableError: A requirement of the plugin is unmet, or an installed plugin would lose one that is
                met now; details: the resolution. Not with ``force``.
        """
        async with self._changes.of(request.plugin_id) as transaction:
            await self._tenants.require(transaction, tenant)
            version = await _choose(transaction, request)
            installation = Installation(tenant=tenant, plugin_id=request.plugin_id, version=version)
            if version in await store.installed_versions(transaction, tenant, request.plugin_id):
                return installation
            if not request.force:
                refuse_unresolved(await _with_broken(transaction, installation))
            await self._installations.put(transaction, installation)
            await self._installations.reassess(transaction, [tenant])
        return installation

    async def uninstall(self, tenant: str, request: UninstallRequest) -> InstallationList:
        """Take every version of a plugin out of a tenant and return them.

        Raises:
            TenantNotFoundError: There is no such tenant.
            PluginNotFoundError: It is not installed there.
            StillRequiredError: Installed plugins require it; details: ``blockedBy``. Not with ``force``.
        """
        async with self._changes.of(request.plugin_id) as transaction:
            await self._tenants.require(transaction, tenant)
            gone = await _installed(transaction, tenant, request.plugin_id)
            if not request.force:
                _refuse_required(request.plugin_id, await _blockers(transaction, tenant, request.plugin_id))
            for installation in gone:
                await self._installations.take(transaction, installation)
            if request.remove_data and self._remove_data is not None:
                await self._remove_data(transaction, tenant, request.plugin_id)
            await self._installations.reassess(transaction, [tenant])
        return InstallationList(installations=gone)

    async def before_tenant_removal(self, transaction: Transaction, tenant: str) -> None:
        """Uninstall everything in a tenant that is about to be removed: a hook for `Tenants.before_removal`."""
        there = await store.installations(transaction, tenant)
        async with self._changes.within(transaction, *sorted({item.plugin_id for item in there})):
            for installation in there:
                await self._installations.take(transaction, installation)
            await self._installations.reassess(transaction, [tenant])

    async def can_uninstall(self, tenant: str, plugin_id: str) -> CanUninstall:
        """Who stands in the way: plugins installed in the tenant that require this one.

        Raises:
            TenantNotFoundError: There is no such tenant.
            PluginNotFoundError: Nobody knows the plugin.
        """
        await self._tenants.require(self._database, tenant)
        await plugins.versions(self._database, plugin_id)
        blockers = await _blockers(self._database, tenant, plugin_id)
        return CanUninstall(can_uninstall=not blockers, blocked_by=blockers)

    async def resolve(self, tenant: str, plugin_id: str) -> Resolution:
        """Resolve a plugin in a tenant; `TenantNotFoundError` and `PluginNotFoundError` as they say."""
        await self._tenants.require(self._database, tenant)
        return await resolve_in(self._database, tenant, plugin_id)

    async def installations(self, tenant: str) -> InstallationList:
        """What is installed in a tenant; `TenantNotFoundError` if there is none of that name."""
        await self._tenants.require(self._database, tenant)
        return InstallationList(installations=await store.installations(self._database, tenant))

    async def declare(self, plugin_id: str, dependencies: Iterable[Dependency]) -> DependencyList:
        """Replace the set of dependencies of a plugin at the version that runs (else the highest known).

        Raises:
            PluginNotFoundError: The plugin never registered nor published a manifest.
            InvalidRequestError: A dependency on itself, one listed twice, or on a service of another plugin.
        """
        asked = tuple(dependencies)
        _check_dependencies(plugin_id, asked)
        async with self._changes.of() as transaction:
            version = await _current(transaction, plugin_id)
            await plugins.write_dependencies(transaction, plugin_id, version, asked)
            await self._announcements.dependencies(transaction, plugin_id, version, asked)
            await self._installations.reassess(transaction, await store.tenants_of(transaction, plugin_id))
        _log.info("dependency.declared", plugin=plugin_id, version=version, count=len(asked))
        return DependencyList(
            edges=_sorted(DependencyEdge(plugin_id=plugin_id, version=version, dependency=item) for item in asked)
        )

    async def dependencies(self, plugin_id: str, *, recursive: bool = False) -> DependencyList:
        """What a plugin asks for, and, when recursive, what that asks for, and so on."""
        return await self._edges(plugin_id, recursive=recursive, is_upwards=False)

    async def dependents(self, plugin_id: str, *, recursive: bool = False) -> DependencyList:
        """Who asks for a plugin, and, when recursive, who asks for those, and so on."""
        return await self._edges(plugin_id, recursive=recursive, is_upwards=True)

    async def _edges(self, plugin_id: str, *, recursive: bool, is_upwards: bool) -> DependencyList:
        edges = await store.edges_in_force(self._database)
        by_start: dict[str, list[DependencyEdge]] = {}
        for edge in edges:
            by_start.setdefault(edge.dependency.plugin_id if is_upwards else edge.plugin_id, []).append(edge)
        # A plugin that is only ever asked for has dependents, though nobody published it.
        if plugin_id not in by_start:
            await plugins.versions(self._database, plugin_id)
        found: list[DependencyEdge] = []
        seen, pending = {plugin_id}, [plugin_id]
        while pending:
            for edge in by_start.get(pending.pop(), ()):
                found.append(edge)
                following = edge.plugin_id if is_upwards else edge.dependency.plugin_id
                if recursive and following not in seen:
                    seen.add(following)
                    pending.append(following)
        return DependencyList(edges=_sorted(found))


def _sorted(edges: Iterable[DependencyEdge]) -> tuple[DependencyEdge, ...]:
    return tuple(
        sorted(
            edges,
            key=lambda edge: (
                edge.plugin_id,
                edge.dependency.plugin_id,
                edge.dependency.service_name or "",
                edge.version,
            ),
        )
    )


async def _choose(source: Source, request: InstallRequest) -> str:
    known = await plugins.versions(source, request.plugin_id)
    version = highest(known, request.version)
    if version is None:
        raise VersionMismatchError(
            f"Plugin {request.plugin_id} has no version in {request.version}: known are {', '.join(known)}",
            versions=known,
        )
    return version


async def _installed(source: Source, tenant: str, plugin_id: str) -> tuple[Installation, ...]:
    there = await store.installations(source, tenant)
    found = tuple(item for item in there if item.plugin_id == plugin_id)
    if not found:
        await plugins.versions(source, plugin_id)
        raise PluginNotFoundError(f"Plugin {plugin_id} is not installed in tenant {tenant}", pluginId=plugin_id)
    return found


async def _blockers(source: Source, tenant: str, plugin_id: str) -> tuple[Blocker, ...]:
    known = await store.known_facts(source)
    there = [known[item.plugin_id, item.version] for item in await store.installations(source, tenant)]
    askers = {
        facts.id
        for facts in there
        for dependency in facts.dependencies
        if dependency.required and dependency.plugin_id == plugin_id and facts.id != plugin_id
    }
    return tuple(Blocker(plugin_id=asker, reason="Required dependency") for asker in sorted(askers))


def _refuse_required(plugin_id: str, blockers: tuple[Blocker, ...]) -> None:
    if blockers:
        names = ", ".join(blocker.plugin_id for blocker in blockers)
        raise StillRequiredError(
            f"Plugin {plugin_id} cannot be uninstalled: required by {names}",
            blockedBy=[blocker.to_json() for blocker in blockers],
        )


async def _with_broken(source: Source, new: Installation) -> Resolution:
    """The resolution of an installation, and the requirements of others that it would break."""
    known = await store.known_facts(source)
    there = [known[item.plugin_id, item.version] for item in await store.installations(source, new.tenant)]
    resolution = await resolve_in(source, new.tenant, new.plugin_id, new.version)
    causes = [*resolution.causes, *broken_by(known[new.plugin_id, new.version], there)]
    lines = tuple(dict.fromkeys(cause.message for cause in causes))
    return resolution.model_copy(update={"valid": not lines, "errors": lines, "causes": tuple(causes)})


def broken_by(new: PluginFacts, installed: list[PluginFacts]) -> list[Cause]:
    """The required dependencies of installed plugins that are met now and would not be once ``new`` is installed."""
    before = [facts for facts in installed if facts.id == new.id]
    after = after_install(before, new)
    found: list[Cause] = []
    for facts in installed:
        for dependency in facts.dependencies:
            if dependency.plugin_id != new.id or not dependency.required or facts.id == new.id:
                continue
            problem = judge(dependency, facts.id, after).problem
            if problem is not None and judge(dependency, facts.id, before).problem is None:
                found.append(Cause(message=problem, chain=(facts.id, new.id)))
    return found


def _check_dependencies(plugin_id: str, dependencies: tuple[Dependency, ...]) -> None:
    document = {"id": plugin_id, "api": {"dependencies": [item.to_json() for item in dependencies]}}
    problems = [(path.removeprefix("api."), message) for path, message in broken_rules(document)]
    if problems:
        text = "; ".join(f"{path}: {message}" for path, message in problems)
        details = [{"path": path, "message": message} for path, message in problems]
        raise InvalidRequestError(text, errors=details)


async def _current(source: Source, plugin_id: str) -> str:
    running = await instances.running_versions(source, plugin_id)
    return ordered(running or await plugins.versions(source, plugin_id))[-1]

"""What plugins declare that they need, and who needs whom."""

from collections.abc import Iterable

import structlog

from broker.dependencies import store
from broker.dependencies.installations import Installations
from broker.plugins import store as plugins
from broker.provisioning.changes import Changes
from broker.registry import store as instances
from broker.registry.announcements import Announcements
from broker.storage.database import Database, Source
from contracts.dependencies import DependencyEdge, DependencyList
from contracts.errors import InvalidRequestError, VersionMismatchError
from contracts.manifest import Dependency
from contracts.manifest_rules import broken_rules
from contracts.versions import ordered

_log = structlog.get_logger()


class Declarations:
    """The edges between plugins, in no tenant."""

    def __init__(
        self, *, database: Database, changes: Changes, installations: Installations, announcements: Announcements
    ) -> None:
        self._database = database
        self._changes = changes
        self._installations = installations
        self._announcements = announcements

    async def declare(
        self, plugin_id: str, dependencies: Iterable[Dependency], *, version: str | None = None
    ) -> DependencyList:
        """Replace the set of dependencies of a plugin at the version that declares it; other versions keep theirs.

        Args:
            plugin_id: Who declares.
            dependencies: The whole set.
            version: At which version; when None the highest that runs, else the highest known.

        Raises:
            PluginNotFoundError: The plugin never registered nor published a manifest.
            VersionMismatchError: It did, but not at the version that it names.
            InvalidRequestError: A dependency on itself, one listed twice, or on a service of another plugin.
        """
        asked = tuple(dependencies)
        _check_dependencies(plugin_id, asked)
        async with self._changes.of(plugin_id) as transaction:
            version = await _declaring(transaction, plugin_id, version)
            await plugins.write_dependencies(transaction, plugin_id, version, asked)
            await self._announcements.dependencies(transaction, plugin_id, version, asked)
            tenants = await store.tenants_of(transaction, plugin_id)
            await self._installations.settle(transaction, tenants)
            await self._installations.reassess(transaction, tenants, [plugin_id])
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


def _check_dependencies(plugin_id: str, dependencies: tuple[Dependency, ...]) -> None:
    document = {"id": plugin_id, "api": {"dependencies": [item.to_json() for item in dependencies]}}
    problems = [(path.removeprefix("api."), message) for path, message in broken_rules(document)]
    if problems:
        text = "; ".join(f"{path}: {message}" for path, message in problems)
        details = [{"path": path, "message": message} for path, message in problems]
        raise InvalidRequestError(text, errors=details)


async def _declaring(source: Source, plugin_id: str, version: str | None) -> str:
    known = await plugins.versions(source, plugin_id)
    if version is None:
        return ordered(await instances.running_versions(source, plugin_id) or known)[-1]
    if version not in known:
        text = f"Plugin {plugin_id} has no version {version} that could declare: known are {', '.join(known)}"
        raise VersionMismatchError(text, versions=known)
    return version

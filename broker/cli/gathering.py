"""What ``plexica deps graph`` draws: asked of the broker, and judged as the resolver judges it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from broker.cli.command import Operator
from broker.dependencies.drawing import DependencyGraph, Versions, dependency_graph
from broker.dependencies.resolver import PluginFacts

AT_ONCE = 8
"""How many questions are under way at one time."""

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")


async def gathered(operator: Operator, plugin: str | None) -> DependencyGraph:
    """The dependencies of everything the broker knows, or of one plugin all the way, as they are in a tenant.

    Raises:
        TenantNotFoundError: There is no such tenant.
        PluginNotFoundError: The broker knows no such plugin.
    """
    installed = _versions((item.plugin_id, item.version) for item in await operator.dependencies.installations())
    known = _versions((item.id, item.version) for item in await operator.platform.plugins())
    if plugin is None:
        answers = await _each(known, operator.dependencies.dependencies)
        edges = [edge for answer in answers for edge in answer]
    else:
        edges = await operator.dependencies.dependencies(plugin, recursive=True)
    facts = await _facts(operator, installed, {edge.dependency.plugin_id for edge in edges})
    shown = known if plugin is None else [plugin]
    return dependency_graph(edges, shown=shown, known=known, installed=installed, facts=facts)


def _versions(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for plugin, version in pairs:
        found.setdefault(plugin, []).append(version)
    return found


async def _facts(operator: Operator, installed: Versions, targets: set[str]) -> list[PluginFacts]:
    """What is installed of these plugins; a range is held against the services that they offer."""
    nodes = [(plugin, version) for plugin in sorted(targets) for version in installed.get(plugin, ())]

    async def facts_of(node: tuple[str, str]) -> PluginFacts:
        manifest = await operator.platform.manifest(*node)
        return PluginFacts(
            id=manifest.id,
            version=manifest.version,
            services={service.name: service.version for service in manifest.api.services},
        )

    return await _each(nodes, facts_of)


async def _each(asked: Iterable[Asked], ask: Callable[[Asked], Awaitable[Answered]]) -> list[Answered]:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: Asked) -> Answered:
        async with room:
            return await ask(item)

    return list(await asyncio.gather(*(one(item) for item in asked)))

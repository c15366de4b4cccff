"""Whether a plugin's dependencies are met, in which order to install, and otherwise every cause. Pure.

A dependency is met by what is installed in the tenant: its range is held against the highest installed version that
satisfies. What is known but not installed is missing; its own requirements are told too, and it stands in the install
order, so that one answer says everything that is to be done.

Two walks from the plugin find every requirement: the first along required dependencies only, the second along all.
What only the second finds cannot fail the plugin, so it becomes a warning. Walks go breadth first in ascending order:
each chain is a shortest one and the same for any order of the input.

Circles are circles of plugin versions: two majors side by side, of which one asks for what asks for the other, are
none. The install order names plugins, not versions, and each once.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from broker.dependencies.causes import Causes, Edge, Node
from broker.dependencies.graph import cycles, postorder, without_optional_circles
from contracts.dependencies import Cause, Resolution
from contracts.errors import PluginNotFoundError, did_you_mean
from contracts.manifest import Dependency
from contracts.versions import highest, ordered

MOST_EXISTING = 20
"""How many versions, and how many services, a cause lists of a plugin: the highest, and whatever is installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFacts:
    """What resolution must know of a plugin at a version.

    Attributes:
        services: Service name to service version.
    """

    id: str
    version: str
    dependencies: tuple[Dependency, ...] = ()
    services: Mapping[str, str] = field(default_factory=dict)

    @property
    def node(self) -> Node:
        """Id and version."""
        return self.id, self.version


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a dependency comes to: the plugin version that it leads to, if any, and what is wrong, if anything."""

    target: PluginFacts | None
    problem: str | None = None


def resolve(
    plugin_id: str, *, known: Iterable[PluginFacts], installed: Iterable[PluginFacts], version: str | None = None
) -> Resolution:
    """Resolve a plugin's dependencies in a tenant.

    Args:
        plugin_id: The plugin that is or shall be installed.
        known: Every plugin version the broker knows.
        installed: Those installed in the tenant.
        version: The plugin's version; otherwise its highest installed one, otherwise its highest known one.

    Raises:
        PluginNotFoundError: Nobody knows the plugin, or not at that version.
    """
    shelf = _by_id(known)
    present = _by_id(installed)
    root = _root(plugin_id, version, shelf, present)
    present[plugin_id] = after_install(present.get(plugin_id, ()), root)
    return _Walk(root, shelf, present).resolution()


def after_install(installed: Iterable[PluginFacts], new: PluginFacts) -> list[PluginFacts]:
    """What is installed of a plugin once ``new`` is: it replaces its own major, others stand beside it."""
    return [*(facts for facts in installed if major(facts.version) != major(new.version)), new]


def major(version: str) -> int:
    """The first number of a version."""
    return int(version.partition(".")[0])


def judge(dependency: Dependency, asker: str, installed: Sequence[PluginFacts]) -> Verdict:
    """Hold a dependency against what is installed of its target."""
    if not installed:
        verb = "required by" if dependency.required else "optional for"
        return Verdict(None, f"Missing dependency: {dependency.plugin_id} ({verb} {asker})")
    fitting = best_fit(dependency, installed)
    if fitting is not None:
        return Verdict(fitting)
    best = _highest(installed)
    name = dependency.service_name
    if name is None:
        return Verdict(best, _mismatch(best.id, best.version, dependency))
    offering = [facts for facts in installed if name in facts.services]
    if not offering:
        return Verdict(best, f"Missing service: {name} is not offered by {best.id}@{best.version} (asked by {asker})")
    return Verdict(best, _mismatch(name, _highest(offering).services[name], dependency))


def best_fit(dependency: Dependency, candidates: Sequence[PluginFacts]) -> PluginFacts | None:
    """The candidate whose version, or whose service's version, is the highest that satisfies, as discovery has it."""
    name = dependency.service_name
    offered = [(facts.version if name is None else facts.services.get(name), facts) for facts in candidates]
    version = highest((version for version, _ in offered if version is not None), dependency.version)
    return None if version is None else _highest([facts for found, facts in offered if found == version])


def _mismatch(name: str, version: str, dependency: Dependency) -> str:
    return f"Version mismatch: {name}@{version} does not satisfy {dependency.version}"


def _highest(facts: Sequence[PluginFacts]) -> PluginFacts:
    best = ordered(item.version for item in facts)[-1] if len(facts) > 1 else facts[0].version
    return next(item for item in facts if item.version == best)


def _by_id(facts: Iterable[PluginFacts]) -> dict[str, list[PluginFacts]]:
    found: dict[str, list[PluginFacts]] = {}
    for item in facts:
        found.setdefault(item.id, []).append(item)
    return found


def _root(
    plugin_id: str,
    version: str | None,
    shelf: Mapping[str, list[PluginFacts]],
    present: Mapping[str, list[PluginFacts]],
) -> PluginFacts:
    versions: list[PluginFacts] = present.get(plugin_id, []) + shelf.get(plugin_id, [])
    if not versions:
        raise PluginNotFoundError(f"Plugin {plugin_id} is not known{did_you_mean(plugin_id, sorted(shelf))}")
    if version is None:
        return _highest(present.get(plugin_id, []) or versions)
    for facts in versions:
        if facts.version == version:
            return facts
    there = ordered({facts.version for facts in versions})
    raise PluginNotFoundError(f"Plugin {plugin_id}@{version} is not known: known are {', '.join(there)}")


class _Walk:
    """One resolution: the edges found, and what they come to."""

    def __init__(
        self, root: PluginFacts, shelf: Mapping[str, list[PluginFacts]], present: Mapping[str, list[PluginFacts]]
    ) -> None:
        self._root = root
        self._shelf = shelf
        self._present = present
        self._edges: dict[Node, list[Edge]] = {}
        self._facts: dict[Node, PluginFacts] = {root.node: root}
        self._existing: dict[tuple[str, str | None], tuple[str, ...]] = {}
        self._hard = self._reach(required_only=True)
        self._soft = self._reach(required_only=False)
        self._causes = Causes(self._hard, self._asked(), self._exists)
        self._errors: dict[str, Cause] = {}
        self._warnings: dict[str, None] = {}

    def resolution(self) -> Resolution:
        self._judge_edges()
        self._judge_circles()
        order = self._order()
        return Resolution(
            plugin_id=self._root.id,
            valid=not self._errors,
            errors=tuple(self._errors),
            warnings=tuple(line for line in self._warnings if line not in self._errors),
            install_order=order,
            causes=tuple(self._errors.values()),
        )

    # Walking

    def _reach(self, *, required_only: bool) -> dict[Node, Edge | None]:
        """Every node within reach, and by which edge it was reached first."""
        first: dict[Node, Edge | None] = {self._root.node: None}
        queue = deque([self._root.node])
        while queue:
            for edge in self._edges_of(queue.popleft()):
                if edge.found is None or edge.found in first or (required_only and not edge.asked.required):
                    continue
                first[edge.found] = edge
                queue.append(edge.found)
        return first

    def _edges_of(self, node: Node) -> list[Edge]:
        if node not in self._edges:
            self._edges[node] = [self._edge(node, asked) for asked in sorted(self._facts[node].dependencies, key=_rank)]
        return self._edges[node]

    def _edge(self, asker: Node, asked: Dependency) -> Edge:
        verdict = judge(asked, asker[0], self._present.get(asked.plugin_id, ()))
        target = verdict.target or self._on_the_shelf(asked)
        if target is not None:
            self._facts.setdefault(target.node, target)
        return Edge(asker, asked, target.node if target else None, verdict.problem)

    def _on_the_shelf(self, asked: Dependency) -> PluginFacts | None:
        """What would be installed for a missing requirement; nothing is installed for an optional one."""
        if not asked.required:
            return None
        return best_fit(asked, self._shelf.get(asked.plugin_id, ()))

    def _asked(self) -> dict[str, list[Edge]]:
        found: dict[str, list[Edge]] = {}
        for node in self._soft:
            for edge in self._edges_of(node):
                found.setdefault(edge.target, []).append(edge)
        return found

    # Judging

    def _judge_edges(self) -> None:
        for node in self._soft:
            for edge in self._edges_of(node):
                if edge.problem is None:
                    continue
                if not edge.asked.required or node not in self._hard:
                    self._warnings[edge.problem] = None
                elif edge.problem not in self._errors:
                    self._errors[edge.problem] = self._causes.of_edge(edge.problem, edge)

    def _judge_circles(self) -> None:
        """Whatever the plugin requires is within its first walk, so a circle lies in it altogether or not at all."""
        for circle in self._circles(self._hard):
            line = _circle(circle)
            if line not in self._errors:
                self._errors[line] = self._causes.of_circle(line, circle)
        for circle in self._circles(node for node in self._soft if node not in self._hard):
            self._warnings[_circle(circle)] = None

    def _circles(self, nodes: Iterable[Node]) -> Iterator[list[Edge]]:
        edges = {
            node: {edge.found: edge for edge in reversed(self._edges_of(node)) if edge.found and edge.asked.required}
            for node in nodes
        }
        for circle in cycles({node: sorted(targets) for node, targets in edges.items()}):
            following = [*circle[1:], circle[0]]
            yield [edges[node][target] for node, target in zip(circle, following, strict=True)]

    def _exists(self, edge: Edge) -> tuple[str, ...]:
        key = edge.target, edge.asked.service_name
        if key not in self._existing:
            installed = self._present.get(edge.target, [])
            self._existing[key] = existing(installed, self._shelf.get(edge.target, []), edge.asked.service_name)
        return self._existing[key]

    # Ordering

    def _order(self) -> tuple[str, ...]:
        """Dependencies first; optional edges that would close a circle are left out, each with a warning."""
        required: dict[str, set[str]] = {}
        optional: dict[tuple[str, str], None] = {}
        for node in self._soft:
            targets = required.setdefault(node[0], set())
            for edge in self._edges_of(node):
                if edge.found is None or edge.target == node[0]:
                    continue
                if edge.asked.required:
                    targets.add(edge.target)
                else:
                    optional[node[0], edge.target] = None
        only = [(asker, target) for asker, target in optional if target not in required[asker]]
        kept, left_out = without_optional_circles({asker: sorted(found) for asker, found in required.items()}, only)
        for asker, target in left_out:
            line = f"Circular dependency avoided: {asker} → {target} is optional and left out of the order"
            self._warnings[line] = None
        return tuple(postorder([self._root.id], kept))


def _rank(asked: Dependency) -> tuple[str, str, str]:
    return asked.plugin_id, asked.service_name or "", asked.version


def _circle(edges: Sequence[Edge]) -> str:
    return f"Circular dependency detected: {' → '.join([*(edge.asker[0] for edge in edges), edges[0].asker[0]])}"


def existing(installed: Sequence[PluginFacts], known: Sequence[PluginFacts], service: str | None) -> tuple[str, ...]:
    """What there is of a plugin, and of the service asked for; of all its services, where it does not offer that."""
    there = {facts.version for facts in installed}
    by_version = {facts.version: facts for facts in [*known, *installed]}
    versions = ordered(by_version)
    shown = [version for version in versions if version in there or version in versions[-MOST_EXISTING:]]
    found: list[str] = []
    for version in shown:
        facts = by_version[version]
        found.append(f"{facts.id}@{version} ({'installed' if version in there else 'known'})")
        if service is not None:
            names = [service] if service in facts.services else sorted(facts.services)[:MOST_EXISTING]
            found += [f"{name}@{facts.services[name]} (of {facts.id}@{version})" for name in names]
    return tuple(found)

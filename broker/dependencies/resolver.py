"""Whether a plugin's dependencies are met, in which order to install, and otherwise every cause. Pure.

A dependency is met by what is installed in the tenant: its range is held against the highest installed version that
satisfies. What is known but not installed is missing; its own requirements are told too, and it stands in the install
order, so that one answer says everything that is to be done.

Two walks from the plugin find every requirement: the first along required dependencies only, the second along all.
What only the second finds cannot fail the plugin, so it becomes a warning. Walks go breadth first in ascending order:
each chain is a shortest one and the same for any order of the input.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.dependencies.graph import components, cycles, postorder
from contracts.dependencies import Cause, Resolution
from contracts.errors import PluginNotFoundError, did_you_mean
from contracts.manifest import Dependency
from contracts.versions import highest, ordered, satisfies

Node = tuple[str, str]
"""A plugin at a version."""


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


@dataclass(frozen=True, slots=True)
class _Edge:
    asker: Node
    target: str
    found: Node | None
    required: bool
    problem: str | None


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
    best = _highest(installed)
    if dependency.service_name is None:
        fitting = [facts for facts in installed if satisfies(facts.version, dependency.version)]
        return Verdict(_highest(fitting)) if fitting else Verdict(best, _mismatch(best.id, best.version, dependency))
    name = dependency.service_name
    offering = [facts for facts in installed if name in facts.services]
    if not offering:
        return Verdict(best, f"Missing service: {name} is not offered by {best.id}@{best.version} (asked by {asker})")
    fitting = [facts for facts in offering if satisfies(facts.services[name], dependency.version)]
    if fitting:
        return Verdict(_highest(fitting))
    return Verdict(best, _mismatch(name, _highest(offering).services[name], dependency))


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
        self._edges: dict[Node, list[_Edge]] = {}
        self._facts: dict[Node, PluginFacts] = {root.node: root}
        self._hard = self._reach(required_only=True)
        self._soft = self._reach(required_only=False)
        self._required = self._graph(required_only=True)
        self._all = self._graph(required_only=False)
        self._errors: dict[str, tuple[str, ...]] = {}
        self._warnings: dict[str, None] = {}

    def resolution(self) -> Resolution:
        self._judge_edges()
        self._judge_cycles()
        order = self._order()
        errors = tuple(self._errors)
        return Resolution(
            plugin_id=self._root.id,
            valid=not errors,
            errors=errors,
            warnings=tuple(line for line in self._warnings if line not in self._errors),
            install_order=order,
            causes=tuple(Cause(message=line, chain=self._errors[line]) for line in errors),
        )

    # Walking

    def _reach(self, *, required_only: bool) -> dict[Node, Node | None]:
        """Every node within reach, and from which one it was reached first."""
        parents: dict[Node, Node | None] = {self._root.node: None}
        queue = deque([self._root.node])
        while queue:
            node = queue.popleft()
            for edge in self._edges_of(node):
                if edge.found is None or edge.found in parents or (required_only and not edge.required):
                    continue
                parents[edge.found] = node
                queue.append(edge.found)
        return parents

    def _edges_of(self, node: Node) -> list[_Edge]:
        if node not in self._edges:
            asked = self._facts[node].dependencies
            ranked = sorted(asked, key=lambda item: (item.plugin_id, item.service_name or "", item.version))
            self._edges[node] = [self._edge(node, dependency) for dependency in ranked]
        return self._edges[node]

    def _edge(self, asker: Node, dependency: Dependency) -> _Edge:
        verdict = judge(dependency, asker[0], self._present.get(dependency.plugin_id, ()))
        target = verdict.target or self._on_the_shelf(dependency)
        if target is not None:
            self._facts.setdefault(target.node, target)
        found = target.node if target else None
        return _Edge(asker, dependency.plugin_id, found, dependency.required, verdict.problem)

    def _on_the_shelf(self, dependency: Dependency) -> PluginFacts | None:
        """What would be installed for a missing requirement; nothing is installed for an optional one."""
        if not dependency.required:
            return None
        versions = [facts for facts in self._shelf.get(dependency.plugin_id, ()) if _fits(facts, dependency)]
        return _highest(versions) if versions else None

    def _graph(self, *, required_only: bool) -> dict[str, list[str]]:
        """Plugin ids and whom they ask for, versions left aside."""
        found: dict[str, set[str]] = {}
        for node in self._soft:
            targets = found.setdefault(node[0], set())
            for edge in self._edges_of(node):
                if edge.found is not None and (edge.required or not required_only):
                    targets.add(edge.target)
        return {asker: sorted(targets - {asker}) for asker, targets in sorted(found.items())}

    # Judging

    def _judge_edges(self) -> None:
        for node in self._soft:
            for edge in self._edges_of(node):
                if edge.problem is None:
                    continue
                if edge.required and node in self._hard:
                    self._errors.setdefault(edge.problem, (*self._chain(node), edge.target))
                else:
                    self._warnings[edge.problem] = None

    def _judge_cycles(self) -> None:
        hard = {node[0]: node for node in reversed(self._hard)}
        for cycle in cycles(self._required):
            line = f"Circular dependency detected: {' → '.join([*cycle, cycle[0]])}"
            if all(member in hard for member in cycle):
                self._errors.setdefault(line, (*self._chain(hard[cycle[0]]), *cycle[1:], cycle[0]))
            else:
                self._warnings[line] = None

    def _chain(self, node: Node) -> tuple[str, ...]:
        chain: list[str] = []
        step: Node | None = node
        while step is not None:
            chain.append(step[0])
            step = self._hard[step]
        return tuple(reversed(chain))

    # Ordering

    def _order(self) -> tuple[str, ...]:
        """Dependencies first; optional edges that would close a circle are left out, each with a warning."""
        kept = {asker: list(targets) for asker, targets in self._all.items()}
        for component in components(self._all):
            members = set(component)
            inner = {
                asker: [target for target in self._required.get(asker, ()) if target in members] for asker in component
            }
            place = {name: index for index, name in enumerate(postorder(component, inner))}
            for asker in component:
                required = set(self._required.get(asker, ()))
                for target in self._all[asker]:
                    if target in members and target not in required and place[target] > place[asker]:
                        kept[asker].remove(target)
                        line = f"Circular dependency avoided: {asker} → {target} is optional and left out of the order"
                        self._warnings[line] = None
        return tuple(postorder([self._root.id], kept))


def _fits(facts: PluginFacts, dependency: Dependency) -> bool:
    if dependency.service_name is None:
        return highest([facts.version], dependency.version) is not None
    offered = facts.services.get(dependency.service_name)
    return offered is not None and satisfies(offered, dependency.version)

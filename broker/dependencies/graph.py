"""Circles in a directed graph: components, elementary cycles, an order. Iterative: depth is no limit.

Nodes are names, or names with versions: whatever compares with its like.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

Node = TypeVar("Node", str, tuple[str, str])

Graph = Mapping[Node, Sequence[Node]]
"""Each node's successors, in ascending order."""

MOST_CYCLES = 100
"""How many cycles are told at most: a dense graph has more than anybody could read."""

MOST_SEARCHED = 2_000_000
"""How many edges the search for optional edges that may stay looks at in one component, at most."""


def components(graph: Graph[Node]) -> list[list[Node]]:
    """The strongly connected components with more than one node, each sorted (Tarjan 1972)."""
    search = _Search(graph)
    for root in sorted(graph):
        search.run(root)
    return sorted(component for component in search.found if len(component) > 1)


class _Search(Generic[Node]):
    """Tarjan's algorithm; ``index`` counts nodes as they are met, ``low`` is the oldest one that each leads back to."""

    def __init__(self, graph: Graph[Node]) -> None:
        self.found: list[list[Node]] = []
        self._graph: Graph[Node] = graph
        self._index: dict[Node, int] = {}
        self._low: dict[Node, int] = {}
        self._stack: list[Node] = []
        self._waiting: set[Node] = set()
        self._work: list[tuple[Node, Iterator[Node]]] = []

    def run(self, root: Node) -> None:
        if root not in self._index:
            self._enter(root)
        while self._work:
            node, successors = self._work[-1]
            following = next(successors, None)
            if following is None:
                self._leave(node)
            elif following not in self._index:
                self._enter(following)
            elif following in self._waiting:
                self._low[node] = min(self._low[node], self._index[following])

    def _enter(self, node: Node) -> None:
        self._index[node] = self._low[node] = len(self._index)
        self._stack.append(node)
        self._waiting.add(node)
        self._work.append((node, iter(self._graph.get(node, ()))))

    def _leave(self, node: Node) -> None:
        self._work.pop()
        if self._work:
            above = self._work[-1][0]
            self._low[above] = min(self._low[above], self._low[node])
        if self._low[node] != self._index[node]:
            return
        place = len(self._stack) - 1
        while self._stack[place] != node:
            place -= 1
        component = self._stack[place:]
        del self._stack[place:]
        self._waiting.difference_update(component)
        self.found.append(sorted(component))


def cycles(graph: Graph[Node]) -> Iterator[list[Node]]:
    """Elementary cycles, each once and from its smallest node, at most `MOST_CYCLES` (Johnson 1975)."""
    told = 0
    for component in components(graph):
        pending = [component]
        while pending:
            members = set(pending.pop())
            start = min(members)
            inner = {node: [other for other in graph.get(node, ()) if other in members] for node in members}
            for cycle in _cycles_from(start, inner):
                yield cycle
                told += 1
                if told == MOST_CYCLES:
                    return
            rest = {node: [other for other in inner[node] if other != start] for node in members if node != start}
            pending.extend(reversed(components(rest)))


def _cycles_from(start: Node, graph: Graph[Node]) -> Iterator[list[Node]]:
    path = [start]
    blocked = {start}
    closed: set[Node] = set()
    because: dict[Node, set[Node]] = {node: set() for node in graph}
    work = [(start, iter(graph[start]))]
    while work:
        node, successors = work[-1]
        following = next(successors, None)
        if following == start:
            yield list(path)
            closed.update(path)
        elif following is not None and following not in blocked:
            path.append(following)
            closed.discard(following)
            blocked.add(following)
            work.append((following, iter(graph[following])))
        elif following is None:
            if node in closed:
                _unblock(node, blocked, because)
            else:
                for other in graph[node]:
                    because[other].add(node)
            work.pop()
            path.pop()


def _unblock(node: Node, blocked: set[Node], because: dict[Node, set[Node]]) -> None:
    pending = {node}
    while pending:
        freed = pending.pop()
        if freed in blocked:
            blocked.remove(freed)
            pending.update(because[freed])
            because[freed].clear()


def postorder(starts: Iterable[Node], graph: Graph[Node]) -> list[Node]:
    """Every node reachable from ``starts``, each after those it points at (where cycles allow it)."""
    seen: set[Node] = set()
    found: list[Node] = []
    for start in starts:
        if start in seen:
            continue
        seen.add(start)
        work = [(start, iter(graph.get(start, ())))]
        while work:
            node, successors = work[-1]
            following = next(successors, None)
            if following is None:
                found.append(node)
                work.pop()
            elif following not in seen:
                seen.add(following)
                work.append((following, iter(graph.get(following, ()))))
    return found


def without_optional_circles(
    required: Graph[Node], optional: Iterable[tuple[Node, Node]]
) -> tuple[dict[Node, list[Node]], list[tuple[Node, Node]]]:
    """A graph of the required edges and of as many optional ones as close no circle.

    Args:
        required: The edges that stay in any case, circles or not.
        optional: Asker and target of each edge that may be left out; the earlier one is in the list, the rather it
            stays.

    Returns:
        The graph, and the edges left out, in the order given. Where trying one edge after the other would take more
        than `MOST_SEARCHED` steps, every optional edge of that component is left out.
    """
    doubtful: dict[Node, int] = {}
    wanted = dict.fromkeys(optional)
    kept = {node: list(targets) for node, targets in required.items()}
    everything = {node: list(targets) for node, targets in required.items()}
    for asker, target in wanted:
        everything.setdefault(asker, []).append(target)
    for number, component in enumerate(components(everything)):
        doubtful.update(dict.fromkeys(component, number))
    within = [edge for edge in wanted if _shared(doubtful, *edge) is not None]
    crowded = _crowded(doubtful, everything, within)
    left_out: list[tuple[Node, Node]] = []
    for asker, target in wanted:
        place = _shared(doubtful, asker, target)
        if place is not None and (place in crowded or _leads(kept, target, asker, doubtful, place)):
            left_out.append((asker, target))
        else:
            kept.setdefault(asker, []).append(target)
    return {node: sorted(set(targets)) for node, targets in kept.items()}, left_out


def _shared(places: Mapping[Node, int], one: Node, other: Node) -> int | None:
    number = places.get(one)
    return number if number is not None and places.get(other) == number else None


def _crowded(places: Mapping[Node, int], graph: Graph[Node], within: Iterable[tuple[Node, Node]]) -> set[int]:
    """The components in which a search for each optional edge would take too long."""
    searches: dict[int, int] = {}
    for asker, _ in within:
        searches[places[asker]] = searches.get(places[asker], 0) + 1
    edges: dict[int, int] = {}
    for node, number in places.items():
        edges[number] = edges.get(number, 0) + len(graph.get(node, ()))
    return {number for number, count in searches.items() if count * edges[number] > MOST_SEARCHED}


def _leads(graph: Graph[Node], start: Node, goal: Node, places: Mapping[Node, int], number: int) -> bool:
    """Whether a way leads from one node to another within their component."""
    seen = {start}
    queue = deque([start])
    while queue:
        for following in graph.get(queue.popleft(), ()):
            if following == goal:
                return True
            if following not in seen and places.get(following) == number:
                seen.add(following)
                queue.append(following)
    return False

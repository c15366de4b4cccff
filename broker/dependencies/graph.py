"""Circles in a directed graph of names: components, elementary cycles, an order. Iterative: depth is no limit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

Graph = Mapping[str, Sequence[str]]
"""Each node's successors, in ascending order."""

MOST_CYCLES = 100
"""How many cycles are told at most: a dense graph has more than anybody could read."""


def components(graph: Graph) -> list[list[str]]:
    """The strongly connected components with more than one node, each sorted (Tarjan 1972)."""
    search = _Search(graph)
    for root in sorted(graph):
        search.run(root)
    return sorted(component for component in search.found if len(component) > 1)


class _Search:
    """Tarjan's algorithm; ``index`` counts nodes as they are met, ``low`` is the oldest one that each leads back to."""

    def __init__(self, graph: Graph) -> None:
        self.found: list[list[str]] = []
        self._graph = graph
        self._index: dict[str, int] = {}
        self._low: dict[str, int] = {}
        self._stack: list[str] = []
        self._waiting: set[str] = set()
        self._work: list[tuple[str, Iterator[str]]] = []

    def run(self, root: str) -> None:
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

    def _enter(self, node: str) -> None:
        self._index[node] = self._low[node] = len(self._index)
        self._stack.append(node)
        self._waiting.add(node)
        self._work.append((node, iter(self._graph.get(node, ()))))

    def _leave(self, node: str) -> None:
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


def cycles(graph: Graph) -> Iterator[list[str]]:
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


def _cycles_from(start: str, graph: Graph) -> Iterator[list[str]]:
    path = [start]
    blocked = {start}
    closed: set[str] = set()
    because: dict[str, set[str]] = {node: set() for node in graph}
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


def _unblock(node: str, blocked: set[str], because: dict[str, set[str]]) -> None:
    pending = {node}
    while pending:
        freed = pending.pop()
        if freed in blocked:
            blocked.remove(freed)
            pending.update(because[freed])
            because[freed].clear()


def postorder(starts: Iterable[str], graph: Graph) -> list[str]:
    """Every node reachable from ``starts``, each after those it points at (where cycles allow it)."""
    seen: set[str] = set()
    found: list[str] = []
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

"""A dependency graph as a tree of text: each plugin's needs below it, what is missing in red. Pure."""

from collections.abc import Iterator

from rich.text import Text

from broker.dependencies.drawing import DependencyGraph, GraphEdge, GraphNode

STYLES = {"installed": "green", "known": "yellow", "missing": "bold red"}
_GUIDES = {False: ("├── ", "│   "), True: ("└── ", "    ")}


def tree(graph: DependencyGraph, root: str | None = None) -> list[Text]:
    """The lines of the tree: from ``root``, or from every plugin that nobody needs.

    A plugin's own needs are drawn where it comes first; circles end, and are named, where they close.
    """
    return list(_Tree(graph).lines(root))


class _Tree:
    def __init__(self, graph: DependencyGraph) -> None:
        self._nodes = {node.id: node for node in graph.nodes}
        self._edges: dict[str, list[GraphEdge]] = {}
        for edge in graph.edges:
            self._edges.setdefault(edge.asker, []).append(edge)
        self._needed = {edge.target for edge in graph.edges}
        self._drawn: set[str] = set()
        self._path: list[str] = []

    def lines(self, root: str | None) -> Iterator[Text]:
        # What only a circle needs is reached from no free plugin: the second half begins in each circle.
        free = [plugin for plugin in self._nodes if plugin not in self._needed]
        for plugin in [root] if root is not None else [*free, *self._nodes]:
            if plugin not in self._drawn:
                yield _name(self._nodes[plugin])
                yield from self._below(plugin, "")

    def _below(self, plugin: str, indent: str) -> Iterator[Text]:
        self._drawn.add(plugin)
        self._path.append(plugin)
        edges = self._edges.get(plugin, [])
        for edge in edges:
            guide, further = _GUIDES[edge is edges[-1]]
            line = Text.assemble((indent + guide, "dim"), self._need(edge))
            is_again = edge.target in self._drawn and edge.target in self._edges
            if edge.target in self._path:
                yield line.append(" (circle)", "yellow")
            elif is_again:
                yield line.append(" (above)", "dim")
            else:
                yield line
                yield from self._below(edge.target, indent + further)
        self._path.pop()

    def _need(self, edge: GraphEdge) -> Text:
        node = self._nodes[edge.target]
        text = Text.assemble(_name(node), "  ", edge.label)
        if not edge.required:
            text.append(" optional", "dim")
        # That it is not there, the plugin's own name says.
        if edge.problem is not None and node.state == "installed":
            text.append(f"  {edge.problem}", "red" if edge.required else "yellow")
        return text


def _name(node: GraphNode) -> Text:
    return Text(f"{node.id} {node.caption}", STYLES[node.state])

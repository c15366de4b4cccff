"""A dependency graph as a value, and as text that others draw: mermaid and dot. Pure; `svg` stands in its own module.

The same graph gives the same text: nodes by id, edges by asker, target, service and range, each once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from broker.dependencies.resolver import PluginFacts, judge
from contracts.dependencies import DependencyEdge
from contracts.versions import ordered

State = Literal["installed", "known", "missing"]

RED = "#cf222e"
Versions = Mapping[str, Sequence[str]]
"""Plugin id -> its versions."""

MOST_VERSIONS = 4
"""How many versions a node shows: the highest."""

_MERMAID = str.maketrans(
    {"#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "|": "#124;", "`": "#96;", "\\": "#92;"}
)
_DOT = str.maketrans({"\\": "\\\\", '"': '\\"'})


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A plugin.

    Attributes:
        versions: Those installed; of a plugin that is only known, the known ones; lowest first.
    """

    id: str
    versions: tuple[str, ...]
    state: State

    @property
    def caption(self) -> str:
        """What stands below the id: the versions, or why there are none."""
        if self.state == "missing":
            return "missing"
        shown = ", ".join(self.versions[-MOST_VERSIONS:])
        text = f"…, {shown}" if len(self.versions) > MOST_VERSIONS else shown
        return text if self.state == "installed" else f"{text} (not installed)"


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """A plugin asks for another.

    Attributes:
        problem: What is wrong with it, in the resolver's words.
    """

    asker: str
    target: str
    service: str | None
    range: str
    required: bool
    problem: str | None = None

    @property
    def label(self) -> str:
        """The range, behind the service that it is held against."""
        range_ = " ".join(self.range.split()) or "*"
        return f"{self.service} {range_}" if self.service else range_


@dataclass(frozen=True, slots=True)
class DependencyGraph:
    """Plugins and who asks for whom; every id of an edge is that of a node. `dependency_graph` makes one."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


def dependency_graph(
    edges: Iterable[DependencyEdge],
    *,
    shown: Iterable[str],
    known: Versions,
    installed: Versions,
    facts: Sequence[PluginFacts],
) -> DependencyGraph:
    """The graph of these edges, judged as the resolver judges.

    Args:
        edges: Who asks for what.
        shown: Plugins that are drawn though no edge touches them.
        known: What the broker knows.
        installed: What is installed in the tenant.
        facts: What is installed of the targets.
    """
    by_plugin: dict[str, list[PluginFacts]] = {}
    for item in facts:
        by_plugin.setdefault(item.id, []).append(item)
    drawn = sorted({_edge(edge, by_plugin) for edge in edges}, key=_place)
    ids = sorted({*shown, *(edge.asker for edge in drawn), *(edge.target for edge in drawn)})
    return DependencyGraph(nodes=tuple(_node(id_, known, installed) for id_ in ids), edges=tuple(drawn))


def _edge(edge: DependencyEdge, installed: Mapping[str, Sequence[PluginFacts]]) -> GraphEdge:
    need = edge.dependency
    return GraphEdge(
        asker=edge.plugin_id,
        target=need.plugin_id,
        service=need.service_name,
        range=need.version,
        required=need.required,
        problem=judge(need, edge.plugin_id, installed.get(need.plugin_id, ())).problem,
    )


def _node(plugin: str, known: Versions, installed: Versions) -> GraphNode:
    if plugin in installed:
        return GraphNode(id=plugin, versions=tuple(ordered(installed[plugin])), state="installed")
    if plugin in known:
        return GraphNode(id=plugin, versions=tuple(ordered(known[plugin])), state="known")
    return GraphNode(id=plugin, versions=(), state="missing")


def _place(edge: GraphEdge) -> tuple[str, str, str, str]:
    return edge.asker, edge.target, edge.service or "", edge.range


def mermaid(graph: DependencyGraph) -> str:
    """The graph as a mermaid flowchart: what is missing in red, optional edges dotted."""
    names = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        text = f"{node.id.translate(_MERMAID)}<br/>{node.caption.translate(_MERMAID)}"
        lines.append(f'    {names[node.id]}["{text}"]:::{node.state}')
    for edge in graph.edges:
        arrow = "-->" if edge.required else "-.->"
        lines.append(f'    {names[edge.asker]} {arrow}|"{edge.label.translate(_MERMAID)}"| {names[edge.target]}')
    wrong = [str(number) for number, edge in enumerate(graph.edges) if edge.problem]
    if wrong:
        lines.append(f"    linkStyle {','.join(wrong)} stroke:{RED},color:{RED}")
    lines.append("    classDef installed stroke-width:1px")
    lines.append("    classDef known stroke-dasharray:4 3")
    lines.append(f"    classDef missing stroke:{RED},color:{RED},stroke-width:2px")
    return "\n".join(lines) + "\n"


def dot(graph: DependencyGraph) -> str:
    """The graph in Graphviz' language: what is missing in red, optional edges dashed."""
    lines = ["digraph dependencies {", "    rankdir=LR;", '    node [shape=box, style=rounded, fontname="monospace"];']
    for node in graph.nodes:
        name, caption = node.id.translate(_DOT), node.caption.translate(_DOT)
        look = {"missing": f', color="{RED}", fontcolor="{RED}"', "known": ', style="rounded,dashed"'}
        lines.append(f'    "{name}" [label="{name}\\n{caption}"{look.get(node.state, "")}];')
    for edge in graph.edges:
        look_of = [f'label="{edge.label.translate(_DOT)}"']
        look_of += [] if edge.required else ["style=dashed"]
        look_of += [f'color="{RED}", fontcolor="{RED}"'] if edge.problem else []
        lines.append(f'    "{edge.asker.translate(_DOT)}" -> "{edge.target.translate(_DOT)}" [{", ".join(look_of)}];')
    return "\n".join([*lines, "}"]) + "\n"

"""A dependency graph as a value, and as text that others draw: mermaid and dot. Pure; `svg` stands in its own module.

The same graph gives the same text: nodes by id, edges by asker, target, service and range, each once.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from broker.dependencies.resolver import PluginFacts, judge
from contracts.dependencies import DependencyEdge, Installation, Resolution
from contracts.versions import ordered

State = Literal["installed", "known", "missing"]

RED = "#cf222e"
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
    installed: Iterable[Installation] | None = None,
    known: Iterable[tuple[str, str]] = (),
    resolution: Resolution | None = None,
) -> DependencyGraph:
    """Put together what the broker answers.

    Args:
        edges: Who asks for whom.
        installed: What is installed in the tenant; None to hold everything against what is known.
        known: Id and version of every plugin the broker knows.
        resolution: Its causes say what is wrong with services, of which the graph does not know the versions.
    """
    asked = list(edges)
    on_shelf = _versions([*known, *((edge.plugin_id, edge.version) for edge in asked)])
    there = on_shelf if installed is None else _versions((item.plugin_id, item.version) for item in installed)
    told = _told(resolution)
    drawn = {_drawn(edge, there, told) for edge in asked}
    names = {edge.plugin_id for edge in asked} | {edge.dependency.plugin_id for edge in asked} | there.keys()
    return DependencyGraph(
        nodes=tuple(_node(name, there, on_shelf) for name in sorted(names)),
        edges=tuple(sorted(drawn, key=_rank)),
    )


def _versions(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for name, version in pairs:
        found.setdefault(name, set()).add(version)
    return {name: ordered(versions) for name, versions in found.items()}


def _told(resolution: Resolution | None) -> dict[tuple[str, str, str | None, str], str]:
    causes = [cause for cause in resolution.causes if cause.exists] if resolution else []
    return {
        (step.plugin_id, step.target, step.service_name, step.range): cause.message
        for cause in causes
        for step in cause.steps[-1:]
    }


def _drawn(
    edge: DependencyEdge, there: dict[str, list[str]], told: dict[tuple[str, str, str | None, str], str]
) -> GraphEdge:
    asked = edge.dependency
    facts = [PluginFacts(id=asked.plugin_id, version=version) for version in there.get(asked.plugin_id, ())]
    problem = told.get((edge.plugin_id, asked.plugin_id, asked.service_name, asked.version))
    if problem is None and (asked.service_name is None or not facts):
        problem = judge(asked, edge.plugin_id, facts).problem
    return GraphEdge(edge.plugin_id, asked.plugin_id, asked.service_name, asked.version, asked.required, problem)


def _node(name: str, there: dict[str, list[str]], on_shelf: dict[str, list[str]]) -> GraphNode:
    if name in there:
        return GraphNode(name, tuple(there[name]), "installed")
    if name in on_shelf:
        return GraphNode(name, tuple(on_shelf[name]), "known")
    return GraphNode(name, (), "missing")


def _rank(edge: GraphEdge) -> tuple[str, str, str, str, bool, str]:
    return edge.asker, edge.target, edge.service or "", edge.range, not edge.required, edge.problem or ""


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

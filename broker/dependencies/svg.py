"""A dependency graph as SVG, by itself: no program and no font is needed. Pure.

Colours are in the picture's own style sheet, for light and for dark. What is missing and what is wrong is red,
optional edges are dashed; pointing at a line tells the resolver's words.
"""

from itertools import pairwise
from xml.sax.saxutils import escape

from broker.dependencies.drawing import RED, DependencyGraph, GraphEdge, GraphNode
from broker.dependencies.layout import Box, Line, Point, arranged

CHARACTER = 7.3
"""Width of a character of the 12 pixels monospace; labels have 11."""
SMALL_CHARACTER = 6.7
PADDING = 14.0
STUB = 8.0

_STYLE = f"""
text {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 12px; }}
.paper {{ fill: #ffffff; }}
.box {{ fill: #f6f8fa; stroke: #57606a; stroke-width: 1; }}
.known {{ stroke-dasharray: 5 3; }}
.name {{ fill: #1f2328; font-weight: 600; }}
.caption {{ fill: #57606a; font-size: 11px; }}
.line {{ fill: none; stroke: #57606a; stroke-width: 1.2; }}
.optional {{ stroke-dasharray: 5 4; }}
.label {{ fill: #57606a; font-size: 11px; }}
.head {{ fill: #57606a; }}
.box.missing, .line.wrong {{ stroke: {RED}; }}
.name.missing, .caption.missing, .label.wrong, .head.wrong {{ fill: {RED}; }}
@media (prefers-color-scheme: dark) {{
  .paper {{ fill: #0d1117; }}
  .box {{ fill: #161b22; stroke: #8b949e; }}
  .name {{ fill: #e6edf3; }}
  .caption, .label, .head {{ fill: #8b949e; }}
  .line {{ stroke: #8b949e; }}
  .box.missing, .line.wrong {{ stroke: #ff7b72; }}
  .name.missing, .caption.missing, .label.wrong, .head.wrong {{ fill: #ff7b72; }}
}}
"""


def svg(graph: DependencyGraph) -> str:
    """Draw the graph: askers left, what they ask for right; the same graph gives the same picture."""
    widths = {node.id: _width(node) for node in graph.nodes}
    labels = [len(edge.label) * SMALL_CHARACTER + 2 * STUB for edge in graph.edges]
    layout = arranged(
        widths, [(edge.asker, edge.target, label) for edge, label in zip(graph.edges, labels, strict=True)]
    )
    size = f"{layout.width:.0f} {layout.height:.0f}"
    width, height = size.split(" ")
    drawn = list(zip(graph.edges, layout.lines, labels, strict=True))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" height="{height}">',
            "<title>Dependencies</title>",
            f"<style>{_STYLE}</style>",
            f"<defs>{_head('head', '')}{_head('wrong-head', ' wrong')}</defs>",
            f'<rect class="paper" width="{width}" height="{height}"/>',
            *(_line(edge, line, label) for edge, line, label in drawn),
            *(_label(edge, line) for edge, line, _ in drawn),
            *(_box(node, layout.boxes[node.id]) for node in graph.nodes),
            "</svg>\n",
        ]
    )


def _width(node: GraphNode) -> float:
    return max(len(node.id) * CHARACTER, len(node.caption) * SMALL_CHARACTER) + 2 * PADDING


def _head(name: str, kind: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
        f'markerUnits="userSpaceOnUse"><path class="head{kind}" d="M0 0L8 4L0 8z"/></marker>'
    )


def _box(node: GraphNode, box: Box) -> str:
    middle, centre = box.x + box.width / 2, box.y + box.height / 2
    return (
        f'<g class="node" data-id="{_quoted(node.id)}">'
        f'<rect class="box {node.state}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="8"/>'
        f'<text class="name {node.state}" x="{middle:.1f}" y="{centre - 4:.1f}" text-anchor="middle">'
        f"{escape(node.id)}</text>"
        f'<text class="caption {node.state}" x="{middle:.1f}" y="{centre + 13:.1f}" text-anchor="middle">'
        f"{escape(node.caption)}</text></g>"
    )


def _line(edge: GraphEdge, line: Line, label: float) -> str:
    """A short stub, room for the label, then a curve from point to point, whose end alone has an arrowhead.

    Two paths: some programs that draw put a marker at the end of each part of a path, not only at its last.
    """
    away = -1 if line.is_backwards else 1
    start = line.points[0]
    points: list[Point] = [(start[0] + away * label, start[1]), *line.points[1:]]
    path = [f"M{points[0][0]:.1f} {start[1]:.1f}", *(_curve(one, other) for one, other in pairwise(points))]
    kind = ("" if edge.required else " optional") + (" wrong" if edge.problem else "")
    told = edge.problem or f"{edge.asker} {'requires' if edge.required else 'can use'} {edge.target} {edge.label}"
    return (
        f'<path class="line{kind}" d="M{start[0]:.1f} {start[1]:.1f}h{away * (STUB - 3):.1f}"/>'
        f'<path class="line{kind}" data-asker="{_quoted(edge.asker)}" data-target="{_quoted(edge.target)}" '
        f'd="{"".join(path)}" marker-end="url(#{"wrong-head" if edge.problem else "head"})">'
        f"<title>{escape(told)}</title></path>"
    )


def _curve(one: Point, other: Point) -> str:
    half = (other[0] - one[0]) / 2
    return f"C{one[0] + half:.1f} {one[1]:.1f} {other[0] - half:.1f} {other[1]:.1f} {other[0]:.1f} {other[1]:.1f}"


def _label(edge: GraphEdge, line: Line) -> str:
    x, y = line.points[0]
    away, anchor = (-STUB, "end") if line.is_backwards else (STUB, "start")
    wrong = " wrong" if edge.problem else ""
    return (
        f'<text class="label{wrong}" x="{x + away:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}">'
        f"{escape(edge.label)}</text>"
    )


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;"})

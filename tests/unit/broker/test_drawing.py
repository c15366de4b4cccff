"""What is drawn of a dependency graph: everything once, nothing on top of something else, the wrong in red."""

import random
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.dependencies.drawing import RED, DependencyGraph, GraphEdge, GraphNode, dependency_graph, dot, mermaid
from broker.dependencies.layout import Box, arranged
from broker.dependencies.resolver import PluginFacts
from broker.dependencies.svg import svg
from contracts.dependencies import DependencyEdge
from contracts.manifest import Dependency

SVG = "{http://www.w3.org/2000/svg}"


def asks(target: str, range_: str = "*", service: str | None = None, *, required: bool = True) -> Dependency:
    return Dependency(plugin_id=f"plugin-{target}", version=range_, service_name=service, required=required)


def edge(
    name: str, target: str, range_: str = "*", service: str | None = None, *, required: bool = True
) -> DependencyEdge:
    asked = asks(target, range_, service, required=required)
    return DependencyEdge(plugin_id=f"plugin-{name}", version="1.0.0", dependency=asked)


def at(name: str, version: str = "1.0.0", **services: str) -> PluginFacts:
    return PluginFacts(
        id=f"plugin-{name}", version=version, services={f"{name}.{key}": found for key, found in services.items()}
    )


def drawn(edges: Sequence[DependencyEdge], *facts: PluginFacts, known: Sequence[str] = ()) -> DependencyGraph:
    """The graph in a tenant in which these are installed."""
    installed: dict[str, list[str]] = {}
    for item in facts:
        installed.setdefault(item.id, []).append(item.version)
    shelf = {f"plugin-{name}": ["1.0.0"] for name in known}
    return dependency_graph(edges, shown=[], known=shelf, installed=installed, facts=facts)


EDGES = [
    edge("analytics", "crm", "^1.0.0", "crm.contacts"),
    edge("analytics", "crm", "<2.0.0", "crm.deals"),
    edge("invoicing", "crm", "^2.0.0"),
    edge("marketing", "mailer", required=False),
    edge("crm", "analytics", required=False),
]
INSTALLED = (
    at("analytics"),
    at("crm", "1.5.0", contacts="1.5.0", deals="1.0.0"),
    at("crm", "3.0.0", contacts="3.0.0"),
    at("marketing"),
)
GRAPH = drawn(EDGES, *INSTALLED, known=["invoicing"])


def test_a_graph_tells_what_is_installed_known_and_missing() -> None:
    assert GRAPH.nodes == (
        GraphNode("plugin-analytics", ("1.0.0",), "installed"),
        GraphNode("plugin-crm", ("1.5.0", "3.0.0"), "installed"),
        GraphNode("plugin-invoicing", ("1.0.0",), "known"),
        GraphNode("plugin-mailer", (), "missing"),
        GraphNode("plugin-marketing", ("1.0.0",), "installed"),
    )


def test_an_edge_tells_its_problem_in_the_resolvers_words() -> None:
    assert [item.problem for item in GRAPH.edges if item.problem] == [
        "Version mismatch: plugin-crm@3.0.0 does not satisfy ^2.0.0",
        "Missing dependency: plugin-mailer (optional for plugin-marketing)",
    ]


def test_a_range_is_held_against_the_service_that_is_offered() -> None:
    found = drawn([edge("a", "crm", "^2.0.0", "crm.contacts")], at("crm", contacts="1.4.0"))

    assert found.edges[0].problem == "Version mismatch: crm.contacts@1.4.0 does not satisfy ^2.0.0"


def test_the_order_of_the_input_does_not_matter() -> None:
    dice = random.Random(1)  # noqa: S311

    again = drawn(dice.sample(EDGES, len(EDGES)), *dice.sample(INSTALLED, len(INSTALLED)), known=["invoicing"])

    assert again == GRAPH
    assert svg(again) == svg(GRAPH)


def test_mermaid_shows_versions_ranges_and_what_is_missing() -> None:
    text = mermaid(GRAPH)

    assert 'n1["plugin-crm<br/>1.5.0, 3.0.0"]:::installed' in text
    assert 'n0 -->|"crm.deals #lt;2.0.0"| n1' in text
    assert 'n3["plugin-mailer<br/>missing"]:::missing' in text
    assert 'n4 -.->|"*"| n3' in text
    assert f"linkStyle 3,4 stroke:{RED}" in text


def test_dot_shows_versions_ranges_and_what_is_missing() -> None:
    text = dot(GRAPH)

    assert '"plugin-crm" [label="plugin-crm\\n1.5.0, 3.0.0"];' in text
    assert f'"plugin-mailer" [label="plugin-mailer\\nmissing", color="{RED}"' in text
    assert '"plugin-crm" -> "plugin-analytics" [label="*", style=dashed];' in text


def test_a_picture_shows_every_node_and_every_edge_once() -> None:
    root = ET.fromstring(svg(GRAPH))  # noqa: S314 - our own text

    nodes = Counter(group.get("data-id") for group in root.iter(f"{SVG}g"))
    lines = Counter((path.get("data-asker"), path.get("data-target")) for path in root.iter(f"{SVG}path"))
    assert nodes == Counter(node.id for node in GRAPH.nodes)
    del lines[None, None]
    assert lines == Counter((item.asker, item.target) for item in GRAPH.edges)


def test_a_picture_shows_what_is_missing_in_red_and_the_optional_dashed() -> None:
    root = ET.fromstring(svg(GRAPH))  # noqa: S314 - our own text
    classes = {(path.get("data-asker"), path.get("data-target")): path.get("class") for path in root.iter(f"{SVG}path")}

    assert classes["plugin-marketing", "plugin-mailer"] == "line optional wrong"
    assert classes["plugin-invoicing", "plugin-crm"] == "line wrong"
    assert classes["plugin-crm", "plugin-analytics"] == "line optional"
    assert [box.get("class") for box in root.iter(f"{SVG}rect")].count("box missing") == 1
    assert ".box.missing, .line.wrong { stroke: " + RED in svg(GRAPH)
    assert "prefers-color-scheme: dark" in svg(GRAPH)


def test_an_arrowhead_stands_at_the_target_only() -> None:
    root = ET.fromstring(svg(GRAPH))  # noqa: S314 - our own text
    paths = [(path.get("d", ""), path.get("marker-end")) for path in root.iter(f"{SVG}path")]

    assert all(drawn.count("M") == 1 for drawn, _ in paths)
    assert sum(head is not None for _, head in paths) == len(GRAPH.edges)


@pytest.mark.parametrize("draw", [svg, mermaid, dot])
def test_names_cannot_break_out_of_the_text_they_stand_in(draw) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    evil = '"]; <script>alert("x")</script> & \\ ` | #'
    nodes = (GraphNode(evil, (evil,), "installed"), GraphNode("b", (), "missing"))

    text = draw(DependencyGraph(nodes, (GraphEdge(evil, "b", evil, evil, required=True, problem=evil),)))

    if draw is svg:
        ET.fromstring(text)  # noqa: S314 - our own text
        assert "<script" not in text
    elif draw is mermaid:
        assert "<script" not in text
        assert text.count('"') == 2 * 3
    else:
        assert text.replace("\\\\", "").replace('\\"', "").count('"') == 24


def test_a_range_over_several_lines_is_drawn_on_one() -> None:
    assert GraphEdge("a", "b", None, ">=1.0.0\n\t<2.0.0", required=True).label == ">=1.0.0 <2.0.0"


def test_a_graph_without_plugins_is_drawn_all_the_same() -> None:
    empty = drawn([])

    assert mermaid(empty).startswith("flowchart LR\n")
    assert dot(empty).startswith("digraph dependencies {")
    assert ET.fromstring(svg(empty)).tag == f"{SVG}svg"  # noqa: S314 - our own text


def intersect(one: Box, other: Box) -> bool:
    apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
    apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
    return not (apart_x or apart_y)


names = st.integers(0, 14).map(lambda number: f"plugin-p{number}")
graphs = st.lists(st.tuples(names, names, st.floats(10, 200)).filter(lambda item: item[0] != item[1]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_no_box_covers_another_and_no_line_passes_through_one(edges: list[tuple[str, str, float]]) -> None:
    widths = {name: 60.0 + 9 * len(name) for name in sorted({name for item in edges for name in item[:2]})}

    found = arranged(widths, edges)

    assert not any(intersect(one, other) for one, other in combinations(found.boxes.values(), 2))
    assert all(box.x >= 0 and box.x + box.width <= found.width for box in found.boxes.values())
    assert all(box.y >= 0 and box.y + box.height <= found.height for box in found.boxes.values())
    for line in found.lines:
        for x, y in line.points[1:-1]:
            assert not any(
                box.x < x < box.x + box.width and box.y < y < box.y + box.height for box in found.boxes.values()
            )


@settings(max_examples=60, deadline=None)
@given(graphs)
def test_every_line_begins_and_ends_at_its_boxes_at_a_port_of_its_own(edges: list[tuple[str, str, float]]) -> None:
    widths = dict.fromkeys(sorted({name for item in edges for name in item[:2]}), 120.0)

    found = arranged(widths, edges)

    ends = [point for line in found.lines for point in (line.points[0], line.points[-1])]
    assert len(set(ends)) == len(ends)
    for (asker, target, _), line in zip(edges, found.lines, strict=True):
        for name, (x, y) in ((asker, line.points[0]), (target, line.points[-1])):
            box = found.boxes[name]
            assert x in {box.x, box.x + box.width}
            assert box.y < y < box.y + box.height


def test_a_large_graph_is_drawn_without_a_place_for_every_line() -> None:
    size = 600
    edges = [(f"p{i}", f"p{i + step}", 30.0) for i in range(size - 1) for step in (1, 100) if i + step < size]

    found = arranged({f"p{i}": 50.0 for i in range(size)}, edges)

    assert max(len(line.points) for line in found.lines) == 2

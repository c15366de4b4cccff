"""``plexica deps graph``: what is gathered, and how it reads as a tree."""

from pathlib import Path
from typing import Any, Literal

import pytest

from broker.cli.tree import tree
from broker.dependencies.drawing import DependencyGraph, GraphEdge, GraphNode
from tests.factories import Json
from tests.unit.broker.cli.desk import Desk
from tests.unit.broker.cli.test_operating import analytics, crm, error_of


def node(name: str, *versions: str, state: Literal["installed", "known", "missing"] = "installed") -> GraphNode:
    return GraphNode(id=f"plugin-{name}", versions=versions, state=state)


def edge(asker: str, target: str, **fields: Any) -> GraphEdge:
    default: Json = {"service": None, "range": "^1.0.0", "required": True, "problem": None}
    return GraphEdge(asker=f"plugin-{asker}", target=f"plugin-{target}", **{**default, **fields})


def lines(graph: DependencyGraph, root: str | None = None) -> list[str]:
    return [line.plain for line in tree(graph, root)]


def test_needs_stand_below_their_asker_and_are_drawn_once() -> None:
    graph = DependencyGraph(
        nodes=(node("a", "1.0.0"), node("b", "1.0.0", "2.0.0"), node("c", "1.0.0"), node("d", "1.0.0")),
        edges=(edge("a", "b", service="b.things"), edge("a", "c", required=False), edge("b", "d"), edge("c", "b")),
    )

    assert lines(graph) == [
        "plugin-a 1.0.0",
        "├── plugin-b 1.0.0, 2.0.0  b.things ^1.0.0",
        "│   └── plugin-d 1.0.0  ^1.0.0",
        "└── plugin-c 1.0.0  ^1.0.0 optional",
        "    └── plugin-b 1.0.0, 2.0.0  ^1.0.0 (above)",
    ]


def test_circles_end_where_they_close_and_are_drawn_though_nobody_stands_outside() -> None:
    graph = DependencyGraph(
        nodes=(node("a", "1.0.0"), node("b", "1.0.0"), node("c", "1.0.0")), edges=(edge("a", "b"), edge("b", "a"))
    )

    assert lines(graph) == [
        "plugin-c 1.0.0",
        "plugin-a 1.0.0",
        "└── plugin-b 1.0.0  ^1.0.0",
        "    └── plugin-a 1.0.0  ^1.0.0 (circle)",
    ]


def test_what_is_missing_is_red_and_a_mismatch_says_why() -> None:
    mismatch = "Version mismatch: plugin-b@2.0.0 does not satisfy ^1.0.0"
    graph = DependencyGraph(
        nodes=(node("a", "1.0.0"), node("b", "2.0.0"), node("c", "3.0.0", state="known"), node("d", state="missing")),
        edges=(edge("a", "b", problem=mismatch), edge("a", "c", problem="Missing"), edge("a", "d", problem="Missing")),
    )

    found = tree(graph)

    assert [line.plain for line in found[1:]] == [
        f"├── plugin-b 2.0.0  ^1.0.0  {mismatch}",
        "├── plugin-c 3.0.0 (not installed)  ^1.0.0",
        "└── plugin-d missing  ^1.0.0",
    ]
    assert "red" in {str(span.style) for span in found[1].spans}
    assert "bold red" in {str(span.style) for span in found[3].spans}


def test_a_root_shows_its_own_needs_only() -> None:
    graph = DependencyGraph(nodes=(node("a", "1.0.0"), node("b", "1.0.0")), edges=(edge("a", "b"),))

    assert lines(graph, "plugin-b") == ["plugin-b 1.0.0"]


def test_the_graph_of_a_tenant_is_judged_as_the_resolver_does(plexica: Desk) -> None:
    plexica.has(crm("2.0.0"))
    plexica("plugin", "register", plexica.manifest(analytics()))
    mail = {"pluginId": "plugin-mail", "version": "*", "required": False}
    forecast = {"id": "plugin-forecast", "name": "F", "version": "1.0.0", "api": {"dependencies": [mail]}}
    plexica("plugin", "register", plexica.manifest(forecast))

    drawn = plexica("deps", "graph", "-t", "acme-corp")
    found = plexica("deps", "graph", "plugin-analytics", "-t", "acme-corp", "--json").json

    assert drawn.out.splitlines() == [
        "plugin-analytics 1.0.0 (not installed)",
        "└── plugin-crm 2.0.0  crm.contacts ^1.0.0  Version mismatch: crm.contacts@2.0.0 does not satisfy ^1.0.0",
        "plugin-forecast 1.0.0 (not installed)",
        "└── plugin-mail missing  * optional",
    ]
    assert [(item["id"], item["state"]) for item in found["nodes"]] == [
        ("plugin-analytics", "known"),
        ("plugin-crm", "installed"),
    ]
    assert found["edges"][0]["problem"] == "Version mismatch: crm.contacts@2.0.0 does not satisfy ^1.0.0"


@pytest.mark.parametrize(
    ("kind", "begins"), [("mermaid", ("graph", "flowchart", "%%", "---")), ("dot", ("digraph", "//")), ("svg", ("<",))]
)
def test_the_graph_is_drawn_in_other_forms_and_written_to_a_file(
    plexica: Desk, tmp_path: Path, kind: str, begins: tuple[str, ...]
) -> None:
    plexica.has(crm(), analytics())
    place = tmp_path / "graph"

    printed = plexica("deps", "graph", "-t", "acme-corp", "--format", kind)
    written = plexica("deps", "graph", "-t", "acme-corp", "--format", kind, "--output", str(place))

    assert (printed.status, written.status, written.out) == (0, 0, "")
    assert printed.out.startswith(begins)
    assert place.read_text() == printed.out


def test_a_graph_that_cannot_be_made_or_written_is_told(plexica: Desk, tmp_path: Path) -> None:
    plexica("tenant", "create", "acme-corp")

    unknown = plexica("deps", "graph", "plugin-crm", "-t", "acme-corp", "--json")
    nowhere = plexica("deps", "graph", "-t", "acme-corp", "--output", str(tmp_path / "no" / "file"))

    assert (unknown.status, nowhere.status) == (1, 1)
    assert error_of(unknown)["code"] == "PLUGIN_NOT_FOUND"
    assert "cannot be written: No such file or directory" in nowhere.err

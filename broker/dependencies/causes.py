"""Why a resolution fails, step by step: who asks whom for what range, what else is asked, what exists. Pure.

A chain is as long as the graph is deep and every plugin of it may have an error: told in full, that grows with the
square of the graph. So a resolution tells `MOST_STEPS` steps, and afterwards of each error the last step only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from contracts.dependencies import Cause, Demand
from contracts.manifest import Dependency

Node = tuple[str, str]
"""A plugin at a version."""

MOST_STEPS = 10_000
"""How many steps and constraints the causes of one resolution tell before they become short."""


@dataclass(slots=True, eq=False)
class Edge:
    """A plugin version asks for another plugin.

    Attributes:
        found: The version it leads to, if any: the one that meets it, or else the one that comes next to it.
        problem: What is wrong, if anything.
    """

    asker: Node
    asked: Dependency
    found: Node | None
    problem: str | None

    @property
    def target(self) -> str:
        """The id of the plugin asked for."""
        return self.asked.plugin_id


class Causes:
    """Builds the causes of one resolution.

    Args:
        first: For each plugin version the edge by which it is reached first, None for the plugin resolved.
        asked: For each plugin id every edge to it.
        exists: What there is of an edge's target.
    """

    def __init__(
        self,
        first: Mapping[Node, Edge | None],
        asked: Mapping[str, Sequence[Edge]],
        exists: Callable[[Edge], tuple[str, ...]],
    ) -> None:
        self._first = first
        self._asked = asked
        self._exists = exists
        self._left = MOST_STEPS
        self._demands: dict[Edge, Demand] = {}

    def of_edge(self, message: str, edge: Edge) -> Cause:
        """The cause of an unmet requirement."""
        constraints = self._asked[edge.target]
        way = self._within_limit([edge], len(constraints))
        return self._cause(message, way, constraints if self._left else [edge], self._exists(edge))

    def of_circle(self, message: str, circle: Sequence[Edge]) -> Cause:
        """The cause of a circle, whose edges begin at the plugin version from which it is told."""
        return self._cause(message, self._within_limit(circle), (), ())

    def _within_limit(self, end: Sequence[Edge], further: int = 0) -> Sequence[Edge]:
        """The way from the plugin resolved to the end of these edges, or the last of them if that is too much."""
        way = list(reversed(end))
        before = self._first[end[0].asker]
        while before is not None and len(way) + further < self._left:
            way.append(before)
            before = self._first[before.asker]
        self._left = max(0, self._left - len(way) - further) if before is None else 0
        return tuple(reversed(way)) if self._left else end[-1:]

    def _cause(self, message: str, way: Sequence[Edge], asked: Sequence[Edge], exists: tuple[str, ...]) -> Cause:
        return Cause(
            message=message,
            chain=(*(edge.asker[0] for edge in way), way[-1].target),
            steps=tuple(self._demand(edge) for edge in way),
            constraints=tuple(self._demand(edge) for edge in asked),
            exists=exists,
        )

    def _demand(self, edge: Edge) -> Demand:
        if edge not in self._demands:
            self._demands[edge] = demand(edge.asker, edge.asked)
        return self._demands[edge]


def demand(asker: Node, asked: Dependency) -> Demand:
    """A dependency as a step of a chain."""
    return Demand(
        plugin_id=asker[0],
        version=asker[1],
        target=asked.plugin_id,
        service_name=asked.service_name,
        range=asked.version,
        required=asked.required,
    )

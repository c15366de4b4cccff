"""The work of a resolution grows with its edges: calls are counted, not seconds, so the count is always the same."""

import random
import sys
from collections.abc import Callable
from types import FrameType

import pytest

from broker.dependencies.graph import MOST_SEARCHED, without_optional_circles
from broker.dependencies.resolver import PluginFacts, resolve
from contracts.manifest import Dependency

SMALL, LARGE = 150, 600
TOLERANCE = 1.15


def plugin(number: int, targets: list[int], *, required: bool = True) -> PluginFacts:
    asked = (
        Dependency(plugin_id=f"plugin-p{target}", version=f"^1.{target % 7}.0", required=required)
        for target in dict.fromkeys(targets)
    )
    return PluginFacts(id=f"plugin-p{number}", version="1.9.0", dependencies=tuple(asked))


def layered(size: int, *, required: bool = True) -> list[PluginFacts]:
    dice = random.Random(size)  # noqa: S311
    return [
        plugin(i, [i + 1, *(dice.randrange(i + 1, size) for _ in range(3))] if i + 1 < size else [], required=required)
        for i in range(size)
    ]


def chain(size: int) -> list[PluginFacts]:
    return [plugin(i, [i + 1] if i + 1 < size else []) for i in range(size)]


def ring(size: int) -> list[PluginFacts]:
    return [plugin(i, [(i + 1) % size]) for i in range(size)]


def optional_ring(size: int) -> list[PluginFacts]:
    return [plugin(i, [(i + 1) % size, (i + 2) % size], required=False) for i in range(size)]


def calls_of(plugins: list[PluginFacts], installed: list[PluginFacts]) -> int:
    """How many functions a resolution calls, with everything it keeps already there."""
    resolve(plugins[0].id, known=plugins, installed=installed)
    count = 0

    def tell(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(tell)
    try:
        resolve(plugins[0].id, known=plugins, installed=installed)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("graph", [layered, chain, ring])
@pytest.mark.parametrize("is_installed", [True, False])
def test_four_times_the_plugins_take_four_times_the_work(
    graph: Callable[[int], list[PluginFacts]], is_installed: bool
) -> None:
    small, large = graph(SMALL), graph(LARGE)

    little = calls_of(small, small if is_installed else [])
    much = calls_of(large, large if is_installed else [])

    assert much <= TOLERANCE * LARGE / SMALL * little


def test_the_search_for_optional_edges_that_may_stay_has_a_limit() -> None:
    size = 1_500
    edges = [(f"p{i:04}", f"p{(i + step) % size:04}") for i in range(size) for step in (1, 2)]

    kept, left_out = without_optional_circles({}, edges)

    assert len(edges) ** 2 > MOST_SEARCHED
    assert kept == {}
    assert left_out == edges


def test_within_the_limit_as_few_optional_edges_as_needed_are_left_out() -> None:
    found = resolve("plugin-p0", known=optional_ring(100), installed=optional_ring(100))

    assert len(found.install_order) == 100
    assert len(found.warnings) == 3

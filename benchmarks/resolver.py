"""How long the resolver takes as platforms grow: random graphs, deep chains, circles, and nothing installed.

Run ``python -m benchmarks.resolver``, with ``--json`` for scripts. The last column must stay flat: the time of one
edge, relative to that of the smallest platform of its kind. Times are the processor's, the warm one the best of four.
"""

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from broker.dependencies.resolver import PluginFacts, resolve
from contracts import versions
from contracts.manifest import Dependency

SIZES = (500, 1_000, 2_000, 5_000)
EDGES = 4
RUNS = 5
RANGES = ("^1.0.0", ">=1.2.0 <2.0.0", "~1.4.0 || ^1.5.0", "1.x", "*")

Platform = tuple[list[PluginFacts], bool]
"""Plugins, the first of which is resolved, and whether they are installed."""


@dataclass(frozen=True)
class Measured:
    kind: str
    plugins: int
    edges: int
    errors: int
    cold_ms: float
    warm_ms: float
    us_per_edge: float


def facts(
    number: int, targets: Iterator[int] | list[int], dice: random.Random, *, optional: bool = False
) -> PluginFacts:
    asked = tuple(
        Dependency(plugin_id=f"plugin-p{target}", version=dice.choice(RANGES), required=not optional)
        for target in dict.fromkeys(targets)
    )
    return PluginFacts(id=f"plugin-p{number}", version=f"1.{5 + number % 40}.{number % 7}", dependencies=asked)


def layered(size: int) -> Platform:
    """Every plugin asks for the next one and for three of those after it, at random."""
    dice = random.Random(size)  # noqa: S311
    return [
        facts(i, [i + 1, *(dice.randrange(i + 1, size) for _ in range(EDGES - 1))] if i + 1 < size else [], dice)
        for i in range(size)
    ], True


def missing(size: int) -> Platform:
    """The same, of which nothing is installed: every plugin but the first is an error."""
    return layered(size)[0], False


def chain(size: int) -> Platform:
    dice = random.Random(size)  # noqa: S311
    return [facts(i, [i + 1] if i + 1 < size else [], dice) for i in range(size)], True


def missing_chain(size: int) -> Platform:
    return chain(size)[0], False


def ring(size: int) -> Platform:
    dice = random.Random(size)  # noqa: S311
    return [facts(i, [(i + 1) % size], dice) for i in range(size)], True


def tangle(size: int) -> Platform:
    """Four required edges in any direction: one component of nearly all plugins, with more circles than can be told."""
    dice = random.Random(size)  # noqa: S311
    return [
        facts(i, [(i + 1) % size, *(t for t in (dice.randrange(size) for _ in range(EDGES - 1)) if t != i)], dice)
        for i in range(size)
    ], True


def optional_tangle(size: int) -> Platform:
    """The same with optional edges."""
    dice = random.Random(size)  # noqa: S311
    return [
        facts(i, [t for t in (dice.randrange(size) for _ in range(EDGES)) if t != i], dice, optional=True)
        for i in range(size)
    ], True


KINDS: dict[str, Callable[[int], Platform]] = {
    "four edges a plugin": layered,
    "four edges, none installed": missing,
    "chain": chain,
    "chain, none installed": missing_chain,
    "ring": ring,
    "tangle of circles": tangle,
    "tangle of optional circles": optional_tangle,
}


def measure(kind: str, size: int) -> Measured:
    plugins, installed = KINDS[kind](size)
    present = plugins if installed else []
    for cached in (versions.satisfies, versions._range, versions._precedence):  # noqa: SLF001 - a cold start is the point
        cached.cache_clear()
    # The platform itself is no rubbish to be looked through again and again while the resolver is measured.
    gc.collect()
    gc.freeze()
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        found = resolve(plugins[0].id, known=plugins, installed=present)
        times.append(time.process_time() - began)
    gc.unfreeze()
    edges = sum(len(item.dependencies) for item in plugins)
    warm = min(times[1:])
    return Measured(kind, size, edges, len(found.errors), 1e3 * times[0], 1e3 * warm, 1e6 * warm / edges)


def table(results: list[Measured]) -> Table:
    shown = Table("graph", *("plugins", "edges", "errors", "cold ms", "warm ms", "µs an edge", "growth an edge"))
    for column in shown.columns[1:]:
        column.justify = "right"
    smallest: dict[str, float] = {}
    for item in results:
        growth = item.us_per_edge / smallest.setdefault(item.kind, item.us_per_edge)
        shown.add_row(
            item.kind,
            *(f"{number:,}" for number in (item.plugins, item.edges, item.errors)),
            *(f"{number:,.1f}" for number in (item.cold_ms, item.warm_ms, item.us_per_edge)),
            f"{growth:.2f}",
            end_section=item.plugins == SIZES[-1],
        )
    return shown


def main() -> None:
    results = [measure(kind, size) for kind in KINDS for size in SIZES]
    if "--json" in sys.argv:
        print(json.dumps([asdict(item) for item in results], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(table(results))


if __name__ == "__main__":
    main()

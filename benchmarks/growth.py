"""What growth costs: ``python -m benchmarks.growth``. A call must cost the same, however many others there are.

One pair of plugins calls with more and more tenants, beside more and more other plugins, with larger and larger
bodies; each step of a kind is measured in every round. At the end a broker starts with thousands of registrations.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figures, Result, Run
from benchmarks.machine import describe
from benchmarks.measuring import Plan, Stage
from benchmarks.payload import BODY
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.crowd import CROWD
from benchmarks.peers.ours import TENANTS
from benchmarks.processes import check_platform
from benchmarks.progress import Steps, private_node, progress
from benchmarks.registrations import filled, start_seconds
from benchmarks.report import grid, number, problems, where
from benchmarks.rounds import count, in_rounds
from plugin_runtime import configure_logs
from tests.rabbitmq import RabbitMQNode

ROUNDS = 3
PLAN = Plan(most=0.0)
PAIR = 2
REGISTRATIONS = ((20, 50), (200, 50))
"""So many plugins, of so many instances each."""
START_AIM_SECONDS = 5.0


@dataclass(frozen=True)
class Kind:
    """What grows, by which variable, and in which steps; the first is what the others are compared with."""

    key: str
    title: str
    variable: str
    steps: Sequence[int]
    less: int = 0

    def peers(self) -> list[Peer]:
        """The bus with each step."""
        return [
            Peer(
                key=f"{self.key}-{step}",
                title=f"{step:,} {self.title}",
                usage="a plugin posts to another one's endpoint",
                module="ours",
                backdrop="bus",
                distributions=("plexica-bus",),
                environment={self.variable: str(step - self.less)},
                is_ours=True,
            )
            for step in self.steps
        ]


KINDS = (
    Kind("tenants", "tenants, called in turn", TENANTS, (1, 10, 100, 1_000)),
    Kind("plugins", "plugins connected, two of them at work", CROWD, (PAIR, 10, 50, 200), less=PAIR),
    Kind("bytes", "bytes of body, there and back", BODY, (0, 1024, 32 * 1024, 256 * 1024, 1_000_000)),
)
HEADS = ("", "p50 µs", "growth", "CPU ms", "growth", "RabbitMQ ms", "calls/s, 64", "MiB")
START_HEADS = ("broker start", "on an empty RabbitMQ, s", "on one that has the queues, s")


def rows(kind: Kind, figures: Mapping[str, Figures]) -> list[list[str]]:
    """The cells of the steps that were measured; growth is a figure, divided by that of the first step."""
    steps = zip(kind.steps, kind.peers(), strict=True)
    measured = [(f"{step:,}", figures[peer.key]) for step, peer in steps if peer.key in figures]
    return [
        [
            step,
            number(one["p50_us"]),
            number(one["p50_us"] / measured[0][1]["p50_us"], 2),
            number(one["cpu_ms"]),
            number(one["cpu_ms"] / measured[0][1]["cpu_ms"], 2),
            number(one.get("rabbitmq_cpu_ms")),
            number(one["rate_64"]),
            number(one["memory_mib"]),
        ]
        for step, one in measured
    ]


def start_rows(figures: Mapping[str, Figures]) -> list[list[str]]:
    """The cells of the broker's starts."""
    keys = [(plugins * instances, _start_key(plugins, instances)) for plugins, instances in REGISTRATIONS]
    return [
        [f"{count:,} registrations", *(number(figures[key][name], 1) for name in ("empty_s", "again_s"))]
        for count, key in keys
        if key in figures
    ]


def _start_key(plugins: int, instances: int) -> str:
    return f"start-{plugins * instances}"


def take(kinds: Sequence[Kind], rounds: int, console: Console, *, starts: bool) -> Run:
    """Measure every step in every round, on one node, then the starts."""
    peers = [peer for kind in kinds for peer in kind.peers()]
    registrations = REGISTRATIONS if starts else ()
    with private_node(console) as node:
        machine, stage = describe(node), Stage(node, None, PLAN)
        with progress(console, rounds * len(peers) + len(registrations)) as steps:
            results = [
                *in_rounds(peers, rounds, stage, steps, {}),
                *(_started(node, *sizes, steps) for sizes in registrations),
            ]
    settings = {"rounds": rounds, "seconds": asdict(PLAN)}
    return Run(taken_at=datetime.now(UTC).isoformat(), machine=machine, settings=settings, results=tuple(results))


def _started(node: RabbitMQNode, plugins: int, instances: int, steps: Steps) -> Result:
    title = f"{plugins * instances:,} registrations"
    tell = steps.telling(f"{title}:")
    tell("are written")
    with filled(plugins, instances) as store:
        tell("a broker starts")
        empty, again = start_seconds(node, store)
    steps.advance()
    usage = f"{plugins} plugins, {instances} instances each"
    figures = {"empty_s": empty, "again_s": again}
    return Result(key=_start_key(plugins, instances), title=title, usage=usage, rounds=(figures,))


def tables(run: Run) -> list[Table]:
    """One table a kind, and one of the starts."""
    figures = run.figures()
    made = []
    for heads, cells in _parts(figures):
        table = Table(*heads)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in cells:
            table.add_row(*row)
        made.append(table)
    return made


def markdown(run: Run) -> str:
    """The same for a page."""
    grids = [grid(heads, cells, numbers=range(1, len(heads))) for heads, cells in _parts(run.figures())]
    return "\n\n".join([where(run), *grids, *problems(run)])


def _parts(figures: Mapping[str, Figures]) -> list[tuple[Sequence[str], list[list[str]]]]:
    parts: list[tuple[Sequence[str], list[list[str]]]] = [
        ((kind.title, *HEADS[1:]), rows(kind, figures)) for kind in KINDS
    ]
    aim = f"{START_HEADS[0]} (aim: under {START_AIM_SECONDS:g} s)"
    return [part for part in [*parts, ((aim, *START_HEADS[1:]), start_rows(figures))] if part[1]]


def main() -> None:
    keys = [kind.key for kind in KINDS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--rounds", type=count, default=ROUNDS, help=f"how often each step is measured ({ROUNDS})")
    parser.add_argument("--only", choices=[*keys, "start"], help="one of the kinds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every figure is written")
    parser.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    parser.add_argument("--read", type=Path, metavar="FILE", help="a file of --json, shown instead of a new run")
    given = parser.parse_args()
    if given.read:
        run = Run.parse(json.loads(given.read.read_text()))
    else:
        check_platform()
        configure_logs(level="error")  # the store is filled in this process
        kinds = [kind for kind in KINDS if given.only in {None, kind.key}]
        run = take(kinds, given.rounds, Console(stderr=True), starts=given.only in {None, "start"})
    if given.json:
        given.json.write_text(json.dumps(run.to_json(), indent=2) + "\n")
    if given.markdown:
        print(markdown(run))
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(*tables(run), *problems(run), where(run), sep="\n", highlight=False)


if __name__ == "__main__":
    main()

"""The bus beside its peers, in one run, in interleaved rounds: ``python -m benchmarks.compare``, or ``make bench``.

Every peer runs as two processes on this machine, used as its own documentation says; all those on RabbitMQ share one
private node, each with a fresh vhost. Machines are noisy: only ratios of one run count.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.compile import compile_c
from benchmarks.figures import Run
from benchmarks.machine import describe
from benchmarks.measuring import Plan, Stage
from benchmarks.peers.catalogue import PEERS, Peer, chosen
from benchmarks.picture import picture
from benchmarks.processes import BenchmarkError, check_platform
from benchmarks.progress import private_node, progress
from benchmarks.report import aims_table, markdown, peers_tables, problems, where
from benchmarks.rounds import count, in_rounds

ROUNDS = 3
WIDTH = 200
"""Columns of the tables where the output is no terminal."""


def take(peers: Sequence[Peer], rounds: int, plan: Plan, console: Console) -> Run:
    """Measure peers in interleaved rounds on a node of their own."""
    missing = {peer.key: problem for peer in peers if (problem := peer.missing())}
    with private_node(console) as node, tempfile.TemporaryDirectory() as folder:
        machine = describe(node)
        stage = Stage(node, _compiled(peers, missing, Path(folder)), plan)
        with progress(console, rounds * len(peers)) as steps:
            results = in_rounds(peers, rounds, stage, steps, missing)
    settings = {"rounds": rounds, "seconds": asdict(plan)}
    return Run(taken_at=datetime.now(UTC).isoformat(), machine=machine, settings=settings, results=results)


def _compiled(peers: Sequence[Peer], missing: dict[str, str], folder: Path) -> Path | None:
    for peer in peers:
        if peer.module == "librabbitmq" and peer.key not in missing:
            try:
                return compile_c(folder)
            except BenchmarkError as error:
                missing[peer.key] = f"not built: {error}; apt-get install gcc libc6-dev librabbitmq-dev"
    return None


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--rounds", type=count, default=ROUNDS, help=f"how often each peer is measured ({ROUNDS})")
    parser.add_argument("--only", default="", help=f"keys between commas, of {', '.join(peer.key for peer in PEERS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every figure is written")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="where the picture is drawn")
    parser.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    parser.add_argument("--read", type=Path, metavar="FILE", help="a file of --json, shown instead of a new run")
    given = parser.parse_args(words)
    try:
        named = chosen(given.only)
    except ValueError as error:
        parser.error(str(error))
    given.peers = [peer for peer in named if given.only or not (peer.optional and peer.missing())]
    return given


def main() -> None:
    given = arguments()
    width = None if sys.stdout.isatty() else WIDTH
    console = Console(width=width)
    if given.read:
        run = Run.parse(json.loads(given.read.read_text()))
    else:
        check_platform()
        run = take(given.peers, given.rounds, Plan(), Console(stderr=True))
    if given.json:
        given.json.write_text(json.dumps(run.to_json(), indent=2) + "\n")
    if given.svg:
        given.svg.write_text(picture(run))
    if given.markdown:
        print(markdown(run))
    else:
        console.print(*peers_tables(run), *problems(run), where(run), aims_table(run), highlight=False, sep="\n")
    if any(result.key == "ours" and result.problem for result in run.results):
        sys.exit(1)


if __name__ == "__main__":
    main()

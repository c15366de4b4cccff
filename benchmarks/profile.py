"""Where the time of a call goes: ``python -m benchmarks.profile``. Client and server under load, sampled.

The first table says which part of the program was running, in per cent of a process's CPU time; the second which
functions. ``--collapsed FOLDER`` writes both for a flame graph.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.backdrops import backdrop
from benchmarks.load import Phase
from benchmarks.peers.catalogue import OURS, Peer, chosen
from benchmarks.processes import Running
from benchmarks.progress import private_node
from benchmarks.report import grid
from benchmarks.sampling import FOLDER, Samples, by_function, by_part, collapsed, during, read, short

ROLES = ("serve", "call")
TITLES = {"serve": "callee", "call": "caller"}
SECONDS, IN_FLIGHT, FUNCTIONS = 10.0, 64, 25
LOOP = "benchmarks/speed.py:run"

PARTS = (
    ("plugin_runtime/transport/lean", "lean transport"),
    ("plugin_runtime/transport", "transport, common part"),
    ("plugin_runtime/calls", "calls"),
    ("plugin_runtime", "runtime, the rest"),
    ("contracts", "messages and codec"),
    ("benchmarks", "the benchmark itself"),
    ("aiormq", "aiormq"),
    ("aio_pika", "aio-pika"),
    ("pamqp", "pamqp"),
    ("pydantic", "pydantic"),
    ("structlog", "structlog"),
    ("/json/", "json"),
    ("/asyncio/", "asyncio: loop, tasks, sockets"),
    ("<string>", "constructors of dataclasses"),
    ("/uuid.py", "uuid"),
    ("/python3", "standard library, the rest"),
)
"""Parts of the program by their files; time in C counts for the file that called it."""


@dataclass(frozen=True)
class Share:
    """A part or a function, and its share of each process's samples, in per cent."""

    name: str
    per_cent: Sequence[float]


def parts(roles: Sequence[Samples]) -> list[Share]:
    """What was running, the dearest first."""
    counted = [by_part(samples, PARTS) for samples in roles]
    names = dict.fromkeys(name for one in counted for name in one)
    shares = [Share(name, tuple(100 * one[name] / (one.total() or 1) for one in counted)) for name in names]
    return sorted(shares, key=lambda share: -sum(share.per_cent))


def functions(samples: Samples, count: int = FUNCTIONS) -> list[Share]:
    """The functions in which most samples were taken: themselves, and with all that they called."""
    total = sum(samples.values()) or 1
    return [
        Share(short(name), (100 * own / total, 100 * whole / total))
        for name, own, whole in by_function(samples)[:count]
    ]


def sample(peer: Peer, seconds: float, in_flight: int, folder: Path, console: Console) -> float:
    """Load a peer, leave its samples in a folder, and return the calls per second meanwhile."""
    environment = {**peer.environment, FOLDER: str(folder)}
    with (
        private_node(console) as node,
        backdrop(peer.backdrop, node, peer.environment) as address,
        console.status(f"{peer.title}: {in_flight} in flight, {seconds:g} s"),
        Running(peer.command("serve", address, None), environment) as server,
    ):
        server.wait_for("ready")
        with Running(peer.command("call", address, None), environment) as client:
            client.wait_for("ready")
            done = client.perform(Phase(in_flight, seconds))
            client.finish()
        server.terminate()
    return done.calls / done.seconds


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What was sampled, as it is kept: shares of caller and callee, and the functions of each."""

    peer: str
    in_flight: int
    rate: float
    parts: list[Share]
    functions: dict[str, list[Share]]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> "Profile":
        """What `to_json` made."""
        functions = {role: [Share(**one) for one in found] for role, found in document["functions"].items()}
        return cls(**{**document, "parts": [Share(**one) for one in document["parts"]], "functions": functions})

    def grids(self) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        """Tables: title, heads and cells."""
        yield "where the time goes", ["", *(f"{TITLES[role]} %" for role in self.functions)], _cells(self.parts)
        for role, found in self.functions.items():
            yield f"{TITLES[role]}, by function", ["", "itself %", "with what it calls %"], _cells(found)


def _cells(shares: Sequence[Share]) -> list[list[str]]:
    return [[share.name, *(f"{one:.1f}" for one in share.per_cent)] for share in shares]


def markdown(profile: Profile) -> str:
    """The parts, for a page."""
    _, heads, cells = next(profile.grids())
    told = f"{profile.rate:,.0f} calls/s with {profile.in_flight} in flight, while both were sampled."
    return f"{grid(heads, cells, numbers=range(1, len(heads)))}\n\n{told}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--peer", default=OURS, help=f"whose processes, by its key ({OURS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long ({SECONDS:g})")
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT, help=f"calls at once ({IN_FLIGHT})")
    parser.add_argument("--collapsed", type=Path, metavar="FOLDER", help="where stacks are written for a flame graph")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the tables are written")
    given = parser.parse_args()
    (peer,) = chosen(given.peer)
    if problem := peer.missing():
        sys.exit(f"{peer.title}: {problem}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rate = sample(peer, given.seconds, given.in_flight, folder, Console(stderr=True))
        found = {role: during(read(folder / f"{role}.json"), LOOP) for role in ROLES}
    profile = Profile(
        peer=peer.key,
        in_flight=given.in_flight,
        rate=rate,
        parts=parts(list(found.values())),
        functions={role: functions(samples) for role, samples in found.items()},
    )
    show(profile, Console(width=None if sys.stdout.isatty() else 120))
    if given.json:
        given.json.write_text(json.dumps(profile.to_json(), indent=2) + "\n")
    if given.collapsed:
        given.collapsed.mkdir(parents=True, exist_ok=True)
        for role, samples in found.items():
            (given.collapsed / f"{TITLES[role]}.txt").write_text(collapsed(samples) + "\n")


def show(profile: Profile, console: Console) -> None:
    """Print the tables."""
    for title, heads, cells in profile.grids():
        table = Table(*heads, title=title)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in cells:
            table.add_row(*row)
        console.print(table)
    console.print(f"{profile.rate:,.0f} calls/s with {profile.in_flight} in flight, while both were sampled")


if __name__ == "__main__":
    main()

"""A run as tables, for a terminal and for a page in Markdown. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from benchmarks.aims import Judged, Verdict, judged, ratio
from benchmarks.figures import Figures, Result, Run
from benchmarks.peers.catalogue import LIMIT, PEERS, TUTORIAL

NOTHING = "-"
COLOURS = {Verdict.REACHED: "green", Verdict.MISSED: "red", Verdict.UNKNOWN: "yellow"}
TITLES = {peer.key: peer.title for peer in PEERS}


@dataclass(frozen=True)
class Column:
    """A figure, or its ratio to another peer's."""

    head: str
    figure: str
    other: str | None = None

    def show(self, key: str, figures: Mapping[str, Figures]) -> str:
        """The cell of a peer."""
        if self.other is None:
            return number(figures[key].get(self.figure))
        return number(ratio(figures, self.figure, key, self.other), 2)


CALLS_COLUMNS = (
    Column("p50 µs", "p50_us"),
    Column("p99 µs", "p99_us"),
    Column("calls/s, 64", "rate_64"),
    Column("calls/s, 256", "rate_256"),
    Column("CPU ms", "cpu_ms"),
    Column("RabbitMQ ms", "rabbitmq_cpu_ms"),
    Column("MiB", "memory_mib"),
    Column("p50 : C", "p50_us", LIMIT),
    Column("calls/s : C", "rate_64", LIMIT),
    Column("calls/s : tutorial", "rate_64", TUTORIAL),
    Column("CPU : tutorial", "cpu_ms", TUTORIAL),
)
CALLS_LEGEND = (
    "p50, p99: one call in flight; calls/s: 64 and 256 in flight; CPU: milliseconds of client and server per 1000 "
    "calls with 64 in flight; RabbitMQ: of its process; MiB: resident memory of client and server; then ratios."
)


@dataclass(frozen=True)
class Section:
    """One table of peers.

    Attributes:
        title: What stands above it.
        columns: The figures it shows.
        legend: What they are.
    """

    title: str
    columns: Sequence[Column]
    legend: str


SECTIONS = {"calls": Section("Calls", CALLS_COLUMNS, CALLS_LEGEND)}
"""The tables, by the subject of the results that they show."""
AIM_HEADS = ("", "aim", "found", "")


def number(value: float | None, digits: int = 0) -> str:
    """A figure in a cell, a dash for one that is not there."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def _sections(run: Run) -> Iterator[tuple[Section, list[Result]]]:
    for subject, section in SECTIONS.items():
        if found := [result for result in run.results if result.subject == subject]:
            yield section, found


def peers_tables(run: Run) -> Iterator[Table | str]:
    """For each subject one row a peer, the medians and then how they relate to others', and the legend."""
    figures = run.figures()
    for section, results in _sections(run):
        table = Table("", *(column.head for column in section.columns), title=section.title)
        for column in table.columns[1:]:
            column.justify = "right"
        for result in results:
            table.add_row(*_cells(section, result, figures), style="bold" if result.key.startswith("ours") else "")
        yield table
        yield section.legend


def problems(run: Run) -> list[str]:
    """What was not measured, and why."""
    return [f"{result.title}: {result.problem}" for result in run.results if result.problem]


def _cells(section: Section, result: Result, figures: Mapping[str, Figures]) -> list[str]:
    if result.key not in figures:
        return [result.title, "failed" if (result.problem or "").startswith("failed") else "not installed"]
    return [result.title, *(column.show(result.key, figures) for column in section.columns)]


def aims_table(run: Run) -> Table:
    """One row an aim: what was asked, what was found, whether it is reached."""
    table = Table(*AIM_HEADS, title="Aims")
    table.columns[2].justify = "right"
    for row, cells in _aims(run):
        if cells[0] and table.row_count:
            table.add_section()
        table.add_row(*cells[:-1], Text(cells[-1], style=_colour(row)))
    return table


def _aims(run: Run) -> Iterator[tuple[Judged, list[str]]]:
    before = None
    for row in judged(run.figures()):
        subject = row.aim.subject
        yield row, ["" if subject == before else subject, row.aim.text(TITLES), number(row.found, 2), row.verdict.value]
        before = subject


def _colour(row: Judged) -> str:
    return "yellow" if row.aim.is_stretch and row.verdict is Verdict.MISSED else COLOURS[row.verdict]


def markdown(run: Run) -> str:
    """All tables and what they were taken on, for a page."""
    figures = run.figures()
    parts = [where(run)]
    for section, results in _sections(run):
        heads = ["", *(column.head for column in section.columns)]
        cells = [_cells(section, result, figures) for result in results]
        parts += [grid(heads, cells, numbers=range(1, len(heads))), section.legend]
    aims = [cells for _, cells in _aims(run)]
    return "\n\n".join([*parts, *problems(run), grid(AIM_HEADS, aims, numbers=[2])])


def where(run: Run) -> str:
    """The machine and the settings, in a sentence."""
    machine = run.machine
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['system']}, Python {machine['python']}, "
        f"RabbitMQ {machine['rabbitmq']} on Erlang {machine['erlang']}; medians of {run.settings['rounds']} "
        f"interleaved rounds, {run.taken_at[:10]}."
    )


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int]) -> str:
    """A table in Markdown; the columns of numbers, counted from 0, are set right."""
    ruler = ["---:" if place in numbers else "---" for place in range(len(heads))]
    filled = [[*row, *[""] * (len(heads) - len(row))] for row in rows]
    lines = [list(heads), ruler, *([cell.replace("|", r"\|") for cell in row] for row in filled)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

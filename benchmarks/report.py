"""A run as tables, for a terminal and for a page in Markdown. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from benchmarks.aims import Judged, Verdict, judged, ratio
from benchmarks.figures import Figures, Run
from benchmarks.peers.catalogue import LIMIT, TUTORIAL

NOTHING = "-"
COLOURS = {Verdict.REACHED: "green", Verdict.MISSED: "red", Verdict.UNKNOWN: "yellow"}


@dataclass(frozen=True)
class Column:
    """A column of the table of peers."""

    head: str
    show: Callable[[Figures], str]


def _number(value: float | None, digits: int = 0) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


COLUMNS = (
    Column("p50 µs", lambda one: _number(one.p50_us)),
    Column("p99 µs", lambda one: _number(one.p99_us)),
    Column("calls/s, 64", lambda one: _number(one.rate_64)),
    Column("calls/s, 256", lambda one: _number(one.rate_256)),
    Column("CPU ms", lambda one: _number(one.cpu_ms)),
    Column("RabbitMQ ms", lambda one: _number(one.rabbitmq_cpu_ms)),
    Column("MiB", lambda one: _number(one.memory_mib)),
)
RATIOS = (
    ("p50 : C", "p50_us", LIMIT),
    ("calls/s : C", "rate_64", LIMIT),
    ("calls/s : tutorial", "rate_64", TUTORIAL),
    ("CPU : tutorial", "cpu_ms", TUTORIAL),
)
LEGEND = (
    "p50, p99: one call in flight; calls/s: 64 and 256 in flight; CPU: milliseconds of client and server per 1000 "
    "calls with 64 in flight; RabbitMQ: of its process; MiB: resident memory of client and server."
)


def peers_table(run: Run) -> Table:
    """One row a peer: the medians, then how they relate to C and to the tutorial."""
    figures = run.figures()
    table = Table("", *(column.head for column in COLUMNS), *(head for head, _, _ in RATIOS), title="Calls")
    for column in table.columns[1:]:
        column.justify = "right"
    for result in run.results:
        style = "bold" if result.key.startswith("ours") else ""
        table.add_row(*_cells(result.key, result.title, figures, result.problem), style=style)
    return table


def _cells(key: str, title: str, figures: Mapping[str, Figures], problem: str | None) -> list[str]:
    if key not in figures:
        return [title, problem or NOTHING]
    named = f"{title} ({problem})" if problem else title
    shown = [column.show(figures[key]) for column in COLUMNS]
    return [named, *shown, *(_number(ratio(figures, figure, key, other), 2) for _, figure, other in RATIOS)]


def aims_table(run: Run) -> Table:
    """One row an aim: what was asked, what was found, whether it is reached."""
    table = Table("", "aim", "found", "", title="Aims")
    table.columns[2].justify = "right"
    titles = {result.key: result.title for result in run.results}
    rows = judged(run.figures())
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        aim = row.aim
        table.add_row(
            aim.subject,
            aim.text(titles) + (" (stretch)" if aim.is_stretch else ""),
            _number(row.found, 2),
            Text(row.verdict.value, style=_colour(row)),
            end_section=following is not None and following.aim.subject != aim.subject,
        )
    return table


def _colour(row: Judged) -> str:
    return "yellow" if row.aim.is_stretch and row.verdict is Verdict.MISSED else COLOURS[row.verdict]


def markdown(run: Run) -> str:
    """Both tables and what they were taken on, for a page."""
    figures = run.figures()
    heads = ["", *(column.head for column in COLUMNS), *(head for head, _, _ in RATIOS)]
    peers = [_cells(one.key, one.title, figures, one.problem) for one in run.results]
    titles = {result.key: result.title for result in run.results}
    aims = [
        [
            row.aim.subject,
            row.aim.text(titles) + (" (stretch)" if row.aim.is_stretch else ""),
            _number(row.found, 2),
            row.verdict.value,
        ]
        for row in judged(figures)
    ]
    return "\n\n".join(
        [where(run), _grid(heads, peers, numbers_from=1), LEGEND, _grid(["", "aim", "found", ""], aims, numbers_from=4)]
    )


def where(run: Run) -> str:
    """The machine and the settings, in a sentence."""
    machine, settings = run.machine, run.settings
    return (
        f"{machine['cores']} cores of {machine['processor']}, {machine['system']}, Python {machine['python']}, "
        f"RabbitMQ {machine['rabbitmq']} on Erlang {machine['erlang']}; medians of {settings['rounds']} interleaved "
        f"rounds, {run.taken_at[:10]}."
    )


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int) -> str:
    ruler = ["---" if place < numbers_from else "---:" for place in range(len(heads))]
    filled = [[*row, *[""] * (len(heads) - len(row))] for row in rows]
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in filled]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(heads), ruler, *escaped])

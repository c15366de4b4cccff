"""What a run looks like in a terminal and on a page."""

import io

from rich.console import Console, RenderableType

from benchmarks.figures import Run
from benchmarks.report import aims_table, grid, markdown, peers_tables, problems
from tests.unit.benchmarks.runs import figures, result, run

TAKEN = run(
    result("c", figures(p50_us=100.0, rate_64=20_000.0)),
    result("ours", figures(p50_us=150.0, rate_64=10_000.0, cpu_ms=50.0)),
    result("aio-pika", figures(p50_us=400.0, rate_64=1_000.0, cpu_ms=500.0)),
    result("nameko", problem="not installed: 'nameko' is missing; make bench installs it"),
)


def shown(table: RenderableType) -> list[list[str]]:
    """The cells of each row as they are drawn."""
    console = Console(file=io.StringIO(), width=250, color_system=None)
    console.print(table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]


def calls_of(taken: Run) -> RenderableType:
    return next(peers_tables(taken))


def test_a_peer_has_its_figures_and_its_ratios() -> None:
    ours = shown(calls_of(TAKEN))[1]

    assert ours == ["The ours", "150", "400", "10,000", "9,000", "50", "60", "80", "1.50", "0.50", "10.00", "0.10"]


def test_a_figure_that_could_not_be_read_is_a_dash() -> None:
    without = {name: value for name, value in figures().items() if name != "rabbitmq_cpu_ms"}

    assert shown(calls_of(run(result("grpc", without))))[0] == [
        *["The grpc", "200", "400", "8,000", "9,000", "100", "-", "80"],
        *["-", "-", "-", "-"],
    ]


def test_a_peer_that_is_missing_says_so_and_the_reason_is_told_below() -> None:
    assert shown(calls_of(TAKEN))[3][:2] == ["The nameko", "not installed"]
    assert problems(TAKEN) == ["The nameko: not installed: 'nameko' is missing; make bench installs it"]


def test_a_peer_that_failed_says_so() -> None:
    assert shown(calls_of(run(result("c", problem="failed: no"))))[0][:2] == ["The c", "failed"]


def test_aims_say_what_was_found_and_whether_that_is_enough() -> None:
    rows = shown(aims_table(TAKEN))

    assert rows[0] == ["calls/s, 64 in flight", ">= 6 x aio-pika, its RPC tutorial", "10.00", "reached"]
    assert ["", ">= 18 x nameko", "-", "not measured"] in rows
    assert ["", "<= 1.45 x C, librabbitmq (stretch)", "1.50", "not reached"] in rows


def test_verdicts_have_colours() -> None:
    console = Console(file=io.StringIO(), width=250, force_terminal=True, color_system="standard")
    console.print(aims_table(TAKEN))
    drawn = console.file.getvalue()  # type: ignore[attr-defined]

    assert "\x1b[32mreached" in drawn
    assert "\x1b[33mnot measured" in drawn


def test_markdown_holds_both_tables_and_where_they_were_taken() -> None:
    page = markdown(TAKEN)

    assert "2 cores of A & B, Linux 6.1, Python 3.11.7, RabbitMQ 3.10.8 on Erlang 25.2.3; medians of 3" in page
    assert "| The ours | 150 | 400 | 10,000 |" in page
    assert "| calls/s, 64 in flight | >= 6 x aio-pika, its RPC tutorial | 10.00 | reached |" in page


def test_rows_in_markdown_are_filled_and_their_bars_escaped() -> None:
    assert grid(["a", "b"], [["x|y"]], numbers=[1]).splitlines() == ["| a | b |", "| --- | ---: |", r"| x\|y |  |"]


def test_a_subject_without_results_has_no_table() -> None:
    assert list(peers_tables(run())) == []

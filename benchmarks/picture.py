"""A run as a picture for a page: two columns of bars, readable in light and in dark; no program, no font. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.figures import Figures, Run
from benchmarks.report import number, where

WIDTH, MARGIN = 900, 16
NAMES = 300
"""Where the bars of the first column begin."""
ROW, BAR = 26, 14
TOP, BOTTOM = 74, 34
VALUE = 62
"""Room for the figure behind the longest bar."""

_STYLE = """
text { font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; }
.paper { fill: #ffffff; }
.name, .value { fill: #1f2328; }
.head { fill: #1f2328; font-weight: 600; }
.note { fill: #57606a; font-size: 11px; }
.bar { fill: #afb8c1; }
.ours { fill: #0969da; }
text.ours { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117; }
  .name, .value, .head { fill: #e6edf3; }
  .note { fill: #8b949e; }
  .bar { fill: #484f58; }
  .ours { fill: #58a6ff; }
}
"""


@dataclass(frozen=True)
class Panel:
    """One column of bars."""

    figure: str
    head: str
    note: str
    unit: str


PANELS = (
    Panel("rate_64", "calls a second", "64 in flight; longer is better", ""),
    Panel("p50_us", "time of a call", "median, one in flight; shorter is better", " µs"),
)


def picture(run: Run) -> str:
    """Draw what was measured, the fastest first; the same run gives the same picture."""
    figures = run.figures()
    calls = [result for result in run.results if result.subject == "calls" and result.rounds]
    shown = sorted(calls, key=lambda one: -figures[one.key]["rate_64"])
    height = TOP + ROW * len(shown) + BOTTOM
    wide = (WIDTH - NAMES - MARGIN) / len(PANELS)
    bottom = height - BOTTOM / 2 + 4
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        "<title>Calls: Plexica Bus beside its peers</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        *(_name(TOP + ROW * row, one.title, _kind(one.key)) for row, one in enumerate(shown)),
    ]
    for place, panel in enumerate(PANELS):
        rows = [(_kind(one.key), figures[one.key]) for one in shown]
        drawn += _panel(panel, NAMES + wide * place, wide, rows)
    drawn += [f'<text class="note" x="{MARGIN}" y="{bottom:.1f}">{escape(where(run))}</text>', "</svg>\n"]
    return "\n".join(drawn)


def _kind(key: str) -> str:
    return " ours" if key.startswith("ours") else ""


def _name(top: int, title: str, kind: str) -> str:
    return f'<text class="name{kind}" x="{MARGIN}" y="{top + ROW / 2 + 4.5:.1f}">{escape(title)}</text>'


def _panel(panel: Panel, left: float, width: float, rows: Sequence[tuple[str, Figures]]) -> list[str]:
    longest = max((figures[panel.figure] for _, figures in rows), default=1.0)
    drawn = [
        f'<text class="head" x="{left:.1f}" y="32">{escape(panel.head)}</text>',
        f'<text class="note" x="{left:.1f}" y="50">{escape(panel.note)}</text>',
    ]
    for row, (kind, figures) in enumerate(rows):
        value = figures[panel.figure]
        length = max(1.0, value / longest * (width - VALUE))
        top = TOP + ROW * row + (ROW - BAR) / 2
        place = f'x="{left + length + 6:.1f}" y="{top + BAR - 2.5:.1f}"'
        drawn += [
            f'<rect class="bar{kind}" x="{left:.1f}" y="{top:.1f}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            f'<text class="value" {place}>{number(value)}{panel.unit}</text>',
        ]
    return drawn

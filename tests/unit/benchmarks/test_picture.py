"""The picture of a run."""

from xml.etree import ElementTree as ET

from benchmarks.figures import Run
from benchmarks.picture import picture
from tests.unit.benchmarks.runs import figures, result, run

SVG = "{http://www.w3.org/2000/svg}"
TAKEN = run(
    result("aio-pika", figures(rate_64=1_000.0)),
    result("ours", figures(rate_64=10_000.0, p50_us=50.0), title="Plexica <Bus> & co"),
    result("nameko", problem="not installed"),
)


def drawn(taken: Run) -> ET.Element:
    return ET.fromstring(picture(taken))  # noqa: S314 - it is our own


def texts(root: ET.Element, kind: str) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text") if kind in text.get("class", "").split()]


def test_the_fastest_stands_first_and_what_is_missing_not_at_all() -> None:
    assert texts(drawn(TAKEN), "name") == ["Plexica <Bus> & co", "The aio-pika"]


def test_ours_is_marked() -> None:
    assert texts(drawn(TAKEN), "ours") == ["Plexica <Bus> & co"]


def test_bars_are_as_long_as_their_figures() -> None:
    widths = [float(bar.get("width", "")) for bar in drawn(TAKEN).iter(f"{SVG}rect") if "bar" in bar.get("class", "")]
    fast, slow, short, long = widths

    assert round(fast / slow) == 10
    assert round(long / short) == 4


def test_every_bar_has_its_figure() -> None:
    assert texts(drawn(TAKEN), "value") == ["10,000", "1,000", "50 µs", "200 µs"]


def test_it_has_colours_for_the_dark() -> None:
    assert "prefers-color-scheme: dark" in picture(TAKEN)


def test_a_run_without_figures_is_a_picture_too() -> None:
    assert texts(drawn(run()), "name") == []

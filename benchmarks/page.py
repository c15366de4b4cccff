"""Writes the tables of docs/performance.md from the figures beside it: ``python -m benchmarks.page``.

A table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; ``make figures`` takes all figures anew and ends here.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import growth, profile, report
from benchmarks.figures import Run

DOCS = Path(__file__).parents[1] / "docs"
PAGE, FIGURES = DOCS / "performance.md", DOCS / "figures"

TABLES: Mapping[str, Callable[[Any], str]] = {
    "calls": lambda document: report.markdown(Run.parse(document)),
    "growth": lambda document: growth.markdown(Run.parse(document)),
    "profile": lambda document: profile.markdown(profile.Profile.parse(document)),
}


def tables(folder: Path) -> dict[str, str]:
    """The tables whose figures are in a folder, by name."""
    files = {name: folder / f"{name}.json" for name in TABLES}
    return {name: TABLES[name](json.loads(file.read_text())) for name, file in files.items() if file.exists()}


def filled(page: str, made: Mapping[str, str]) -> str:
    """The page with these tables in their places.

    Raises:
        ValueError: It has no place for one of them.
    """
    for name, table in made.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        if not place.search(page):
            raise ValueError(f"the page has no '<!-- {name} -->' with '<!-- /{name} -->' below it")
        page = place.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", page)  # type: ignore[misc]
    return page


def main() -> None:
    PAGE.write_text(filled(PAGE.read_text(), tables(FIGURES)))


if __name__ == "__main__":
    main()

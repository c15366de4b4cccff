"""Pages of documentation as tests read them: named programs, what each prints, manifests, shell sessions."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ plexica (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
NAMED = re.compile(r"# (\w+\.py)\n")
LONGEST_RUN_SECONDS = 60


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the ``text`` block right behind it, if there is one."""

    language: str
    text: str
    output: str | None

    @property
    def file(self) -> str | None:
        """The file that a program names in its first line."""
        named = NAMED.match(self.text)
        return named.group(1) if named else None


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page that is not itself an output."""
    found = FENCE.findall(page.read_text())
    return [
        Block(language, text, following if kind == "text" else None)
        for (language, text), (kind, following) in pairwise([*found, ("", "")])
        if language != "text"
    ]


def programs(page: Path) -> Iterator[Block]:
    """The Python programs of a page."""
    return (block for block in blocks(page) if block.language == "python")


def commands(page: Path) -> list[tuple[list[str], str]]:
    """What a page types at a shell, word by word, and what it shows for an answer."""
    sessions = [block.text for block in blocks(page) if block.language == "console"]
    return [(words.split(), shown) for session in sessions for words, shown in COMMAND.findall(session)]


def write_programs(page: Path, place: Path) -> None:
    """Put every program of a page into a folder, so that they can import each other."""
    for program in programs(page):
        assert program.file is not None, f"{page.name}: a program without a name: {program.text[:60]}"
        (place / program.file).write_text(program.text)


def run(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_RUN_SECONDS,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """What a reader's shell would have: this project on the path, and no settings of ours."""
    root = str(Path(__file__).parents[2])
    return {name: value for name, value in os.environ.items() if not name.startswith("PLEXICA_")} | {"PYTHONPATH": root}

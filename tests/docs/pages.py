"""Pages of documentation as tests read them: named programs, what each prints, manifests, shell sessions."""

import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from plugin_runtime import Plugin

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ plexica (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
VARYING = ((re.compile(r"\binstance [0-9a-z]+"), "instance ..."), (re.compile(r"\b[\d.]+ ms$", re.MULTILINE), "... ms"))
"""What differs each time that a command runs, and what stands for it."""
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
    return [(shlex.split(words), shown) for session in sessions for words, shown in COMMAND.findall(session)]


def timeless(shown: str) -> str:
    """What a command shows, without what differs each time."""
    for pattern, word in VARYING:
        shown = pattern.sub(word, shown)
    return shown


def plugin_of(page: Path, place: Path) -> Plugin | None:
    """The plugin that a page's ``crm.py`` makes, anew, for commands that call it; None if the page has no such."""
    if not any(program.file == "crm.py" for program in programs(page)):
        return None
    made = runpy.run_path(str(place / "crm.py"))["crm"]
    assert isinstance(made, Plugin)
    return made


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

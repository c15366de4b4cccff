"""The page on running shows what the command line really prints."""

import re
from pathlib import Path

import pytest

from examples.crm import create
from tests.unit.broker.cli.desk import Desk

ROOT = Path(__file__).parents[2]
SESSION = re.compile(r"```console\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^\$ plexica (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def test_every_command_of_the_page_prints_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    plexica = Desk(tmp_path)
    [session] = SESSION.findall((ROOT / "docs" / "running.md").read_text())

    for words, expected in COMMAND.findall(session):
        needs_crm = words.startswith("services")
        answer = plexica(*words.split(), plugins=[create()] if needs_crm else None)

        assert answer.out + answer.err == expected, words

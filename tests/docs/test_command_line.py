"""The page on running shows what the command line really prints."""

from pathlib import Path

import pytest

from examples.crm import create
from tests.docs.pages import commands
from tests.unit.broker.cli.desk import Desk

ROOT = Path(__file__).parents[2]


def test_every_command_of_the_page_prints_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    plexica = Desk(tmp_path)

    for words, expected in commands(ROOT / "docs" / "running.md"):
        needs_crm = words[0] == "services"
        answer = plexica(*words, plugins=[create()] if needs_crm else None)

        assert answer.out + answer.err == expected, words

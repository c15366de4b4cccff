"""The guide tells the truth: its programs run and print what the page says, its tests pass, its manifests are valid."""

import json
from pathlib import Path

import pytest

from contracts import PluginManifest
from tests.docs.pages import blocks, commands, plugin_of, programs, run, timeless, write_programs
from tests.unit.broker.cli.desk import Desk

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
PRINTING = [
    pytest.param(page, block.file, block.output, id=f"{page.stem}-{block.file}")
    for page in PAGES
    for block in programs(page)
    if block.output is not None
]
TESTING = [page for page in PAGES if any((block.file or "").startswith("test_") for block in programs(page))]
OPERATING = [page for page in PAGES if commands(page)]
MANIFESTS = [
    pytest.param(block.text, id=f"{page.stem}-{index}")
    for page in PAGES
    for index, block in enumerate(blocks(page))
    if block.language == "json"
]


@pytest.mark.parametrize(("page", "file", "output"), PRINTING)
def test_program_prints_what_the_page_says(tmp_path: Path, page: Path, file: str, output: str) -> None:
    write_programs(page, tmp_path)

    ran = run(tmp_path, file)

    assert (ran.stdout, ran.returncode) == (output, 0), ran.stderr


@pytest.mark.parametrize("page", TESTING, ids=lambda page: page.stem)
def test_tests_of_a_page_pass(tmp_path: Path, page: Path) -> None:
    write_programs(page, tmp_path)
    expected = sum(program.text.count("\nasync def test_") for program in programs(page))

    ran = run(tmp_path, "-m", "pytest", "-q", "-pno:cacheprovider", "-oasyncio_default_fixture_loop_scope=function")

    assert f"{expected} passed" in ran.stdout, ran.stdout + ran.stderr


@pytest.mark.parametrize("page", OPERATING, ids=lambda page: page.stem)
def test_session_prints_what_the_page_says(tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_programs(page, tmp_path)
    if (tmp_path / "manifests.py").exists():
        assert run(tmp_path, "manifests.py").returncode == 0
    monkeypatch.chdir(tmp_path)
    plexica = Desk(tmp_path)

    for words, expected in commands(page):
        called = plugin_of(page, tmp_path) if words[0] in {"call", "client"} else None
        answer = plexica(*words, plugins=[called] if called else None)

        assert timeless(answer.out + answer.err) == timeless(expected), words
        if "-o" in words:  # what a command wrote, the page shows as a program
            written = words[words.index("-o") + 1]
            shown = next(program.text for program in programs(page) if program.file == written)
            assert shown == f"# {written}\n{(tmp_path / written).read_text()}"


@pytest.mark.parametrize("document", MANIFESTS)
def test_manifest_is_valid(document: str) -> None:
    assert PluginManifest.load(json.loads(document)).id.startswith("plugin-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_holds_nothing_that_is_not_run(page: Path) -> None:
    """A program prints something that the page shows, is a test, or is imported by another program."""
    shown = list(programs(page))
    for program in shown:
        assert program.file is not None
        module = program.file.removesuffix(".py")
        is_imported = any(f"from {module} import" in other.text for other in shown)

        assert program.output is not None or program.file.startswith("test_") or is_imported, program.file
    assert {block.language for block in blocks(page)} <= {"python", "json", "console", "mermaid"}

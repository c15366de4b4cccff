"""The command line: exit statuses and sentences that scripts and people can use."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from broker.cli.app import app, main
from broker.storage.lock import StoreLock
from tests.factories import make_manifest


def test_a_valid_manifest_passes(tmp_path: Path) -> None:
    place = tmp_path / "plugin.json"
    place.write_text(json.dumps(make_manifest().to_json()))

    result = CliRunner().invoke(app, ["plugin", "check", str(place)])

    assert result.exit_code == 0
    assert "is valid" in result.output


def test_a_broken_manifest_is_told_with_every_path(tmp_path: Path) -> None:
    place = tmp_path / "plugin.json"
    place.write_text(json.dumps({"id": "crm", "name": 5, "version": "1"}))

    result = CliRunner().invoke(app, ["plugin", "check", str(place)])

    assert result.exit_code == 1
    for path in ("id", "name", "version"):
        assert f"  {path}: " in result.output


def test_a_manifest_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["plugin", "check", str(tmp_path / "nowhere.json")])

    assert result.exit_code == 1
    assert "cannot be read: No such file or directory" in result.output


@pytest.mark.parametrize("command", [["broker", "--help"], ["teardown", "--help"], ["version"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(app, command)

    assert result.exit_code == 0
    assert result.output.strip()


def test_the_version_is_an_option_too() -> None:
    shown, asked = (CliRunner().invoke(app, [word]) for word in ("--version", "version"))

    assert (shown.exit_code, shown.output) == (0, asked.output)
    assert shown.output.strip()


def test_a_teardown_without_anybody_to_answer_names_the_option(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLEXICA_STORE", str(tmp_path / "broker.db"))

    result = CliRunner().invoke(app, ["teardown"], input="")

    assert result.exit_code == 1
    assert "to do it without being asked, add --yes" in result.output


def test_a_teardown_asks_before_it_deletes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLEXICA_STORE", str(tmp_path / "broker.db"))

    result = CliRunner().invoke(app, ["teardown"], input="n\n")

    assert result.exit_code == 1
    assert "Delete all exchanges and queues" in result.output
    assert not (tmp_path / "broker.db").exists()


def test_a_teardown_leaves_the_store_of_a_running_broker_alone(tmp_path: Path) -> None:
    store = tmp_path / "broker.db"
    store.touch()
    lock = StoreLock(store)
    lock.take()
    result = CliRunner().invoke(app, ["teardown", "--yes", "--store", str(store)])
    lock.release()

    assert result.exit_code == 1
    assert "is used by another broker (process " in str(result.exception or result.output)


def test_a_file_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "nowhere" / "schema.json"
    monkeypatch.setattr("sys.argv", ["plexica", "plugin", "schema", "--output", str(place)])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    assert capsys.readouterr().err == f"START: {place} cannot be written: No such file or directory\n"

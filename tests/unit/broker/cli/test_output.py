"""What is printed: aligned text when piped, JSON for programs, errors with their codes."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from broker.cli.output import Listing, Out, aligned, code_of, counted, error_json, plain
from contracts.errors import (
    CODES,
    InvalidManifestError,
    InvalidUrlError,
    NotConnectedError,
    PlexicaError,
    StillRequiredError,
    TenantNotFoundError,
)
from contracts.registry import Heartbeat

LONG = "x" * 300
LISTING = Listing(("plugin", "version"), [("plugin-crm", "1.0.0"), (LONG, "2.0.0")], "nothing")


def test_text_is_aligned_and_never_cut_off() -> None:
    lines = aligned(LISTING).splitlines()

    assert lines[0] == f"{'PLUGIN':<300}  VERSION"
    assert lines[1] == f"{'plugin-crm':<300}  1.0.0"
    assert lines[2] == f"{LONG}  2.0.0"


def test_on_a_terminal_a_listing_is_a_table_in_colour() -> None:
    out, stream = Out(as_json=False), io.StringIO()
    out.console = Console(file=stream, force_terminal=True, width=60, color_system="standard")

    out.result(None, Listing(("service", "status"), [("crm.contacts", "HEALTHY")], "nothing"))

    assert "─" in stream.getvalue()
    assert "\x1b[32mHEALTHY" in stream.getvalue()


def test_what_looks_like_markup_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Out(as_json=False).result(None, "[red]a[/red] [x]")

    assert capsys.readouterr().out == "[red]a[/red] [x]\n"


def test_models_are_json_in_camel_case_also_inside() -> None:
    beat = Heartbeat(instance_id="a")

    assert plain({"all": [beat], "n": 1}) == {"all": [{"instanceId": "a", "status": "HEALTHY", "load": 0}], "n": 1}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TenantNotFoundError("x"), "TENANT_NOT_FOUND"),
        (NotConnectedError("x"), "NOT_CONNECTED"),
        (InvalidUrlError("x"), "INVALID_URL"),
        (InvalidManifestError("x", []), "INVALID_MANIFEST"),
    ],
)
def test_every_error_has_a_code(error: PlexicaError, code: str) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize("code", CODES)
def test_a_code_made_from_the_name_is_the_code_of_the_table(code: str) -> None:
    name = type(code, (NotConnectedError,), {})
    name.__name__ = CODES[code].__name__

    assert code_of(name("x")) == code


def test_an_error_as_json_carries_its_details_and_what_to_do() -> None:
    found = error_json(StillRequiredError("no", blockedBy=[{"pluginId": "plugin-b"}]))["error"]

    assert found["details"] == {"blockedBy": [{"pluginId": "plugin-b"}]}
    assert found["next"] == "see 'plexica installations --tenant TENANT', or override with --force"


def test_the_errors_of_a_manifest_are_listed_in_json() -> None:
    found = error_json(InvalidManifestError("plugin.json", [("id", "is required")]))["error"]

    assert found["details"] == {"source": "plugin.json", "errors": [{"path": "id", "message": "is required"}]}


def test_things_are_counted() -> None:
    assert [counted(number, "service") for number in (0, 1, 2)] == ["0 services", "1 service", "2 services"]


EVIL = "CRM\x1b[2K\x1b[1A\nplugin-crm  9.9.9  \x9b31m\u2028\u202eok\0"
SHOWN = r"CRM\x1b[2K\x1b[1A\nplugin-crm  9.9.9  \x9b31m\u2028\u202eok\x00"


def test_cells_of_others_forge_no_row_and_command_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    listing = Listing(("plugin", "name"), [("plugin-crm", EVIL)], "nothing")
    on_terminal, stream = Out(as_json=False), io.StringIO()
    on_terminal.console = Console(file=stream, force_terminal=True, width=200, color_system=None)

    on_terminal.result(None, listing)
    Out(as_json=False).result(None, listing)

    assert capsys.readouterr().out.splitlines()[1:] == [f"plugin-crm  {SHOWN}"]
    assert f"plugin-crm   {SHOWN}" in stream.getvalue()


@pytest.mark.parametrize("line", [EVIL, Text(EVIL), Text.assemble(("a", "red"), EVIL)])
def test_lines_of_others_stay_one_line(capsys: pytest.CaptureFixture[str], line: Text | str) -> None:
    out = Out(as_json=False)
    out.say(line)
    out.note(line)
    out.result(None, [EVIL, "last"])
    out.error(TenantNotFoundError("Tenant '\x1b]0;x\x9c' not\nfound"))

    printed, errors = capsys.readouterr()
    assert [text.removeprefix("a") for text in printed.splitlines()] == [SHOWN, SHOWN, "last"]
    assert errors.splitlines()[0].removeprefix("a") == SHOWN
    assert r"TENANT_NOT_FOUND: Tenant '\x1b]0;x\x9c' not found (see" in errors

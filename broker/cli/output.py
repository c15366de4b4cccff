"""What commands print: tables and colour on a terminal, aligned text when piped, JSON for programs."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from contracts.errors import (
    CodedError,
    InvalidManifestError,
    PermissionDeniedError,
    PlexicaError,
    ServiceNotFoundError,
    StartError,
)
from contracts.text import printable
from contracts.wire import WireModel

STYLES = {
    "HEALTHY": "green",
    "DEGRADED": "yellow",
    "UNAVAILABLE": "red",
    "installed": "green",
    "known": "yellow",
    "missing": "red",
    "yes": "green",
    "no": "red",
}
"""A cell that is one of these words gets its colour."""

NEXT = {
    "TENANT_NOT_FOUND": "see 'plexica tenant list'",
    "PLUGIN_NOT_FOUND": "see 'plexica plugin list', or make it known: plexica plugin register plugin.json",
    "SERVICE_NOT_FOUND": "see 'plexica services list --tenant {tenant}'",
    "ENDPOINT_NOT_FOUND": "see 'plexica services discover {service} --tenant {tenant}'",
    "VERSION_MISMATCH": "name another range, or register that version",
    "UNRESOLVABLE": "see 'plexica deps resolve {plugin} --tenant {tenant}', or override with --force",
    "STILL_REQUIRED": "see 'plexica deps dependents {plugin}', or override with --force",
    "PERMISSION_DENIED": "ask whoever runs the broker",
    "SERVICE_UNAVAILABLE": "start one with 'plexica broker', or name another address with --url",
    "CALL_TIMEOUT": "look before you repeat it; wait longer with --timeout",
    "NOT_CONNECTED": "start RabbitMQ, or name another address with --url",
    "OUTCOME_UNKNOWN": "look before you repeat it",
    "OVERLOADED": "try again",
    "INVALID_MANIFEST": "see 'plexica plugin check FILE'",
    "NAME_TAKEN": "see 'plexica plugin list'",
}
"""What to do about an error, by its code; in braces what the command was about."""

STILL_INSTALLED = "see 'plexica installations --tenant {tenant}', or override with --force"
"""The same where a tenant, not a plugin, is still required."""

ABOUT = {"plugin": "PLUGIN", "tenant": "TENANT", "service": "SERVICE"}
"""What stands for it where the command was about none."""

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows under columns, and what to say when there are none."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    empty: str | Sequence[str]


class Out:
    """Where a command's answer goes: standard output; errors go to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._about = ABOUT
        # Made for each command, since tests and shells replace the streams.
        self.console = Console(highlight=False, soft_wrap=True)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def is_about(self, **names: str | None) -> None:
        """The plugin and the tenant of the command: what is told to do next then names them."""
        self._about = ABOUT | {key: name for key, name in names.items() if name}

    def result(self, value: object, shown: "Listing | Text | str | Sequence[str]") -> None:
        """Print a command's answer: the value as JSON, or what people see: a listing, a line, or several."""
        if self.as_json:
            self.json_lines(value)
        elif isinstance(shown, Listing):
            self._listing(shown)
        else:
            for line in [shown] if isinstance(shown, Text | str) else shown:
                self.say(line)

    def say(self, text: Text | str) -> None:
        """Print a line for people; it stays one line, whatever stands in it."""
        self.console.print(harmless(text))

    def json_lines(self, value: object, *, indent: int | None = 2) -> None:
        """Print a JSON value."""
        sys.stdout.write(json.dumps(plain(value), indent=indent, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def json_text(self, value: object) -> None:
        """Print a JSON value for people: coloured on a terminal; also where it is piped it commands no terminal."""
        text = json.dumps(plain(value), indent=2, ensure_ascii=False)
        safe = "".join(sign if sign.isprintable() or sign == "\n" else json.dumps(sign)[1:-1] for sign in text)
        if self.console.is_terminal:
            self.console.print(JSONHighlighter()(Text(safe)))
        else:
            sys.stdout.write(f"{safe}\n")
            sys.stdout.flush()

    def error(self, error: PlexicaError) -> None:
        """Print an error on standard error: one line with its code, its message and what to do next, or JSON."""
        code, hint = code_of(error), next_step(error, self._about)
        if self.as_json:
            sys.stderr.write(json.dumps(error_json(error, self._about), ensure_ascii=False) + "\n")
            return
        line = harmless(Text.assemble((f"{code}: ", "bold red"), one_line(error)))
        self.errors.print(line.append(harmless(Text(f" ({hint})", "dim"))) if hint else line)

    def note(self, text: Text | str) -> None:
        """Print a line for people that is no part of the answer, on standard error."""
        self.errors.print(harmless(text))

    def _listing(self, listing: Listing) -> None:
        if not listing.rows:
            for line in (listing.empty,) if isinstance(listing.empty, str) else listing.empty:
                self.say(line)
        elif self.console.is_terminal:
            table = Table(*listing.columns, box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
            for row in listing.rows:
                table.add_row(*(Text(printable(cell), STYLES.get(cell, "")) for cell in row))
            self.console.print(table)
        else:
            sys.stdout.write(aligned(listing))


def aligned(listing: Listing) -> str:
    """Rows under their columns, as plain text that is never cut off."""
    rows = [tuple(printable(cell) for cell in row) for row in listing.rows]
    lines = [tuple(column.upper() for column in listing.columns), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in padded)


def harmless(text: Text | str) -> Text:
    """A line in which every unprintable character is escaped: texts of others command no terminal and forge no row."""
    if isinstance(text, str):
        return Text(printable(text))
    if text.plain.isprintable():
        return text
    return Text().join(_escaped(text[place]) for place in range(len(text)))


def _escaped(character: Text) -> Text:
    return character if character.plain.isprintable() else Text(printable(character.plain), "reverse")


def write_file(place: Path, text: str) -> None:
    """Write an answer to the file that a command was given; `StartError` if that cannot be."""
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError(f"{place} cannot be written: {error.strerror or error}") from error


def counted(count: int, what: str) -> str:
    """``1 service``, ``2 services``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def plain(value: object) -> Any:
    """A value as JSON has it: models in camelCase, also within lists and objects."""
    if isinstance(value, WireModel):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def code_of(error: PlexicaError) -> str:
    """An error's code; by the same rule for those that never cross the wire: `NotConnectedError` is NOT_CONNECTED."""
    if isinstance(error, CodedError):
        return error.code
    return _WORD.sub("_", type(error).__name__.removesuffix("Error")).upper()


def one_line(error: PlexicaError) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split())


def next_step(error: PlexicaError, about: Mapping[str, str] = ABOUT) -> str | None:
    """What to do about an error, if we know."""
    code = code_of(error)
    if isinstance(error, CodedError) and (told := _told_step(error)):
        return told
    is_of_tenant = code == "STILL_REQUIRED" and about["plugin"] == ABOUT["plugin"]
    hint = STILL_INSTALLED if is_of_tenant else NEXT.get(code)
    return hint and hint.format_map(about)


def _told_step(error: CodedError) -> str | None:
    """What an error itself says of what to do next."""
    hint, seconds, versions = (error.details.get(name) for name in ("hint", "retryAfter", "versions"))
    if isinstance(error, PermissionDeniedError | ServiceNotFoundError) and isinstance(hint, str):
        return hint
    if isinstance(seconds, int | float):
        return f"try again in {seconds:g} s"
    if isinstance(error, ServiceNotFoundError) and isinstance(versions, list) and versions:
        return f"{', '.join(map(str, versions))} is installed, but no instance of it serves calls: start the plugin"
    return None


def error_json(error: PlexicaError, about: Mapping[str, str] = ABOUT) -> dict[str, Any]:
    """An error as programs read it."""
    details: Any = error.details if isinstance(error, CodedError) else {}
    if isinstance(error, InvalidManifestError):
        details = {"source": error.source, "errors": [{"path": path, "message": text} for path, text in error.errors]}
    found = {"code": code_of(error), "message": str(error), "details": details, "next": next_step(error, about)}
    return {"error": found}

"""Migrations: which there are, and which of them a store still lacks."""

import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise

from contracts.errors import StartError

FILE_NAME = re.compile(r"(\d{4}_[a-z0-9_]+)\.sql\Z")

CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name TEXT PRIMARY KEY,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
) STRICT
"""
APPLIED = "SELECT name FROM schema_migrations ORDER BY name"
RECORD = "INSERT INTO schema_migrations (name) VALUES (:name)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema, applied in one transaction and never edited.

    Attributes:
        name: ``NNNN_what_it_brings``, the file's name without ``.sql``; the order of names is the order of steps.
        statements: Its SQL, one statement each.
    """

    name: str
    statements: tuple[str, ...]


def load() -> list[Migration]:
    """Every migration that this broker brings along, in order.

    Raises:
        StartError: Two files carry the same number, or a file ends within a statement: the package is damaged.
    """
    folder = files("broker.storage") / "migrations"
    named = ((FILE_NAME.match(file.name), file) for file in folder.iterdir())
    found = sorted((match.group(1), file.read_text("utf-8")) for match, file in named if match)
    for (earlier, _), (later, _) in pairwise(found):
        if earlier[:4] == later[:4]:
            raise StartError(f"migrations '{earlier}' and '{later}' carry the same number")
    return [Migration(name, tuple(statements(name, script))) for name, script in found]


def statements(name: str, script: str) -> Iterator[str]:
    """Split a script into statements; each ends with a semicolon at the end of a line."""
    lines: list[str] = []
    for line in script.splitlines():
        lines.append(line)
        statement = "\n".join(lines).strip()
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            lines = []
    if any(line.strip() and not line.lstrip().startswith("--") for line in lines):
        raise StartError(f"migration '{name}' ends within a statement")


def missing(known: Sequence[Migration], applied: Collection[str], place: str) -> list[Migration]:
    """The migrations that a store lacks, in order.

    Args:
        known: What this broker brings along.
        applied: The names of what the store went through.
        place: The store, as an error names it.

    Raises:
        StartError: The store went through a migration that this broker does not know: a newer one wrote it.
    """
    unknown = sorted(set(applied) - {migration.name for migration in known})
    if unknown:
        raise StartError(
            f"store '{place}' was written by a newer broker: found migration '{unknown[-1]}', "
            f"expected none beyond '{known[-1].name}'; upgrade this broker or choose another store"
        )
    return [migration for migration in known if migration.name not in applied]

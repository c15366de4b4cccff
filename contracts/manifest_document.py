"""A ``plugin.json`` before its rules are judged: the file, its JSON, and where in it an error stands."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from contracts.errors import InvalidManifestError
from contracts.wire import describe

Problem = tuple[str, str]
"""A dotted path and what is wrong there."""


def read_document(source: str | Path | Mapping[str, Any]) -> tuple[str, dict[str, Any], list[Problem]]:
    """Read a manifest's JSON.

    Args:
        source: The path of a ``plugin.json``, or its decoded content.

    Returns:
        What it is called in errors, the object, and every key that stands twice in one object: a reader of JSON
        keeps only the last of them (RFC 8259, 4).

    Raises:
        InvalidManifestError: The file cannot be read, or is no JSON object.
    """
    if isinstance(source, Mapping):
        return "manifest", dict(source), []
    label = str(source)
    doubled: list[tuple[dict[str, Any], str]] = []
    document = _parsed(label, _text_of(label, Path(source)), doubled)
    if not isinstance(document, dict):
        raise InvalidManifestError(label, [("", f"must be a JSON object, found {describe(document)}")])
    return label, document, list(_places_of(doubled, document))


def in_document_order(problems: Iterable[Problem], document: Mapping[str, Any]) -> list[Problem]:
    """Problems as a reader of the document comes upon them; what is missing stands at the end of its object."""
    return sorted(problems, key=lambda problem: _position(problem[0], document))


def _position(path: str, document: Any) -> list[int]:
    found, place = document, list[int]()
    for part in path.split("."):
        if isinstance(found, Mapping):
            keys = list(found)
            place.append(keys.index(part) if part in found else len(keys))
            found = found.get(part)
        elif isinstance(found, list | tuple) and part.isdecimal() and int(part) < len(found):
            place.append(int(part))
            found = found[int(part)]
        else:
            break
    return place


def _text_of(label: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidManifestError(label, [("", f"cannot be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise InvalidManifestError(label, [("", f"is not UTF-8 text: byte {error.start}")]) from error


def _parsed(label: str, text: str, doubled: list[tuple[dict[str, Any], str]]) -> Any:
    def noting_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            doubled.extend((made, key) for key in made if keys.count(key) > 1)
        return made

    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=noting_doubles)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidManifestError(label, [("", f"is not JSON: {error.msg} at {place}")]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidManifestError(label, [("", f"is not JSON: {error}")]) from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON (RFC 8259, 6)")


def _places_of(doubled: list[tuple[dict[str, Any], str]], document: Any, path: str = "") -> Iterator[Problem]:
    """Where in the document they stand; an object that a doubled key of an outer one threw away is nowhere."""
    if not doubled:
        return
    if isinstance(document, dict):
        yield from ((f"{path}{key}", "the key stands twice here") for owner, key in doubled if owner is document)
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from _places_of(doubled, item, f"{path}{key}.")

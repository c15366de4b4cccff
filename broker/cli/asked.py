"""What a command line says of a call, read and checked: a slip is wrong usage, told before anything connects."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from contracts.calls import METHODS, CallRequest, Query
from contracts.codec import decode
from contracts.errors import InvalidRequestError, MalformedMessageError
from plugin_runtime.calls.paths import decode_path

LONGEST_SECONDS = 3600.0
METHODS_SHOWN = "GET, POST, PUT, PATCH or DELETE"


@dataclass(frozen=True, slots=True)
class Pair:
    """``limit=10``: a name and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Body:
    """The JSON value that a call carries."""

    value: Any


def read_pair(word: str) -> Pair:
    """A name and its text, parted by the first ``=``; the text may be empty."""
    name, sign, text = word.partition("=")
    if not (name and sign):
        raise typer.BadParameter(f"'{word}' is not KEY=VALUE, e.g. limit=10")
    return Pair(name, text)


def read_method(word: str) -> str:
    """A method, in capitals."""
    if word.upper() not in METHODS:
        raise typer.BadParameter(f"'{word}' is not {METHODS_SHOWN}")
    return word.upper()


def read_path(word: str) -> str:
    """A path that an endpoint could have."""
    try:
        decode_path(word)
    except InvalidRequestError as error:
        hint = "; the query is --query KEY=VALUE" if "?" in word else ""
        raise typer.BadParameter(f"{error}{hint}") from error
    return word


def read_body(word: str) -> Body:
    """The JSON value that a word is: itself, ``@file``, or ``-`` for standard input."""
    source, raw = _raw(word)
    try:
        return Body(decode(raw))
    except MalformedMessageError as error:
        raise typer.BadParameter(f"{source}: {error}") from error


def _raw(word: str) -> tuple[str, bytes]:
    if word == "-":
        return "standard input", sys.stdin.buffer.read()
    if not word.startswith("@"):
        return "the word given", word.encode(errors="replace")
    place = Path(word[1:])
    try:
        return str(place), place.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{place} cannot be read: {error.strerror or error}") from error


def request_of(
    method: str, path: str, *, query: Iterable[Pair] | None, headers: Iterable[Pair] | None, body: Body | None
) -> CallRequest:
    """The call; a query key that is given again keeps every value, of a header the last one counts."""
    values: dict[str, list[str]] = {}
    for pair in query or ():
        values.setdefault(pair.name, []).append(pair.text)
    return CallRequest(
        method=method,
        path=path,
        query=Query(values),
        headers={pair.name: pair.text for pair in headers or ()},
        body=body.value if body else None,
    )


MethodArgument = Annotated[
    str, typer.Argument(metavar="METHOD", help=f"{METHODS_SHOWN}.", parser=read_method, show_default=False)
]
PathArgument = Annotated[
    str, typer.Argument(metavar="PATH", help="E.g. /contacts/42.", parser=read_path, show_default=False)
]
QueryOption = Annotated[
    list[Pair] | None,
    typer.Option("--query", "-q", metavar="KEY=VALUE", help="A query value; may be repeated.", parser=read_pair),
]
HeaderOption = Annotated[
    list[Pair] | None,
    typer.Option("--header", "-H", metavar="KEY=VALUE", help="A header; may be repeated.", parser=read_pair),
]
BodyOption = Annotated[
    Body | None,
    typer.Option("--body", "-b", metavar="JSON", help="JSON, @FILE, or - for standard input.", parser=read_body),
]
CallTimeout = Annotated[
    float,
    typer.Option("--timeout", help="Seconds to wait for the answer.", min=0.001, max=LONGEST_SECONDS),
]

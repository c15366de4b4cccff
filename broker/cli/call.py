"""``plexica call``: calls an endpoint of a plugin as the operator, and shows what it answers."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

import typer
from pydantic.alias_generators import to_camel
from rich.text import Text

from broker.cli.asked import (
    BodyOption,
    CallTimeout,
    HeaderOption,
    MethodArgument,
    PathArgument,
    QueryOption,
    request_of,
)
from broker.cli.command import Operator, calling_in_tenant
from broker.cli.options import RangeOption, ServiceArgument
from broker.cli.output import Out
from broker.cli.reaching import reaching
from contracts.calls import DEFAULT_TIMEOUT_SECONDS, FIRST_ERROR_STATUS, CallResult

NO_CONTENT = 204
STATUS_STYLES = {2: "bold green", 3: "bold cyan", 4: "bold yellow", 5: "bold red"}
"""The first digit of a status -> its colour."""


@calling_in_tenant
async def call(
    operator: Operator,
    service: ServiceArgument,
    method: MethodArgument,
    path: PathArgument,
    *,
    query: QueryOption = None,
    body: BodyOption = None,
    header: HeaderOption = None,
    range_: RangeOption = "*",
    timeout: CallTimeout = DEFAULT_TIMEOUT_SECONDS,
) -> None:
    """Call an endpoint and print its answer; exit status 1 for an error, or a status of 400 or more.

    The answer's data is JSON on standard output; on standard error follows one line with the status, who answered and
    how long it took, and one with each header of the answer. The operator may call whatever is installed in a tenant,
    whatever permissions an endpoint asks for; the plugin sees the caller plugin-plexica.
    """
    request = request_of(method, path, query=query, headers=header, body=body)
    async with reaching(operator, service) as reach:
        result = await reach.caller.request(operator.tenant, service, request, range_=range_, timeout=timeout)
    show(operator.out, result)
    if result.status >= FIRST_ERROR_STATUS:
        raise typer.Exit(1)


def show(out: Out, result: CallResult) -> None:
    """Print an answer."""
    if out.as_json:
        out.json_lines(result_json(result))
        return
    if not (result.status == NO_CONTENT and result.data is None):
        out.json_text(result.data)
    out.note(status_line(result))
    for name, text in result.headers.items():
        out.note(Text(f"{name}: {text}", "dim"))


def result_json(result: CallResult) -> dict[str, Any]:
    """An answer as programs read it."""
    metadata = {to_camel(name): value for name, value in asdict(result.metadata).items()}
    duration_seconds = metadata.pop("durationSeconds")
    return {
        "status": result.status,
        "headers": dict(result.headers),
        "data": result.data,
        "metadata": metadata,
        "durationSeconds": duration_seconds,
    }


def status_line(result: CallResult) -> Text:
    """An answer's status, who gave it, and how long the caller waited."""
    found = result.metadata
    return Text.assemble(
        (f"{result.status} {phrase(result.status)}".rstrip(), STATUS_STYLES.get(result.status // 100, "")),
        f"  {found.service} {found.version}",
        (f"  instance {found.instance}", "dim"),
        f"  {milliseconds(found.duration_seconds)}",
    )


def phrase(status: int) -> str:
    """A status in words, as HTTP has them; nothing for one that HTTP does not know."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def milliseconds(seconds: float) -> str:
    """``3.4 ms``, ``120 ms``, ``2.50 s``."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    shown = seconds * 1000
    return f"{shown:.0f} ms" if shown >= 100 else f"{shown:.1f} ms"  # noqa: PLR2004 - three digits say enough

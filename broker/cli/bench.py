"""``plexica bench``: how long a call takes on this bus, and how many are answered a second."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Annotated

import typer

from broker.cli.asked import BodyOption, HeaderOption, QueryOption, read_method, read_path, request_of
from broker.cli.command import Operator, asking_in_tenant
from broker.cli.confirming import confirm
from broker.cli.echo import METHOD, PATH, echoing
from broker.cli.measuring import Measured
from broker.cli.options import RangeOption, SomeService, Yes
from broker.cli.output import Listing, Out
from broker.cli.probing import MESSAGE_SHARE, Aim, Progress, Report, probed
from broker.cli.progress import bar
from contracts.calls import CallRequest
from plugin_runtime.transport.address import Address

IN_FLIGHT = (16, 64, 256)
SECONDS = 2.0
COLUMNS = ("in flight", "calls", "calls/s", "p50 ms", "p99 ms", "failed")

SomeMethod = Annotated[str | None, typer.Argument(metavar="METHOD", help="GET; others ask first.", parser=read_method)]
SomePath = Annotated[str | None, typer.Argument(metavar="PATH", help="E.g. /contacts.", parser=read_path)]
InFlight = Annotated[
    list[int] | None,
    typer.Option(
        "--in-flight", "-n", help="So many at a time; may be repeated. 16, 64 and 256 otherwise.", min=2, max=4096
    ),
]
Seconds = Annotated[float, typer.Option("--seconds", help="How long each stage takes.", min=0.05, max=60.0)]


@asking_in_tenant
async def bench(
    operator: Operator,
    service: SomeService = None,
    method: SomeMethod = None,
    path: SomePath = None,
    *,
    query: QueryOption = None,
    body: BodyOption = None,
    header: HeaderOption = None,
    range_: RangeOption = "*",
    seconds: Seconds = SECONDS,
    in_flight: InFlight = None,
    yes: Yes = False,
) -> None:
    """Measure calls on this bus: how long one takes, and how many are answered with several in flight.

    Without a service it measures a small echo plugin that runs in a process of its own beside the command, in a tenant
    of its own; both are removed at the end, also after Ctrl-C. It makes load for some seconds. Each call is made as it
    is, without a cache and without another try. Exit status 1 if a call was refused or failed.
    """
    _judge(service, method, path, yes=yes)
    stages = sorted(set(in_flight or IN_FLIGHT))
    _warn(operator, service, seconds * (MESSAGE_SHARE + 1 + len(stages)))
    request = request_of(method or METHOD, path or PATH, query=query, headers=header, body=body)
    async with _aim(operator, service, request, range_) as aim:
        report = await probed(operator, aim, seconds=seconds, in_flight=stages, progress=_progress(operator.out))
    show(operator.out, report)
    if any(stage.failures for stage in report.stages):
        raise typer.Exit(1)


def show(out: Out, report: Report) -> None:
    """Print what was measured."""
    aim, target = report.aim, report.target
    if not out.as_json:
        out.say(f"{aim.request.method} {aim.service} {aim.request.path}, version {target.version} of {target.plugin}")
    out.result(report.to_json(), Listing(COLUMNS, [_row(stage) for stage in report.stages], ""))
    if not out.as_json:
        for sentence in report.sentences:
            out.say(sentence)


def _row(stage: Measured) -> tuple[str, ...]:
    return (
        str(stage.in_flight),
        f"{len(stage.durations):,}",
        f"{stage.per_second:,.0f}",
        _ms(stage.p50_seconds),
        _ms(stage.p99_seconds),
        f"{sum(stage.failures.values()):,}",
    )


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f}"


def _judge(service: str | None, method: str | None, path: str | None, *, yes: bool) -> None:
    """Refuse half an endpoint, and ask before what may do harm is done many times."""
    if service is None:
        return
    if method is None or path is None:
        raise typer.BadParameter(f"which endpoint of {service}? plexica bench {service} GET /PATH")
    if method != "GET" and not yes:
        confirm(f"Call {method} {service} {path} many hundred times, each in earnest?")


def _warn(operator: Operator, service: str | None, seconds: float) -> None:
    shown, what = Address.parse(operator.settings.url).shown, service or "an echo plugin"
    operator.out.note(f"measuring {what} for about {seconds:.0f} s; this makes load on {shown}")


def _progress(out: Out) -> Progress:
    """A bar where somebody looks, else nothing."""

    def unseen(name: str, seconds: float) -> AbstractContextManager[None]:
        del name, seconds
        return nullcontext()

    return unseen if out.as_json or not out.errors.is_terminal else partial(bar, out.errors)


@asynccontextmanager
async def _aim(operator: Operator, service: str | None, request: CallRequest, range_: str) -> AsyncIterator[Aim]:
    if service is not None:
        yield Aim(tenant=operator.tenant, service=service, request=request, range_=range_)
        return
    async with echoing(operator) as echo:
        yield Aim(tenant=echo.tenant, service=echo.service, request=request)

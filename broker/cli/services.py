"""``plexica services``: who offers what in a tenant, and what changes, live."""

from typing import Annotated, get_args

import typer

from broker.cli.command import Operator, asking, asking_in_tenant
from broker.cli.options import OfPlugin, PatternArgument, RangeOption, ServiceArgument
from broker.cli.output import Listing, counted
from broker.cli.watching import watch_registry
from contracts.registry import REGISTRY_SERVICE, ServiceRecord, ServiceStatus
from plugin_runtime.registry_client import services_of

app = typer.Typer(no_args_is_help=True, help="Services: list, discover, watch what changes.")

COLUMNS = ("service", "version", "status", "instances", "plugin")
STATUSES = get_args(ServiceStatus)


def _status(value: str | None) -> str | None:
    if value is not None and value.upper() not in STATUSES:
        raise typer.BadParameter(f"'{value}' is none of {', '.join(STATUSES)}")
    return value and value.upper()


@app.command("list", epilog="Example: plexica services list --tenant acme-corp --status HEALTHY")
@asking_in_tenant
async def list_services(
    operator: Operator,
    plugin: OfPlugin = None,
    status: Annotated[
        str | None, typer.Option("--status", help="HEALTHY, DEGRADED or UNAVAILABLE only.", callback=_status)
    ] = None,
) -> None:
    """List the services that are registered in a tenant."""
    found = await services_of(operator.caller, operator.tenant, plugin=plugin, status=status)
    is_filtered = plugin is not None or status is not None
    empty = [f"no such service is registered in {operator.tenant}"]
    if not (found or is_filtered or operator.out.as_json):
        empty = [f"no service is registered in {operator.tenant}", *await _to_install(operator)]
    operator.out.result(
        {"services": found, "count": len(found)}, Listing(COLUMNS, [_row(item) for item in found], empty)
    )


@app.command(epilog="Example: plexica services discover crm.contacts --range ^1.0.0 --tenant acme-corp")
@asking_in_tenant
async def discover(operator: Operator, name: ServiceArgument, range_: RangeOption = "*") -> None:
    """Show the version that a call with this range would go to, and its endpoints; exit status 1 if there is none."""
    answer = await operator.caller.ask(
        operator.tenant, REGISTRY_SERVICE, "GET", f"/services/{name}", query={"range": range_}
    )
    found = ServiceRecord.parse(answer)
    if not operator.out.as_json:
        instances = counted(found.instances, "instance")
        operator.out.say(f"{found.id} of {found.plugin_id}, {found.status}, {instances}")
    rows = [(item.method, item.path, item.description or "") for item in found.endpoints]
    operator.out.result(found, Listing(("method", "path", "what it does"), rows, "it has no endpoints"))


@app.command(epilog="Example: plexica services watch '_.service.#' --for 60")
@asking
async def watch(
    operator: Operator,
    pattern: PatternArgument = "#",
    count: Annotated[int | None, typer.Option("--count", "-n", help="End after so many changes.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option("--for", help="End after so many seconds.", min=0.01)] = None,
) -> None:
    """Show registrations, installations, dependencies and tenants as they change, until Ctrl-C.

    PATTERN is held against routing keys such as _.service.registered.crm.contacts, _.presence.crm.contacts or
    acme-corp.plugin.installed.plugin-crm; * is one word, # any number. With both --count and --for, exit status 1 if
    fewer came. With --json, one object a line.
    """
    heard = await watch_registry(operator, pattern, count=count, seconds=seconds)
    if count is not None and heard < count:
        raise typer.Exit(1)


async def _to_install(operator: Operator) -> list[str]:
    """Which plugins are known, as all that ever ran are, but not installed in the tenant; with the command for each."""
    there = {item.plugin_id for item in await operator.dependencies.installations()}
    known = sorted({item.id for item in await operator.platform.plugins()} - there)
    return [
        f"{plugin} is known but not installed there: plexica install {plugin} -t {operator.tenant}" for plugin in known
    ]


def _row(record: ServiceRecord) -> tuple[str, ...]:
    return (record.service_name, record.version, record.status, str(record.instances), record.plugin_id)

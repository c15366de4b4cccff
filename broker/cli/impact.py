"""What an upgrade would do in each tenant, as ``deps what-if`` and ``upgrade --dry-run`` show it."""

import typer

from broker.cli.command import Operator
from broker.cli.output import Listing
from contracts.dependencies import TenantOutlook, WhatIf


async def show_what_if(operator: Operator, plugin: str, range_: str) -> None:
    """Show the dry run of an upgrade over every tenant; exit status 1 if some tenant would refuse it."""
    outlook = await operator.platform.what_if(plugin, range_)
    columns = ("tenant", "installed", "possible", "why not, and what to mind")
    rows = [row for tenant in outlook.tenants for row in _rows(tenant)]
    operator.out.result(outlook, Listing(columns, rows, f"{plugin} is installed nowhere"))
    if not operator.out.as_json:
        operator.out.say(_verdict(outlook))
    if not outlook.valid:
        raise typer.Exit(1)


def _rows(outlook: TenantOutlook) -> list[tuple[str, ...]]:
    lines = [*outlook.errors, *(f"note: {text}" for text in outlook.warnings)] or ["-"]
    first = (outlook.tenant, ", ".join(outlook.installed), "yes" if outlook.valid else "no", lines[0])
    return [first, *(("", "", "", line) for line in lines[1:])]


def _verdict(outlook: WhatIf) -> str:
    target = f"{outlook.plugin_id} {outlook.version}"
    return f"{target} fits everywhere" if outlook.valid else f"{target} does not fit everywhere"

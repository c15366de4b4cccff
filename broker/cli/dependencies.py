"""``plexica deps``: who needs whom, what is unmet, and what an install, an upgrade or an uninstall would do."""

import typer

from broker.cli.command import Operator, asking, asking_in_tenant
from broker.cli.impact import show_what_if
from broker.cli.options import PluginArgument, RangeArgument, Recursive
from broker.cli.output import Listing
from contracts.dependencies import DependencyEdge, Resolution
from contracts.explanations import explained, is_circle

app = typer.Typer(no_args_is_help=True, help="Dependencies: show, resolve, what stands in the way, the graph.")

COLUMNS = ("plugin", "version", "needs", "range", "kind", "reason")


@app.command(epilog="Example: plexica deps show plugin-analytics --recursive")
@asking
async def show(operator: Operator, plugin: PluginArgument, recursive: Recursive = False) -> None:
    """Show what a plugin depends on."""
    edges = await operator.dependencies.dependencies(plugin, recursive=recursive)
    operator.out.result({"edges": edges}, Listing(COLUMNS, [_row(edge) for edge in edges], f"{plugin} needs nothing"))


@app.command(epilog="Example: plexica deps dependents plugin-crm --recursive")
@asking
async def dependents(operator: Operator, plugin: PluginArgument, recursive: Recursive = False) -> None:
    """Show who depends on a plugin."""
    edges = await operator.dependencies.dependents(plugin, recursive=recursive)
    operator.out.result({"edges": edges}, Listing(COLUMNS, [_row(edge) for edge in edges], f"nobody needs {plugin}"))


@app.command(epilog="Example: plexica deps resolve plugin-analytics --tenant acme-corp")
@asking_in_tenant
async def resolve(operator: Operator, plugin: PluginArgument) -> None:
    """Say whether a plugin's dependencies are met in a tenant, why not, and what to install in which order.

    Exit status 1 if they are not.
    """
    found = await operator.dependencies.resolve(plugin)
    operator.out.result(found, _resolution_lines(found))
    if not found.valid:
        raise typer.Exit(1)


@app.command("can-uninstall", epilog="Example: plexica deps can-uninstall plugin-crm --tenant acme-corp")
@asking_in_tenant
async def can_uninstall(operator: Operator, plugin: PluginArgument) -> None:
    """Say whether a plugin may go, and who stands in the way. Exit status 1 if it may not."""
    found = await operator.dependencies.can_uninstall(plugin)
    if found.can_uninstall:
        operator.out.result(found, f"{plugin} can be uninstalled from {operator.tenant}")
        return
    rows = [(blocker.plugin_id, blocker.reason) for blocker in found.blocked_by]
    operator.out.result(found, Listing(("blocked by", "reason"), rows, f"{plugin} cannot be uninstalled"))
    raise typer.Exit(1)


@app.command("what-if", epilog="Example: plexica deps what-if plugin-crm ^2.0.0")
@asking
async def what_if(operator: Operator, plugin: PluginArgument, version: RangeArgument) -> None:
    """Say what an upgrade would do in every tenant. Exit status 1 if some tenant would refuse it."""
    await show_what_if(operator, plugin, version)


def _row(edge: DependencyEdge) -> tuple[str, ...]:
    need = edge.dependency
    asked = need.service_name or need.plugin_id
    return (
        edge.plugin_id,
        edge.version,
        asked if need.service_name is None else f"{asked} of {need.plugin_id}",
        need.version,
        "required" if need.required else "optional",
        need.reason or "",
    )


def _resolution_lines(found: Resolution) -> list[str]:
    lines = [
        f"{found.plugin_id}: every requirement is met" if found.valid else f"{found.plugin_id} cannot be installed"
    ]
    lines += [f"  {line}" for cause in found.causes for line in explained(cause)]
    lines += [f"  note: {warning}" for warning in found.warnings]
    if any(is_circle(cause) for cause in found.causes):
        lines.append("  no order: circular")
    elif found.install_order:
        lines.append(f"  install order: {', '.join(found.install_order)}")
    return lines

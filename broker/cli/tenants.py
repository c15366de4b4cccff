"""``plexica tenant``: create, list and remove tenants."""

from typing import Annotated

import typer

from broker.cli.command import Operator, asking
from broker.cli.confirming import confirm
from broker.cli.options import TenantName, Yes
from broker.cli.output import Listing

app = typer.Typer(no_args_is_help=True, help="Tenants: create, list, remove.")


@app.command(epilog="Example: plexica tenant create acme-corp")
@asking
async def create(operator: Operator, tenant: TenantName) -> None:
    """Create a tenant; one that is there already is no error."""
    await operator.platform.create_tenant(tenant)
    operator.out.result({"tenant": tenant}, f"tenant {tenant} is there")


@app.command("list", epilog="Example: plexica tenant list --json")
@asking
async def list_tenants(operator: Operator) -> None:
    """List every tenant."""
    tenants = await operator.platform.tenants()
    rows = [(tenant,) for tenant in tenants]
    operator.out.result({"tenants": tenants}, Listing(("tenant",), rows, "no tenant; make one: plexica tenant create"))


@app.command(epilog="Example: plexica tenant remove acme-corp --force --yes")
@asking
async def remove(
    operator: Operator,
    tenant: TenantName,
    force: Annotated[bool, typer.Option("--force", help="Though plugins are installed; they go too.")] = False,
    yes: Yes = False,
) -> None:
    """Remove a tenant with its data; refused while plugins are installed there."""
    if not yes:
        confirm(f"Remove tenant {tenant} and all its data?")
    await operator.platform.remove_tenant(tenant, force=force)
    operator.out.result({"tenant": tenant, "removed": True}, f"tenant {tenant} is removed")

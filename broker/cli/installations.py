"""``plexica install``, ``uninstall``, ``upgrade`` and ``installations``: which plugins a tenant has."""

from typing import Annotated

import typer

from broker.cli.command import Operator, asking_in_tenant
from broker.cli.impact import show_what_if
from broker.cli.options import PluginArgument, RangeArgument, SomeRange
from broker.cli.output import Listing
from contracts.dependencies import Installation, Upgrade

Force = Annotated[bool, typer.Option("--force", help="Though requirements are unmet, or others break.")]


@asking_in_tenant
async def install(
    operator: Operator, plugin: PluginArgument, version: RangeArgument = "*", force: Force = False
) -> None:
    """Install the highest known version in the range; installing again is no error."""
    done = await operator.dependencies.install(plugin, version, force=force)
    operator.out.result(done, f"{done.plugin_id} {done.version} is installed in {done.tenant}")


@asking_in_tenant
async def uninstall(
    operator: Operator,
    plugin: PluginArgument,
    version: SomeRange = None,
    force: Force = False,
    remove_data: Annotated[bool, typer.Option("--remove-data", help="Also what it wrote to shared data.")] = False,
) -> None:
    """Take a plugin out of a tenant: the versions in the range, or all; refused while others there require it."""
    gone = await operator.dependencies.uninstall(plugin, version=version, force=force, remove_data=remove_data)
    name = f"{plugin} {', '.join(item.version for item in gone) or version or ''}".rstrip()
    said = f"{name} is taken out of {operator.tenant}" if gone else f"{name} is not in {operator.tenant}"
    operator.out.result({"installations": gone}, said)


@asking_in_tenant
async def upgrade(
    operator: Operator,
    plugin: PluginArgument,
    version: RangeArgument = "*",
    force: Force = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen, in every tenant.")] = False,
) -> None:
    """Move a plugin to the highest known version in the range; refused if others there would break."""
    if dry_run:
        await show_what_if(operator, plugin, version)
        return
    done = await operator.dependencies.upgrade(plugin, version, force=force)
    operator.out.result(done, _upgrade_lines(done))


@asking_in_tenant
async def installations(operator: Operator) -> None:
    """List what is installed in a tenant."""
    found = await operator.dependencies.installations()
    rows = [(item.plugin_id, item.version, _remark(item)) for item in found]
    empty = f"nothing is installed in {operator.tenant}"
    operator.out.result({"installations": found}, Listing(("plugin", "version", "remark"), rows, empty))


def _remark(item: Installation) -> str:
    if item.superseded:
        return "superseded, bound until nobody needs it"
    return f"forced: {'; '.join(item.overridden)}" if item.overridden else ""


def _upgrade_lines(done: Upgrade) -> list[str]:
    new = done.installation
    replaced = f", was {', '.join(done.replaced)}" if done.replaced else ""
    lines = [f"{new.plugin_id} {new.version} is installed in {new.tenant}{replaced}"]
    if done.lingering:
        lines.append(f"still bound until nobody needs it: {', '.join(done.lingering)}")
    return lines + [f"broken: {text}" for text in done.broken]


def add_to(app: typer.Typer) -> None:
    """Let the four stand beside the nouns."""
    app.command(epilog="Example: plexica install plugin-crm ^1.0.0 --tenant acme-corp")(install)
    app.command(epilog="Example: plexica uninstall plugin-crm 1.0.0 --tenant acme-corp")(uninstall)
    app.command(epilog="Example: plexica upgrade plugin-crm ^2.0.0 --tenant acme-corp --dry-run")(upgrade)
    app.command(epilog="Example: plexica installations --tenant acme-corp")(installations)

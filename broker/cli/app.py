"""The command ``plexica``: what an operator types."""

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.cli.ping import ping
from broker.process import run_broker, teardown
from broker.settings import BrokerSettings
from contracts.errors import InvalidManifestError, PlexicaError
from contracts.manifest import PluginManifest

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Plexica Bus: the bus between plugins.")
plugin_app = typer.Typer(no_args_is_help=True, help="Plugins and their manifests.")
app.add_typer(plugin_app, name="plugin")
app.command(name="ping")(ping)

Url = Annotated[str | None, typer.Option(help="RabbitMQ's address; PLEXICA_URL otherwise.")]
Prefix = Annotated[str | None, typer.Option(help="Stands before every exchange and queue; PLEXICA_PREFIX otherwise.")]
Store = Annotated[Path | None, typer.Option(help="The SQLite file; PLEXICA_STORE otherwise.")]
AutoInstall = Annotated[bool | None, typer.Option(help="Development: install whatever registers.")]


@app.command()
def broker(url: Url = None, prefix: Prefix = None, store: Store = None, auto_install: AutoInstall = None) -> None:
    """Run the broker until SIGTERM."""
    run_broker(_settings(url=url, prefix=prefix, store=store, auto_install=auto_install))


@app.command(name="teardown")
def tear_down(
    url: Url = None,
    prefix: Prefix = None,
    store: Store = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete every exchange and queue of a bus, with the messages in them. The store stays."""
    settings = _settings(url=url, prefix=prefix, store=store)
    if not yes:
        typer.confirm(f"Delete all exchanges and queues that begin with '{settings.prefix}plexica'?", abort=True)
    count = asyncio.run(teardown(settings))
    Console().print(f"Deleted {count} queues and the exchanges.")


@app.command(name="version")
def show_version() -> None:
    """Show the installed version."""
    Console().print(version("plexica-bus"))


@plugin_app.command()
def check(manifest: Annotated[Path, typer.Argument(help="A plugin.json.")]) -> None:
    """Check a manifest; every error is shown with its dotted path, exit status 1 if there is one."""
    try:
        found = PluginManifest.load(manifest)
    except InvalidManifestError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(str(error), markup=False)
        raise typer.Exit(1) from error
    services = len(found.api.services)
    Console().print(f"{manifest}: {found.id} {found.version} is valid: {services} services")


def _settings(**given: object) -> BrokerSettings:
    return BrokerSettings.read(**given)


def main() -> None:
    """Run the command; an error of ours is one line on stderr and exit status 1, never a traceback."""
    try:
        app()
    except PlexicaError as error:
        sys.exit(f"plexica: {error}")

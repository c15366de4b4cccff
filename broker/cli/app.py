"""The command ``plexica``: what an operator types."""

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.cli import client, dependencies, graph, installations, plugins, services, tenants
from broker.cli.bench import bench
from broker.cli.call import call
from broker.cli.confirming import confirm
from broker.cli.options import Prefix, Url, Yes
from broker.cli.output import Out
from broker.cli.ping import ping
from broker.process import run_broker, teardown
from broker.settings import BrokerSettings
from contracts.errors import PlexicaError

EPILOG = """
A first tour: plexica tenant create acme-corp · plexica plugin register plugin.json ·
plexica install plugin-crm -t acme-corp · plexica services list -t acme-corp · plexica deps graph -t acme-corp.

Exit status: 0 done, 1 refused, failed, or the answer is no, 2 wrong usage, 130 ended by Ctrl-C.
"""

SERVING = "The broker itself"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Plexica Bus: the bus between plugins.",
    epilog=EPILOG,
)
app.add_typer(tenants.app, name="tenant")
app.add_typer(plugins.app, name="plugin")
installations.add_to(app)
app.add_typer(services.app, name="services")
app.add_typer(client.app, name="client")
graph.add_to(dependencies.app)
app.add_typer(dependencies.app, name="deps")
app.command(epilog="Example: plexica call crm.contacts GET /contacts --query limit=10 -t acme-corp")(call)
app.command(epilog="Example: plexica bench, or: plexica bench crm.contacts GET /contacts -t acme-corp")(bench)
app.command(name="ping", epilog="Example: plexica ping plugin.json", rich_help_panel=SERVING)(ping)

Store = Annotated[Path | None, typer.Option(help="The SQLite file; PLEXICA_STORE otherwise.")]
AutoInstall = Annotated[bool | None, typer.Option(help="Development: install whatever registers.")]


def _version(value: bool) -> None:
    if value:
        show_version()
        raise typer.Exit


@app.callback()
def before(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the installed version.")
    ] = False,
) -> None:
    """Take the options that stand before every command."""
    del show  # its callback did the work


@app.command(rich_help_panel=SERVING, epilog="Example: plexica broker --url amqp://localhost/plexica --store broker.db")
def broker(url: Url = None, prefix: Prefix = None, store: Store = None, auto_install: AutoInstall = None) -> None:
    """Run the broker until SIGTERM."""
    run_broker(_settings(url=url, prefix=prefix, store=store, auto_install=auto_install))


@app.command(name="teardown", rich_help_panel=SERVING, epilog="Example: plexica teardown --prefix staging. --yes")
def tear_down(
    url: Url = None,
    prefix: Prefix = None,
    store: Store = None,
    yes: Yes = False,
) -> None:
    """Delete every exchange and queue of a bus, with the messages in them. The store stays."""
    settings = _settings(url=url, prefix=prefix, store=store)
    if not yes:
        confirm(f"Delete all exchanges and queues that begin with '{settings.prefix}plexica'?")
    count = asyncio.run(teardown(settings))
    Console().print(f"Deleted {count} queues and the exchanges.")


@app.command(name="version", rich_help_panel=SERVING)
def show_version() -> None:
    """Show the installed version."""
    Console().print(version("plexica-bus"))


def _settings(**given: object) -> BrokerSettings:
    return BrokerSettings.read(**given)


def main() -> None:
    """Run the command; an error of ours is one line on stderr and exit status 1, never a traceback."""
    try:
        app()
    except PlexicaError as error:
        Out(as_json=False).error(error)
        sys.exit(1)

"""Options and arguments that commands share. A name that cannot be one is a usage error, exit status 2."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from contracts.names import check_pattern, check_plugin_id, check_prefix, check_service_name, check_tenant
from contracts.versions import check_range, check_version

DEFAULT_SECONDS = 5.0
CONNECTION = "Connection"


def _named(check: Callable[[str], str]) -> Callable[[str | None], str | None]:
    def judge(value: str | None) -> str | None:
        try:
            return value if value is None else check(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return judge


Url = Annotated[
    str | None,
    typer.Option("--url", help="RabbitMQ's address; PLEXICA_URL otherwise.", rich_help_panel=CONNECTION),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        help="Stands before every exchange and queue; PLEXICA_PREFIX otherwise.",
        rich_help_panel=CONNECTION,
        callback=_named(check_prefix),
    ),
]
Timeout = Annotated[
    float,
    typer.Option("--timeout", help="Seconds to wait for the broker.", min=0.1, rich_help_panel=CONNECTION),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, errors too.")]
InTenant = Annotated[
    str | None,
    typer.Option("--tenant", "-t", help="The tenant; PLEXICA_TENANT otherwise.", callback=_named(check_tenant)),
]

TenantName = Annotated[str, typer.Argument(metavar="TENANT", callback=_named(check_tenant))]
PluginArgument = Annotated[
    str, typer.Argument(metavar="PLUGIN", help="E.g. plugin-crm.", callback=_named(check_plugin_id))
]
SomePlugin = Annotated[
    str | None, typer.Argument(metavar="PLUGIN", help="E.g. plugin-crm.", callback=_named(check_plugin_id))
]
RangeArgument = Annotated[
    str, typer.Argument(metavar="RANGE", help="An npm range, e.g. ^1.2.0.", callback=_named(check_range))
]
SomeRange = Annotated[
    str | None,
    typer.Argument(metavar="RANGE", help="An npm range; every version without it.", callback=_named(check_range)),
]
OfPlugin = Annotated[
    str | None, typer.Option("--plugin", help="Of this plugin only.", callback=_named(check_plugin_id))
]
RangeOption = Annotated[str, typer.Option("--range", help="An npm range.", callback=_named(check_range))]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="This version; all otherwise.", callback=_named(check_version))
]
ServiceArgument = Annotated[
    str, typer.Argument(metavar="SERVICE", help="E.g. crm.contacts.", callback=_named(check_service_name))
]
SomeService = Annotated[
    str | None, typer.Argument(metavar="SERVICE", help="E.g. crm.contacts.", callback=_named(check_service_name))
]
PatternArgument = Annotated[
    str, typer.Argument(metavar="PATTERN", help="Routing keys to hear.", callback=_named(check_pattern))
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="All the way, not only directly.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.", dir_okay=False)]

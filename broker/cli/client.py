"""``plexica client``: typed clients, written from the registry or from a manifest."""

from pathlib import Path
from typing import Annotated

import typer

from broker.cli.command import Operator, asking_in_tenant
from broker.cli.options import (
    DEFAULT_SECONDS,
    AsJson,
    InTenant,
    Output,
    Prefix,
    RangeOption,
    ServiceArgument,
    Timeout,
    Url,
)
from broker.cli.output import Out, write_file
from broker.client_source.source import Offer, client_source
from contracts.errors import PlexicaError, ServiceNotFoundError, VersionMismatchError, did_you_mean
from contracts.manifest import PluginManifest
from contracts.registry import REGISTRY_SERVICE, ServiceRecord
from contracts.versions import satisfies

app = typer.Typer(no_args_is_help=True, help="Typed clients of services, written for you.")

FromManifest = Annotated[
    Path | None,
    typer.Option("--manifest", "-m", help="Read this plugin.json rather than ask the registry.", dir_okay=False),
]


@app.command(epilog="Example: plexica client generate crm.contacts --range ^1.0.0 -t acme-corp -o contacts_client.py")
def generate(
    ctx: typer.Context,
    name: ServiceArgument,
    *,
    range_: RangeOption = "*",
    manifest: FromManifest = None,
    output: Output = None,
    tenant: InTenant = None,
    json: AsJson = False,
    url: Url = None,
    prefix: Prefix = None,
    timeout: Timeout = DEFAULT_SECONDS,
) -> None:
    """Write a typed Python client of a service: a model for each JSON Schema, a method for each endpoint.

    The schemas are those of the version that a call with this range would go to: what its manifest says, and else what
    its handlers declare. With --manifest no broker is asked, and only what the file says is typed.
    """
    if manifest is None:
        asked = {"tenant": tenant, "json": json, "url": url, "prefix": prefix, "timeout": timeout}
        _from_registry(ctx, name=name, range_=range_, output=output, **asked)
        return
    out = Out(as_json=json)
    try:
        _write(_offered(PluginManifest.load(manifest), name, range_), out, output)
    except PlexicaError as error:
        out.error(error)
        raise typer.Exit(1) from error


@asking_in_tenant
async def _from_registry(operator: Operator, name: str, range_: str, output: Path | None) -> None:
    answer = await operator.caller.ask(
        operator.tenant, REGISTRY_SERVICE, "GET", f"/services/{name}", query={"range": range_}
    )
    found = ServiceRecord.parse(answer)
    offer = Offer(found.plugin_id, found.service_name, found.version, found.endpoints, found.metadata)
    _write(offer, operator.out, output)


def _offered(manifest: PluginManifest, name: str, range_: str) -> Offer:
    """The service as a manifest describes it.

    Raises:
        ServiceNotFoundError: The manifest lists no such service.
        VersionMismatchError: It lists it at a version that is not in the range.
    """
    found = manifest.service(name)
    if found is None:
        names = [item.name for item in manifest.api.services]
        raise ServiceNotFoundError(f"{manifest.id} {manifest.version} offers no {name}{did_you_mean(name, names)}")
    if not satisfies(found.version, range_):
        raise VersionMismatchError(f"{manifest.id} {manifest.version} offers {found.id}, which is not in {range_}")
    return Offer(manifest.id, found.name, found.version, found.endpoints, found.metadata)


def _write(offer: Offer, out: Out, output: Path | None) -> None:
    source = client_source(offer)
    if output is not None:
        write_file(output, source)
    answer = {"service": offer.service, "version": offer.version}
    if out.as_json:
        out.json_lines({**answer, "source": source} if output is None else {**answer, "file": str(output)})
    elif output is None:
        typer.echo(source, nl=False)
    else:
        out.say(f"{output}: a client of {offer.service} {offer.version}")
    bare = [item for item in offer.endpoints if item.response is None]
    if bare and not out.as_json:
        listed = ", ".join(f"{item.method} {item.path}" for item in bare)
        out.note(f"without a schema of the answer, so its type is Any: {listed}")

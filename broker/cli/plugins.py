"""``plexica plugin``: manifests, from the author's desk to what the broker knows."""

import json
from pathlib import Path
from typing import Annotated

import typer

from broker.cli.checking import check_files
from broker.cli.command import Operator, asking
from broker.cli.options import AsJson, Output, PluginArgument, VersionOption
from broker.cli.output import Listing, Out, counted, write_file
from contracts.manifest import PluginManifest
from contracts.manifest_schema import manifest_schema

app = typer.Typer(no_args_is_help=True, help="Plugins: check, register, list, show, remove; the schema of plugin.json.")

ManifestFiles = Annotated[list[Path], typer.Argument(metavar="FILE...", help="One plugin.json or several.")]


@app.command(epilog="Example: plexica plugin check examples/*/plugin.json")
def check(files: ManifestFiles, json: AsJson = False) -> None:
    """Check manifests without a broker: every error at once, exit status 1 if there is one."""
    if not check_files(files, Out(as_json=json)):
        raise typer.Exit(1)


@app.command(epilog='Example: plexica plugin schema -o plugin.schema.json, then "$schema": "./plugin.schema.json"')
def schema(output: Output = None) -> None:
    """Print the JSON Schema of plugin.json, by which editors complete and check it."""
    text = json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_file(output, text)


@app.command(epilog="Example: plexica plugin register examples/*/plugin.json")
@asking
async def register(operator: Operator, files: ManifestFiles) -> None:
    """Make plugin versions known, so that they can be installed before any instance of them runs.

    All files are checked first, then registered one by one; what is known already may be registered again. With
    --json, several files answer with a list.
    """
    manifests = [PluginManifest.load(file) for file in files]
    known = []
    for manifest in manifests:
        await operator.platform.publish_manifest(manifest)
        known.append({"id": manifest.id, "version": manifest.version, "name": manifest.name})
        if not operator.out.as_json:
            operator.out.say(f"{manifest.id} {manifest.version} is known")
    if operator.out.as_json:
        operator.out.json_lines(known[0] if len(known) == 1 else {"plugins": known})


@app.command("list", epilog="Example: plexica plugin list --json")
@asking
async def list_plugins(operator: Operator) -> None:
    """List every plugin version that the broker knows, installed or not."""
    found = await operator.platform.plugins()
    rows = [(item.id, item.version, item.name) for item in found]
    empty = "no plugin is known; make one known: plexica plugin register plugin.json"
    operator.out.result({"plugins": found}, Listing(("plugin", "version", "name"), rows, empty))


@app.command(epilog="Example: plexica plugin show plugin-crm --version 1.0.0")
@asking
async def show(operator: Operator, plugin: PluginArgument, version: VersionOption = None) -> None:
    """Show what a plugin offers, needs, publishes and shares; its highest version unless one is named."""
    manifest = await operator.platform.manifest(plugin, version or "*")
    head = f"{manifest.id} {manifest.version}: {manifest.name}"
    shown = Listing(("what", "name", "version", "remark"), _facts(manifest), head)
    if not operator.out.as_json and shown.rows:
        operator.out.say(head)
    operator.out.result(manifest, shown)


@app.command(epilog="Example: plexica plugin remove plugin-crm --version 1.0.0")
@asking
async def remove(
    operator: Operator,
    plugin: PluginArgument,
    version: VersionOption = None,
    force: Annotated[bool, typer.Option("--force", help="Though it is installed; it is uninstalled first.")] = False,
) -> None:
    """Let the broker forget a plugin, or one version of it; refused while it is installed."""
    done = await operator.platform.remove_plugin(plugin, version=version, force=force)
    operator.out.result(done, f"{done.plugin_id} {', '.join(done.versions)} is no longer known")


def _facts(manifest: PluginManifest) -> list[tuple[str, ...]]:
    api = manifest.api
    return [
        *(("service", item.name, item.version, counted(len(item.endpoints), "endpoint")) for item in api.services),
        *(
            ("needs", item.service_name or item.plugin_id, item.version, "" if item.required else "optional")
            for item in api.dependencies
        ),
        *(("publishes", item.pattern, "", item.description or "") for item in api.events.publishes),
        *(("hears", item.pattern, "", item.description or "") for item in api.events.subscribes),
        *(("shares", item.namespace, "", f"writes: {_who(item.write)}") for item in api.shared_data),
    ]


def _who(access: str | tuple[str, ...]) -> str:
    return access if isinstance(access, str) else ", ".join(access)

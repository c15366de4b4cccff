"""``plexica ping``: whether the broker, or a plugin, serves. Made for health checks: quick, quiet, an exit status."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broker.cli.options import Prefix, Url
from broker.system import system_plugin
from contracts.errors import MissingQueueError, NotConnectedError
from contracts.manifest import PluginManifest
from contracts.topology import Topology
from plugin_runtime import RuntimeSettings, configure_logs
from plugin_runtime.transport.address import Address
from plugin_runtime.transport.base import Transport
from plugin_runtime.transport.factory import make_transport

INSTANCE = "ping"
"""Stands where an instance id stands in the names of connections."""

PING_SECONDS = 5.0


def ping(
    manifest: Annotated[
        Path | None, typer.Argument(help="The plugin.json of the plugin asked for; the broker without it.")
    ] = None,
    url: Url = None,
    prefix: Prefix = None,
    timeout: Annotated[float, typer.Option(help="Seconds until it gives up.", min=0.1)] = PING_SECONDS,
) -> None:
    """Say whether somebody serves each service of the broker, or of a plugin: exit status 0 if so, else 1."""
    configure_logs(level="error")
    settings = RuntimeSettings.read(url=url, prefix=prefix)
    asked = PluginManifest.load(manifest) if manifest else system_plugin().manifest
    problem = asyncio.run(problem_of(asked, settings, timeout=timeout))
    if problem:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"{asked.id}: {problem}", markup=False)
        raise typer.Exit(1)
    services = ", ".join(f"{item.name} {item.version}" for item in asked.api.services)
    Console(highlight=False, soft_wrap=True).print(f"{asked.id} serves {services}", markup=False)


async def problem_of(manifest: PluginManifest, settings: RuntimeSettings, *, timeout: float) -> str | None:
    """What keeps a plugin from being healthy, None if nothing does.

    A plugin consumes its call queues only after the broker took its registration, and loses the consumers when its
    event loop stops answering RabbitMQ's heartbeats; so a consumer says more than a running process. It does not say
    which of several instances it belongs to.

    Args:
        manifest: The plugin's; its id is also the identity under which RabbitMQ is asked.
        settings: Where RabbitMQ is.
        timeout: Seconds for all of it.

    Raises:
        StartError: The address or the login cannot work.
    """
    if not manifest.api.services:
        return "it offers no service by which it could be judged"
    transport = make_transport(
        settings.transport,
        settings.url,
        identity=manifest.id,
        instance=INSTANCE,
        insecure=settings.insecure,
        patient=False,
    )
    try:
        async with asyncio.timeout(timeout):
            await transport.open()
            idle = await unserved(transport, Topology(settings.prefix), manifest)
    except NotConnectedError as error:
        return str(error)
    except TimeoutError:
        return f"RabbitMQ at {Address.parse(settings.url).shown} did not answer in {timeout:g} s"
    finally:
        await transport.close()
    return f"nobody serves {', '.join(idle)}" if idle else None


async def unserved(transport: Transport, topology: Topology, manifest: PluginManifest) -> list[str]:
    """The services of a plugin, each with its version, whose call queue is missing or has no consumer."""
    idle = []
    for service in manifest.api.services:
        try:
            depth = await transport.depth(topology.call_queue(service.name, service.version).name)
        except MissingQueueError:
            depth = None
        if depth is None or depth.consumers == 0:
            idle.append(f"{service.name} {service.version}")
    return idle

"""A command that asks the broker: its own parameters, and those that all such commands share."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

import typer

from broker.cli.advice import not_installed, without_tenant
from broker.cli.connection import Connect, OnlyBroker, caller_over, connected, over_rabbitmq
from broker.cli.options import DEFAULT_SECONDS, AsJson, InTenant, Prefix, Timeout, Url
from broker.cli.output import Out
from contracts.errors import PlexicaError, ServiceNotFoundError, TenantNotFoundError
from contracts.names import NO_TENANT
from contracts.topology import Topology
from plugin_runtime import RuntimeSettings, configure_logs
from plugin_runtime.calls.caller import NO_CONTEXT, Caller
from plugin_runtime.registry_client import DependencyClient, PlatformClient
from plugin_runtime.transport.base import Transport

P = ParamSpec("P")

SHARED: Mapping[str, tuple[Any, Any]] = {
    "json": (AsJson, False),
    "url": (Url, None),
    "prefix": (Prefix, None),
    "timeout": (Timeout, DEFAULT_SECONDS),
}
"""The parameters of every command that asks the broker: name -> annotation and default."""

IN_TENANT: Mapping[str, tuple[Any, Any]] = {"tenant": (InTenant, None), **SHARED}
"""Those of every command that asks about one tenant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """What a command works with.

    Attributes:
        out: Where its answer goes.
        tenant: For whom it asks; ``_`` where the command takes none.
        caller: Calls the broker's services.
        transport: The connection, for what is heard rather than asked.
        topology: The names of the bus.
        settings: Where RabbitMQ is, and how it is spoken to.
    """

    out: Out
    tenant: str
    caller: Caller
    transport: Transport
    topology: Topology
    settings: RuntimeSettings

    @property
    def platform(self) -> PlatformClient:
        """Tenants and known plugins."""
        return PlatformClient(self.caller)

    @property
    def dependencies(self) -> DependencyClient:
        """Dependencies and installations of the tenant."""
        return self.in_tenant(self.tenant)

    def in_tenant(self, tenant: str) -> DependencyClient:
        """Dependencies and installations of a tenant."""
        return DependencyClient(self.caller, tenant, context=NO_CONTEXT, discovery=OnlyBroker())


Command = Callable[Concatenate[Operator, P], Awaitable[None]]


def asking(command: Command[P]) -> Callable[..., None]:
    """Make a command of an async function whose first parameter is the `Operator`.

    An error of ours becomes one line, or JSON, on standard error and exit status 1. ``ctx.obj`` may be a `Connect`
    that takes the place of RabbitMQ.
    """
    return _made(command, SHARED)


def asking_in_tenant(command: Command[P]) -> Callable[..., None]:
    """The same with the option ``--tenant``."""
    return _made(command, IN_TENANT)


def calling_in_tenant(command: Command[P]) -> Callable[..., None]:
    """The same for a command whose own ``--timeout`` is about a plugin's answer; the broker gets its usual time."""
    return _made(command, {name: shared for name, shared in IN_TENANT.items() if name != "timeout"})


def _made(command: Command[P], shared: Mapping[str, tuple[Any, Any]]) -> Callable[..., None]:
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in shared.items()
    ]
    parameters = [context, *own, *common]

    @functools.wraps(command)
    def run(ctx: typer.Context, **given: Any) -> None:
        chosen = {name: given.pop(name) for name in shared}
        out = Out(as_json=chosen.pop("json"))
        connect: Connect = ctx.obj or over_rabbitmq
        configure_logs(level="error")
        try:
            asyncio.run(_run(command, given, out, connect, for_tenant="tenant" in shared, **chosen))
        except PlexicaError as error:
            out.error(error)
            raise typer.Exit(1) from error

    # Typer reads parameters from here.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


async def _run(
    command: Callable[..., Awaitable[None]],
    given: Mapping[str, Any],
    out: Out,
    connect: Connect,
    *,
    for_tenant: bool,
    timeout: float = DEFAULT_SECONDS,
    **chosen: str | None,
) -> None:
    settings = RuntimeSettings.read(**chosen)
    tenant = settings.tenant if for_tenant else given.get("tenant")
    out.is_about(plugin=given.get("plugin"), tenant=tenant, service=given.get("service"))
    async with connected(settings, timeout=timeout, connect=connect) as transport:
        operator = Operator(
            out=out,
            tenant=settings.tenant if for_tenant else NO_TENANT,
            caller=caller_over(transport, settings, timeout=timeout),
            transport=transport,
            topology=Topology(settings.prefix),
            settings=settings,
        )
        try:
            await command(operator, **given)
        except TenantNotFoundError as error:
            is_default = for_tenant and "tenant" not in settings.model_fields_set
            if not is_default or error.details.get("tenant") != settings.tenant:
                raise
            raise await without_tenant(operator.platform, error) from error
        except ServiceNotFoundError as error:
            asked = given.get("service") or given.get("name")
            if not for_tenant or asked is None or error.details.get("service") != asked:
                raise
            raise await not_installed(operator.platform, error, settings.tenant) from error

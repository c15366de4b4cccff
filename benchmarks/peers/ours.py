"""The bus itself: a plugin posts to an endpoint of another one; broker, callee and caller are three processes.

Nothing is switched off: RabbitMQ checks who publishes, the broker grants, calls carry tenant, grant, chain, trace and
deadline, every message is mandatory, confirmed and acknowledged.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

from benchmarks.load import Echo
from plugin_runtime import Call, Plugin, configure_logs

TENANTS = "BENCH_TENANTS"
"""The variable by which calls are spread over so many tenants."""
AT_ONCE = 32
"""First calls in flight: each tenant's costs a grant."""

CALLEE, CALLER = "plugin-echo", "plugin-asker"
SERVICE = "echo.contacts"


def offering(plugin: str, service: str) -> Plugin:
    """A plugin that echoes what is posted."""
    endpoints = [{"method": "POST", "path": "/contacts"}]
    api = {"services": [{"name": service, "version": "1.0.0", "endpoints": endpoints}]}
    made = Plugin.from_manifest({"id": plugin, "name": plugin, "version": "1.0.0", "api": api})

    @made.service(service).post("/contacts")
    async def echo_back(call: Call) -> Any:
        return call.body

    return made


def asking(plugin: str) -> Plugin:
    """A plugin that may call the callee."""
    need = {"pluginId": CALLEE, "serviceName": SERVICE, "version": "^1.0.0"}
    return Plugin.from_manifest({"id": plugin, "name": plugin, "version": "1.0.0", "api": {"dependencies": [need]}})


callee, caller = offering(CALLEE, SERVICE), asking(CALLER)


def tenants() -> list[str]:
    """Where both are installed."""
    return [f"tenant-{number}" for number in range(int(os.environ.get(TENANTS, "1")))]


def as_user(address: str, user: str) -> str:
    """The address with the plugin's own login, which `benchmarks.backdrops` made."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{user}:{user}@{rest.partition('@')[2]}"


def echo_by(plugin: Plugin, names: Sequence[str]) -> Echo:
    """The call that a connected plugin makes, for one tenant after the other."""
    services = cycle([plugin.tenant(name).service(SERVICE) for name in names])

    async def echo(data: Any) -> Any:
        return await next(services).post("/contacts", body=data)

    return echo


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    configure_logs(level="error")
    async with callee.connected(as_user(address, CALLEE), tenants=tenants()):
        yield


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    configure_logs(level="error")
    names = tenants()
    async with caller.connected(as_user(address, CALLER), tenants=names):
        echo = echo_by(caller, names)
        for first in range(0, len(names), AT_ONCE):
            await asyncio.gather(*(echo(None) for _ in names[first : first + AT_ONCE]))
        yield echo

"""The bus itself: a plugin posts to an endpoint of another one; broker, callee and caller are three processes.

Nothing is switched off: RabbitMQ checks who publishes, the broker grants, calls carry tenant, grant, chain, trace and
deadline, every message is mandatory, confirmed and acknowledged.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.load import Echo
from plugin_runtime import Call, Plugin, configure_logs

TENANT = "acme-corp"
CALLEE, CALLER = "plugin-echo", "plugin-asker"
SERVICE = "echo.contacts"

callee = Plugin.from_manifest(
    {
        "id": CALLEE,
        "name": "Echo",
        "version": "1.0.0",
        "api": {
            "services": [{"name": SERVICE, "version": "1.0.0", "endpoints": [{"method": "POST", "path": "/contacts"}]}]
        },
    }
)
caller = Plugin.from_manifest(
    {
        "id": CALLER,
        "name": "Asker",
        "version": "1.0.0",
        "api": {"dependencies": [{"pluginId": CALLEE, "serviceName": SERVICE, "version": "^1.0.0"}]},
    }
)


@callee.service(SERVICE).post("/contacts")
async def echo_back(call: Call) -> Any:
    return call.body


def as_user(address: str, user: str) -> str:
    """The address with the plugin's own login, which `benchmarks.backdrops` made."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{user}:{user}@{rest.partition('@')[2]}"


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    configure_logs(level="error")
    async with callee.connected(as_user(address, CALLEE), tenants=[TENANT]):
        yield


def echo_by(plugin: Plugin) -> Echo:
    """The call that a connected plugin makes."""
    contacts = plugin.tenant(TENANT).service(SERVICE)

    async def echo(data: Any) -> Any:
        return await contacts.post("/contacts", body=data)

    return echo


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    configure_logs(level="error")
    async with caller.connected(as_user(address, CALLER), tenants=[TENANT]):
        yield echo_by(caller)

"""Plugins that remember what reached their handlers."""

from typing import Any

from contracts.calls import CallReply
from plugin_runtime import Call, Plugin
from tests.acceptance.world import ACME, World, call_bytes, reply_of

READ, WRITE = "plugin.crm.contacts.read", "plugin.crm.contacts.write"
SERVICE = "crm.contacts"
KEY = f"{ACME}.crm.contacts.1.0.0"


class Crm:
    """A CRM whose ``POST /contacts`` asks for two permissions, and ``GET /contacts`` for none."""

    def __init__(self) -> None:
        self.served: list[str] = []
        endpoints = [
            {"method": "GET", "path": "/contacts"},
            {"method": "POST", "path": "/contacts", "permissions": [READ, WRITE]},
        ]
        service = {"name": SERVICE, "version": "1.0.0", "endpoints": endpoints}
        document = {"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"services": [service]}}
        self.plugin = Plugin.from_manifest(document)

        @self.plugin.service(SERVICE).get("/contacts")
        async def read(call: Call) -> str:
            self.served.append(call.caller)
            return "read"

        @self.plugin.service(SERVICE).post("/contacts")
        async def write(call: Call) -> str:
            self.served.append(call.caller)
            return "written"


def asking(*permissions: str, name: str = "analytics", version: str = "1.0.0") -> Plugin:
    """A plugin that asks the CRM for permissions."""
    need = {"pluginId": "plugin-crm", "serviceName": SERVICE, "version": "*", "permissions": list(permissions)}
    api = {"dependencies": [{**need, "required": False}]}
    return Plugin.from_manifest({"id": f"plugin-{name}", "name": name, "version": version, "api": api})


async def ask(world: World, token: Any, *, method: str = "GET", key: str = KEY, **fields: Any) -> CallReply:
    """Call with this very grant; None for none."""
    headers = {"x-tenant-id": key.partition(".")[0], "x-grant": token}
    return reply_of(await world.ask_raw(call_bytes(method), key=key, headers=headers, **fields))


def refusal(reply: CallReply) -> tuple[str, str]:
    """Code and message of a reply that refuses."""
    assert reply.error is not None, reply
    return reply.error["code"], reply.error["message"]

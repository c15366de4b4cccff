"""The part of ``system.registry`` that gives plugins their grants."""

from broker.grants.service import Grants
from contracts.grants import GrantList, GrantRequest
from contracts.registry import REGISTRY_SERVICE
from plugin_runtime import Call, Plugin


def mount(plugin: Plugin, grants: Grants) -> None:
    """Let the plugin answer for grants. The caller is whom RabbitMQ vouches for; a grant could not say more."""

    @plugin.service(REGISTRY_SERVICE).put("/grants")
    async def issue(call: Call) -> GrantList:
        return await grants.issue(call.caller, GrantRequest.parse(call.body).tenants)

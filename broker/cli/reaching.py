"""The operator's way to plugins: a reply queue of the command's own, and grants for the tenants that it calls in.

::

    command ── plexica.calls ──► calls.crm.contacts.1.0.0 ──► the plugin
            ◄── replies.plugin-plexica.{instance} ◄── plexica.replies ──┘

A plugin's login may write to ``plexica.replies`` and not to the default exchange, so it could not answer by direct
reply-to, as the broker does.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from broker.cli.command import Operator
from broker.cli.own_queue import own_queue
from contracts.announcement_keys import presence_announcement
from contracts.codec import decode
from contracts.errors import CodedError, MalformedMessageError
from contracts.grants import GrantList, GrantRequest
from contracts.manifest import Dependency
from contracts.names import NO_TENANT, OPERATOR_PLUGIN, SYSTEM_PLUGIN, owner_of
from contracts.registry import REGISTRY_SERVICE, SYSTEM_VERSION, PresenceAnnouncement, ServiceRecord
from contracts.topology import Binding, Topology
from plugin_runtime.calls.caller import Caller
from plugin_runtime.calls.client import CallClient, Tokens
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Deadline, new_instance
from plugin_runtime.grants import Grants
from plugin_runtime.identity import judge_announcement
from plugin_runtime.keys import KeyRing
from plugin_runtime.platform_client import segment
from plugin_runtime.transport.base import Delivery

PREFETCH = 1000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What an operator calls plugins with.

    Attributes:
        caller: Finds the version and calls it; a call that surely was not run may go again.
        client: One call to one version, as it is.
        discovery: Which version that is.
    """

    caller: Caller
    client: CallClient
    discovery: "AskedOnce"


class AskedOnce:
    """A `Discovery` that asks the broker once for each service, and again when nobody was found there.

    It has the grant fetched too, so that how long a call took is about the call alone.
    """

    def __init__(self, broker: Caller, tokens: Tokens) -> None:
        self._broker = broker
        self._tokens = tokens
        self._found: dict[tuple[str, str, str | None], Target] = {}
        self._records: dict[Target, ServiceRecord] = {}

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        """The target, as the broker's discovery says; its errors are raised."""
        if owner_of(service) == SYSTEM_PLUGIN:
            return Target(SYSTEM_PLUGIN, service, SYSTEM_VERSION)
        wanted = (tenant, service, range_)
        if wanted not in self._found:
            path, query = f"/services/{segment(service)}", {"range": range_ or "*"}
            seconds = max(deadline.remaining_seconds, 0.001)
            answer = await self._broker.ask(tenant, REGISTRY_SERVICE, "GET", path, query=query, timeout=seconds)
            record = ServiceRecord.parse(answer)
            await self._tokens.token(tenant, deadline)
            target = Target(record.plugin_id, record.service_name, record.version)
            self._found[wanted], self._records[target] = target, record
        return self._found[wanted]

    def record(self, target: Target) -> ServiceRecord | None:
        """What the broker said of a target that was found; None for its own services, which are not asked for."""
        return self._records.get(target)

    async def catch_up(self, tenant: str, failed: Target, deadline: Deadline) -> bool:
        """Forget what was found, so that it is asked for again."""
        del tenant, failed, deadline
        self._found.clear()
        return True

    def declare(self, dependencies: Iterable[Dependency]) -> None:
        """Operators need declare nothing."""


@asynccontextmanager
async def reaching(operator: Operator, service: str) -> AsyncIterator[Reach]:
    """A way to one service; its queue is gone at the end.

    Raises:
        ServiceUnavailableError: There is no bus: no broker was ever here.
    """
    transport, topology = operator.transport, operator.topology
    instance = new_instance()
    grants = Grants(lambda tenants: _granted(operator.caller, tenants), KeyRing())
    client = CallClient(transport, topology, instance=instance, tokens=grants)
    discovery = AskedOnce(operator.caller, grants)
    reply_key = topology.reply_key(OPERATOR_PLUGIN, instance)
    replies = topology.reply_queue(OPERATOR_PLUGIN, instance)

    async def reconnected() -> None:
        client.on_reconnected()

    transport.on_reconnected(reconnected)
    async with own_queue(transport, replies, exchange=topology.replies, routing_key=reply_key) as queue:
        await transport.bind(Binding(queue, topology.registry, presence_announcement(service)))
        consumer = await transport.consume(
            queue, lambda delivery: _take(delivery, client, topology), prefetch=PREFETCH, role="replies"
        )
        try:
            yield Reach(caller=Caller(client, discovery), client=client, discovery=discovery)
        finally:
            await consumer.cancel()
            await client.close()
            await grants.close()


async def _granted(broker: Caller, tenants: Sequence[str]) -> GrantList:
    body = GrantRequest(tenants=tuple(tenants)).to_json()
    return GrantList.parse(await broker.ask(NO_TENANT, REGISTRY_SERVICE, "PUT", "/grants", body=body))


def _take(delivery: Delivery, client: CallClient, topology: Topology) -> None:
    """A reply, or the news that the last instance of a version went: whoever waits for it need not wait longer."""
    if topology.exchange_kind(delivery.exchange) != "plexica.registry":
        client.on_reply(delivery)
        return
    try:
        judge_announcement(delivery, topology)
        gone = PresenceAnnouncement.model_validate(decode(delivery.message.body))
    except (CodedError, MalformedMessageError, ValidationError) as error:
        log.warning("call.presence_refused", routing_key=delivery.routing_key, reason=str(error))
        return
    client.on_presence(gone)

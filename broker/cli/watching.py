"""Hears what the broker announces, through a queue of the command's own, and prints it line by line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from rich.text import Text

from broker.cli.command import Operator
from broker.cli.output import STYLES, counted
from broker.cli.own_queue import own_queue
from contracts.codec import decode
from contracts.errors import CodedError, MalformedMessageError
from contracts.names import OPERATOR_PLUGIN
from contracts.registry import (
    ANNOUNCEMENTS,
    DependencyAnnouncement,
    PluginAnnouncement,
    PresenceAnnouncement,
    ServiceAnnouncement,
    TenantAnnouncement,
)
from contracts.wire import WireModel
from plugin_runtime.context import new_instance
from plugin_runtime.identity import judge_announcement
from plugin_runtime.transport.base import Delivery

PREFETCH = 100
CHANGE_STYLES = {
    "registered": "green",
    "installed": "green",
    "created": "green",
    "upgraded": "cyan",
    "declared": "cyan",
    "status": "yellow",
    "deregistered": "red",
    "uninstalled": "red",
    "removed": "red",
    "gone": "bold red",
}


async def watch_registry(operator: Operator, pattern: str, *, count: int | None, seconds: float | None) -> int:
    """Print announcements whose routing key the pattern admits, from when the queue is bound; how many there were.

    Args:
        operator: Who listens, and where to print.
        pattern: AMQP topic pattern.
        count: End after so many; None for no end.
        seconds: End after so long; None for no end.

    Raises:
        ServiceUnavailableError: There is no bus: no broker was ever here.
    """
    heard = 0
    async with _announcements(operator, pattern) as deliveries:
        if not operator.out.as_json:
            operator.out.note(f"listening to {pattern} (Ctrl-C ends)")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while count is None or heard < count:
                    delivery = await deliveries.get()
                    heard += _tell(operator, delivery)
                    await delivery.acknowledge()
    return heard


@asynccontextmanager
async def _announcements(operator: Operator, pattern: str) -> AsyncIterator["asyncio.Queue[Delivery]"]:
    transport, topology = operator.transport, operator.topology
    deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
    own = topology.instance_queue(OPERATOR_PLUGIN, new_instance())
    async with own_queue(transport, own, exchange=topology.registry, routing_key=pattern) as queue:
        consumer = await transport.consume(
            queue, deliveries.put_nowait, prefetch=PREFETCH, role="watch", exclusive=True
        )
        yield deliveries
        await consumer.cancel()


def _tell(operator: Operator, delivery: Delivery) -> bool:
    """Print an announcement; False for what is none of the broker's."""
    try:
        judge_announcement(delivery, operator.topology)
        body = ANNOUNCEMENTS[delivery.message.type].model_validate(decode(delivery.message.body))
    except (CodedError, MalformedMessageError, ValidationError, KeyError) as error:
        operator.out.note(f"not shown: {delivery.routing_key}: {error}")
        return False
    now = datetime.now(tz=UTC).astimezone()
    if operator.out.as_json:
        operator.out.json_lines(line_json(now, delivery, body), indent=None)
    else:
        operator.out.say(line(now, body))
    return True


def line_json(now: datetime, delivery: Delivery, body: WireModel) -> dict[str, Any]:
    """An announcement as programs read it."""
    head = {"time": now.isoformat(timespec="milliseconds"), "key": delivery.routing_key, "type": delivery.message.type}
    return {**head, **body.to_json()}


def line(now: datetime, body: WireModel) -> Text:
    """An announcement as people read it: time, change, what, and how it is now."""
    change, what, state = told(body)
    return Text.assemble(
        (f"{now:%H:%M:%S}  ", "dim"),
        (f"{change:<13}", CHANGE_STYLES.get(change, "")),
        what,
        (f"  {state}" if state else "", STYLES.get(state.partition(" ")[0], "dim")),
    )


def told(body: WireModel) -> tuple[str, str, str]:
    """An announcement in three words: the change, what changed, and its state."""
    match body:
        case ServiceAnnouncement(change=change, service=service):
            state = f"{service.status} ({service.instances})"
            if service.degraded_in:
                state += f", DEGRADED in {counted(len(service.degraded_in), 'tenant')}"
            return change, f"{service.service_name} {service.version}", state
        case PresenceAnnouncement(service_name=name, version=version):
            return "gone", f"{name} {version}", "its last instance went without a word"
        case DependencyAnnouncement(plugin_id=plugin, version=version, dependencies=needs):
            names = [f"{item.service_name or item.plugin_id} {item.version}" for item in needs]
            return "declared", f"{plugin} {version}", f"needs {', '.join(names) or 'nothing'}"
        case PluginAnnouncement(change=change, plugin_id=plugin, version=version, tenant=tenant):
            return change, f"{plugin} {version}", f"in {tenant}"
        case TenantAnnouncement(change=change, tenant=tenant):
            return change, f"tenant {tenant}", ""
        case _:
            return "announced", type(body).__name__, ""  # by a newer broker

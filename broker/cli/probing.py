"""Measures an endpoint as the operator reaches it: bare messages, calls one by one, calls with several in flight."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from broker.cli.command import Operator
from broker.cli.measuring import Measured, Once, measured
from broker.cli.own_queue import own_queue
from broker.cli.reaching import Reach, reaching
from broker.cli.verdict import verdict
from contracts.calls import FIRST_ERROR_STATUS, CallRequest, CallResult
from contracts.errors import CodedError
from contracts.ids import new_id
from contracts.manifest import Metadata
from contracts.names import OPERATOR_PLUGIN
from contracts.registry import ServiceRecord
from plugin_runtime.calls.caller import NO_CONTEXT, data_of
from plugin_runtime.calls.paths import Paths, decode_path
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Deadline, new_instance
from plugin_runtime.transport.base import Delivery, Message

CALL_SECONDS = 10.0
MESSAGE_SHARE = 0.5
"""Bare messages are measured for this share of the time of one stage."""

Progress = Callable[[str, float], AbstractContextManager[None]]
"""Shows that something so named takes so many seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is measured, and for which tenant."""

    tenant: str
    service: str
    request: CallRequest
    range_: str = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was measured.

    Attributes:
        target: The version that answered.
        message: Bare messages to this very command, one at a time: half of what a call does.
        single: Calls, one at a time.
        loads: Calls with several in flight, fewest first.
        limits: What the metadata of the endpoint, or else of its service, allows.
    """

    aim: Aim
    target: Target
    message: Measured
    single: Measured
    loads: Sequence[Measured]
    limits: Metadata

    @property
    def stages(self) -> list[Measured]:
        """Every stage with calls."""
        return [self.single, *self.loads]

    @property
    def sentences(self) -> list[str]:
        """What it tells."""
        return verdict(self.message, self.single, self.loads, self.limits)

    def to_json(self) -> dict[str, Any]:
        """The report as programs read it; durations in seconds, null where no call was answered well."""
        return {
            "tenant": self.aim.tenant,
            "service": self.aim.service,
            "version": self.target.version,
            "method": self.aim.request.method,
            "path": self.aim.request.path,
            "limits": {"rateLimit": self.limits.rate_limit, "concurrency": self.limits.concurrency},
            "message": _stage_json(self.message),
            "stages": [_stage_json(stage) for stage in self.stages],
            "verdict": self.sentences,
        }


def _stage_json(stage: Measured) -> dict[str, Any]:
    return {
        "inFlight": stage.in_flight,
        "count": len(stage.durations),
        "seconds": stage.seconds,
        "perSecond": stage.per_second,
        "p50Seconds": stage.p50_seconds,
        "p99Seconds": stage.p99_seconds,
        "failures": dict(stage.failures),
    }


async def probed(
    operator: Operator, aim: Aim, *, seconds: float, in_flight: Sequence[int], progress: Progress
) -> Report:
    """Measure an endpoint: one call to see that it answers at all, then every stage.

    Args:
        operator: Who measures.
        aim: What is measured.
        seconds: How long each stage with calls takes.
        in_flight: How many calls at one time, a stage each.
        progress: Shows how far it is.

    Raises:
        CodedError: The first call brought no answer, or a status of 400 or more.
        TransportError: RabbitMQ went away.
    """
    async with reaching(operator, aim.service) as reach:
        target = await reach.discovery.find(aim.tenant, aim.service, aim.range_, Deadline.after(CALL_SECONDS))
        once = _calling(reach, target, aim)
        data_of(await _call(reach, target, aim), f"{aim.request.method} {aim.service} {aim.request.path}")
        message_seconds = seconds * MESSAGE_SHARE
        async with _messaging(operator) as send_one:
            with progress("messages", message_seconds):
                message = await measured(send_one, in_flight=1, seconds=message_seconds)
        with progress("1 in flight", seconds):
            single = await measured(once, in_flight=1, seconds=seconds)
        loads = []
        for count in in_flight:
            with progress(f"{count} in flight", seconds):
                loads.append(await measured(once, in_flight=count, seconds=seconds))
    limits = limits_of(reach.discovery.record(target), aim.request.method, aim.request.path)
    return Report(aim=aim, target=target, message=message, single=single, loads=loads, limits=limits)


def limits_of(record: ServiceRecord | None, method: str, path: str) -> Metadata:
    """The calls a minute and the calls at once that an endpoint allows; its own limits win over its service's."""
    if record is None:
        return Metadata()
    paths: Paths[Metadata] = Paths()
    for endpoint in record.endpoints:
        if endpoint.method == method:
            paths.add(endpoint.path, endpoint.metadata)
    found = paths.match(decode_path(path))
    own, common = found[0] if found else Metadata(), record.metadata
    return Metadata(rate_limit=own.rate_limit or common.rate_limit, concurrency=own.concurrency or common.concurrency)


async def _call(reach: Reach, target: Target, aim: Aim) -> CallResult:
    # Below the caller: what is measured is the bus, without a cache and without calls that are made again.
    deadline = Deadline.after(CALL_SECONDS)
    return await reach.client.call(aim.tenant, target, aim.request, deadline=deadline, context=NO_CONTEXT)


def _calling(reach: Reach, target: Target, aim: Aim) -> Once:
    async def once() -> str | None:
        try:
            status = (await _call(reach, target, aim)).status
        except CodedError as error:
            return error.code
        return None if status < FIRST_ERROR_STATUS else f"status {status}"

    return once


@asynccontextmanager
async def _messaging(operator: Operator) -> AsyncIterator[Once]:
    """Publishes a bare message that comes back to this very command: half of what a call does, and nothing else."""
    transport, topology = operator.transport, operator.topology
    instance = new_instance()
    key, queue = topology.reply_key(OPERATOR_PLUGIN, instance), topology.reply_queue(OPERATOR_PLUGIN, instance)
    arrived: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_delivery(delivery: Delivery) -> None:
        delivery.acknowledge_soon()
        if not arrived.done():
            arrived.set_result(None)

    async def once() -> str | None:
        nonlocal arrived
        arrived = asyncio.get_running_loop().create_future()
        message = Message(body=b"{}", type="reply", message_id=new_id(), timestamp=int(time.time()), persistent=False)
        # As with a call, what is waited for is the message, not its confirm.
        transport.publish_soon(message, exchange=topology.replies, routing_key=key, timeout=CALL_SECONDS)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await arrived
        except TimeoutError:
            return "CALL_TIMEOUT"
        return None

    async with own_queue(transport, queue, exchange=topology.replies, routing_key=key) as own:
        consumer = await transport.consume(own, on_delivery, prefetch=1, role="bench", may_linger=True)
        yield once
        await consumer.cancel()

"""A broker in memory that is asked with bytes of the test's own making, and looked at to the last byte."""

import asyncio
import json
import sqlite3
import time
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from pydantic import ValidationError

from broker.testing import Bus, bus
from contracts.codec import BUDGET_HEADER, CALLER_HEADER, GRANT_HEADER, REQUEST_HEADER, TENANT_HEADER
from contracts.errors import ReturnedMessageError
from contracts.grants import Grant
from contracts.ids import new_id
from contracts.names import NO_TENANT
from contracts.topology import Topology
from plugin_runtime.testing import MemoryTransport, VirtualClock
from plugin_runtime.transport.base import Delivery, Message
from tests.unit.broker.operations import ANALYTICS, CRM, PREPARATION, Request

ANSWER_SECONDS = 10.0
TOPOLOGY = Topology()


@dataclass(frozen=True)
class Answer:
    """A reply as it came; ``code`` is empty for the answer of a handler."""

    status: int
    code: str
    message: str
    data: Any


NOBODY_THERE = Answer(404, "SERVICE_NOT_FOUND", "returned by RabbitMQ: no queue is bound", None)


class Asked:
    """A broker with tenants, plugins, an instance and a value."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._transports: dict[str, MemoryTransport] = {}
        self._bus: Bus | None = None

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._end()

    async def begin_anew(self) -> None:
        await self._end()
        await self._begin()

    async def _begin(self) -> None:
        # With a clock that stands still no lease runs out and no value expires: only requests change anything.
        self._bus = await self._stack.enter_async_context(bus(operators=(CRM, ANALYTICS), clock=VirtualClock()))
        for operation in PREPARATION:
            answer = await self.ask(operation.request())
            assert answer.status == 200, (str(operation), answer)
        await self._bus.settle()

    async def _end(self) -> None:
        for transport in self._transports.values():
            await transport.close()
        self._transports.clear()
        await self._stack.aclose()

    @property
    def bus(self) -> Bus:
        assert self._bus is not None
        return self._bus

    async def everything(self) -> tuple[bytes, set[str], set[str]]:
        """The store to the last byte, the queues and the bindings."""
        connection = self.bus.broker._database._connection
        stored = await connection._execute(connection._conn.serialize)
        queues = {repr(queue) for queue in self.bus.vhost.queues()}
        return stored, queues, {repr(binding) for binding in self.bus.vhost.bindings()}

    async def ask(self, request: Request) -> Answer:
        path = request.path
        for name, value in request.params.items():
            path = path.replace(f":{name}", quote(value, safe="", errors="surrogatepass"))
        document = {"method": request.method, "path": path, "query": request.query, "headers": {}, "body": request.body}
        return await self.ask_with(json.dumps(document).encode(), request)

    async def ask_with(self, body: bytes, request: Request) -> Answer:
        """Publish a call with a body of any bytes and wait for its reply; fails if none comes."""
        transport = await self._transport(request.caller)
        replied: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        key = TOPOLOGY.call_key(request.tenant or NO_TENANT, request.service, "1.0.0")
        async with asyncio.timeout(ANSWER_SECONDS), transport.direct_caller(replied.set_result) as direct:
            try:
                await direct.publish(self._message(body, request), exchange=TOPOLOGY.calls, routing_key=key)
            except ReturnedMessageError:
                return NOBODY_THERE
            delivery = await replied
        return _read(json.loads(delivery.message.body))

    async def _transport(self, caller: str) -> MemoryTransport:
        if caller not in self._transports:
            self._transports[caller] = MemoryTransport(self.bus.vhost, identity=caller, instance="raw")
            await self._transports[caller].open()
        return self._transports[caller]

    def _message(self, body: bytes, request: Request) -> Message:
        return Message(
            body=body,
            type="call",
            message_id=new_id(),
            correlation_id=new_id(),
            headers={
                TENANT_HEADER: request.tenant,
                CALLER_HEADER: request.caller,
                GRANT_HEADER: self._grant(request),
                REQUEST_HEADER: new_id(),
                BUDGET_HEADER: int(ANSWER_SECONDS * 1000),
            },
        )

    def _grant(self, request: Request) -> str | None:
        """What the broker would have signed for a caller that is installed in the tenant."""
        try:
            grant = Grant(sub=request.caller, ten=request.tenant, iat=int(time.time()), exp=int(time.time()) + 300)
        except ValidationError:
            return None  # no such name can have one
        return self.bus.broker.subjects.grants.signing.sign(grant)


def rows(store: bytes) -> set[str]:
    """What stands in a store, for people."""
    with closing(sqlite3.connect(":memory:")) as copy:
        copy.deserialize(store)
        return set(copy.iterdump())


def _read(reply: dict[str, Any]) -> Answer:
    error = reply.get("error") or {}
    return Answer(reply["status"], error.get("code", ""), error.get("message", ""), reply.get("data"))

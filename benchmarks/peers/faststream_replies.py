"""FastStream on RabbitMQ, RPC by hand, as its maintainers advise for many calls at once (airtai/faststream#1318).

The client publishes with ``reply_to`` and a correlation id; a subscriber of its reply queue resolves futures.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from faststream import Context
from faststream.rabbit import RabbitBroker

from benchmarks.load import Echo

QUEUE, REPLIES = "calls", "replies"


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    broker = RabbitBroker(address, logger=None)

    @broker.subscriber(QUEUE)
    async def echo_back(data: dict[str, Any]) -> dict[str, Any]:
        return data

    async with broker:
        await broker.start()
        yield


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    broker = RabbitBroker(address, logger=None)
    waiting: dict[str, asyncio.Future[Any]] = {}

    @broker.subscriber(REPLIES)
    async def on_reply(data: dict[str, Any], correlation_id: Annotated[str, Context("message.correlation_id")]) -> None:
        waiting.pop(correlation_id).set_result(data)

    async def echo(data: Any) -> Any:
        key = str(uuid.uuid4())
        waiting[key] = future = asyncio.get_running_loop().create_future()
        await broker.publish(data, QUEUE, reply_to=REPLIES, correlation_id=key)
        return await future

    async with broker:
        await broker.start()
        yield echo

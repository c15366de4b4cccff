"""FastStream on RabbitMQ, ``await broker.request(...)`` as its page "RPC over RabbitMQ" shows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from faststream.rabbit import RabbitBroker

from benchmarks.load import Echo
from benchmarks.peers.faststream_replies import QUEUE, serving

__all__ = ["calling", "serving"]

PATIENCE_SECONDS = 30.0


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    broker = RabbitBroker(address, logger=None)

    async def echo(data: Any) -> Any:
        response = await broker.request(data, QUEUE, timeout=PATIENCE_SECONDS)
        return await response.decode()

    async with broker:
        await broker.start()
        yield echo

"""nats-py, request and reply as its documentation shows; nothing is confirmed, stored or sent again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.msg import Msg

from benchmarks.load import Echo
from benchmarks.payload import dumps, loads

SUBJECT = "contacts"
PATIENCE_SECONDS = 30.0


async def echo_back(message: Msg) -> None:
    await message.respond(dumps(loads(message.data)))


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    connection = await nats.connect(address)
    await connection.subscribe(SUBJECT, "workers", echo_back)
    await connection.flush()
    yield
    await connection.drain()


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    connection = await nats.connect(address)

    async def echo(data: Any) -> Any:
        return loads((await connection.request(SUBJECT, dumps(data), timeout=PATIENCE_SECONDS)).data)

    yield echo
    await connection.drain()

"""aio_pika.patterns.JsonRPC, as the page "Patterns and helpers" of aio-pika's documentation uses RPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.patterns import JsonRPC

from benchmarks.load import Echo


async def echo_back(*, data: Any) -> Any:
    return data


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    connection = await aio_pika.connect_robust(address)
    async with connection:
        rpc = await JsonRPC.create(await connection.channel())
        await rpc.register("echo", echo_back, auto_delete=True)
        yield


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    connection = await aio_pika.connect_robust(address)
    async with connection:
        rpc = await JsonRPC.create(await connection.channel())

        async def echo(data: Any) -> Any:
            return await rpc.call("echo", kwargs={"data": data})

        yield echo

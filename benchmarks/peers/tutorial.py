"""aio-pika as its RPC tutorial uses it: docs.aio-pika.com, "Remote procedure call (RPC)".

The server iterates over its queue and answers one call after the other within ``message.process(requeue=False)``; the
client has an exclusive reply queue without acknowledgements. Publishing waits for the confirm: aio-pika's default.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika

from benchmarks.load import Echo
from benchmarks.payload import dumps, loads

QUEUE = "rpc_queue"


async def answer(channel: aio_pika.abc.AbstractChannel, queue: aio_pika.abc.AbstractQueue) -> None:
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process(requeue=False):
                assert message.reply_to is not None
                body = dumps(loads(message.body))
                reply = aio_pika.Message(body=body, correlation_id=message.correlation_id)
                await channel.default_exchange.publish(reply, routing_key=message.reply_to)


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    connection = await aio_pika.connect(address)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(QUEUE)
        task = asyncio.create_task(answer(channel, queue))
        yield
        task.cancel()


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    waiting: dict[str, asyncio.Future[Any]] = {}
    connection = await aio_pika.connect(address)
    async with connection:
        channel = await connection.channel()
        replies = await channel.declare_queue(exclusive=True)

        async def on_reply(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            assert message.correlation_id is not None
            waiting.pop(message.correlation_id).set_result(loads(message.body))

        async def echo(data: Any) -> Any:
            key = str(uuid.uuid4())
            waiting[key] = future = asyncio.get_running_loop().create_future()
            message = aio_pika.Message(
                dumps(data), content_type="application/json", correlation_id=key, reply_to=replies.name
            )
            await channel.default_exchange.publish(message, routing_key=QUEUE)
            return await future

        await replies.consume(on_reply, no_ack=True)
        yield echo

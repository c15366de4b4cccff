"""The consumers of one instance, and the order in which they come and go."""

import asyncio
from contextlib import suppress

from contracts.errors import TransportError
from contracts.registry import RegisterAnswer
from plugin_runtime.announcements import InstanceQueue
from plugin_runtime.calls.client import CallClient
from plugin_runtime.calls.server import CallServer
from plugin_runtime.context import Deadline
from plugin_runtime.definition import Definition
from plugin_runtime.events.consumer import EventConsumer
from plugin_runtime.transport.base import Consumer, Transport

REPLY_PREFETCH = 1000
INSTANCE_PREFETCH = 100
QUEUE_EMPTY_POLL_SECONDS = 0.02


class Consumers:
    """Consumes the queues that a registration named.

    ``inward`` is what the instance hears for itself (replies, announcements); ``work`` is what it does for others.
    """

    def __init__(
        self,
        transport: Transport,
        definition: Definition,
        *,
        client: CallClient,
        server: CallServer,
        events: EventConsumer,
        own: InstanceQueue,
        concurrency: int,
    ) -> None:
        self._transport = transport
        self._definition = definition
        self._client = client
        self._server = server
        self._events = events
        self._own = own
        self._concurrency = concurrency
        self._inward: list[Consumer] = []
        self._work: list[Consumer] = []

    def __bool__(self) -> bool:
        """Whether anything was ever consumed."""
        return bool(self._inward)

    async def start(self, answer: RegisterAnswer) -> None:
        """Consume replies and announcements, then subscriptions, then calls."""
        await self._listen(answer)
        for mark in self._definition.marks:
            if not mark.broadcast:
                queue = answer.subscription_queues[mark.name]
                on_delivery = self._events.for_subscription(mark)
                self._work.append(
                    await self._transport.consume(queue, on_delivery, prefetch=self._concurrency, role=mark.name)
                )
        for name, queue in answer.call_queues.items():
            self._work.append(await self._consume_calls(name, queue))

    async def until_empty(self, queues: list[str], deadline: Deadline) -> None:
        """Wait until nothing is left in these queues, or another consumer is there to take it."""
        for queue in queues:
            with suppress(TransportError):
                while not deadline.is_spent:
                    depth = await self._transport.depth(queue)
                    if depth.messages == 0 or depth.consumers > 1:
                        break
                    await asyncio.sleep(QUEUE_EMPTY_POLL_SECONDS)

    async def stop_working(self) -> None:
        """Receive no more calls and events."""
        for consumer in self._work:
            await consumer.cancel()

    async def take_leftovers(self, answer: RegisterAnswer, deadline: Deadline) -> None:
        """Run what waits in a queue that is left to nobody: instances that stop together each leave it to the other."""
        for name, queue in answer.call_queues.items():
            with suppress(TransportError):
                depth = await self._transport.depth(queue)
                if depth.messages == 0 or depth.consumers:
                    continue
                consumer = await self._consume_calls(name, queue)
                while depth.messages and not deadline.is_spent:
                    await asyncio.sleep(QUEUE_EMPTY_POLL_SECONDS)
                    depth = await self._transport.depth(queue)
                await consumer.cancel()

    async def stop_listening(self) -> None:
        """Receive no more replies and announcements."""
        for consumer in self._inward:
            await consumer.cancel()

    async def _consume_calls(self, name: str, queue: str) -> Consumer:
        serve = self._server.for_service(self._definition.service(name).service)
        return await self._transport.consume(queue, serve, prefetch=self._server.prefetch, role=name)

    async def _listen(self, answer: RegisterAnswer) -> None:
        # A zombie connection's consumer must not swallow replies: ours outranks it after every reconnect.
        listening = (
            (answer.reply_queue, self._client.on_reply, REPLY_PREFETCH, "replies"),
            (answer.instance_queue, self._own.on_delivery, INSTANCE_PREFETCH, "instance"),
        )
        for queue, on_delivery, prefetch, role in listening:
            consumer = await self._transport.consume(
                queue,
                on_delivery,
                prefetch=prefetch,
                role=role,
                outrank_zombies=True,
                may_linger=role == "replies",  # a reply that comes twice finds nobody waiting
            )
            self._inward.append(consumer)

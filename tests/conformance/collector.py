"""What the suite publishes with and receives with."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any, Literal

from contracts.topology import Binding, Exchange, Queue
from plugin_runtime.transport.base import Delivery, Message, Transport

WAIT_SECONDS = 10.0
Kind = Literal["classic", "quorum"]
_ids = itertools.count(1)


def make_message(body: bytes | str = b"{}", **fields: Any) -> Message:
    """A message that is valid by default, with an id of its own."""
    content = body.encode() if isinstance(body, str) else body
    return Message(**{"body": content, "type": "event", "message_id": f"m-{next(_ids)}"} | fields)


class Collector:
    """Keeps every delivery; `received` waits for so many."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._arrived = asyncio.Event()

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._arrived.set()

    @property
    def bodies(self) -> list[str]:
        """The bodies received so far."""
        return [one.message.body.decode() for one in self.deliveries]

    async def received(self, count: int = 1, timeout: float = WAIT_SECONDS) -> list[Delivery]:
        """Wait until ``count`` deliveries have come, and return all."""
        async with asyncio.timeout(timeout):
            while len(self.deliveries) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return list(self.deliveries)

    async def acknowledged(self, count: int = 1) -> list[Delivery]:
        """Wait for ``count`` deliveries and acknowledge all that came."""
        deliveries = await self.received(count)
        for delivery in deliveries:
            await delivery.acknowledge()
        return deliveries


async def lay(transport: Transport, queue: Queue, *keys: str, exchange: str = "x") -> None:
    """Declare a topic exchange and a queue, and bind it under each key."""
    await transport.declare_exchange(Exchange(exchange))
    await transport.declare_queue(queue)
    for key in keys:
        await transport.bind(Binding(queue.name, exchange, key))


async def publish_all(transport: Transport, bodies: Iterable[str], *, key: str = "k", exchange: str = "x") -> None:
    """Publish one after the other."""
    for body in bodies:
        await transport.publish(make_message(body), exchange=exchange, routing_key=key)

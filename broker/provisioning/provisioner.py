"""The one hand on RabbitMQ's topology: declares, binds and unbinds what plans say. Everything is idempotent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import structlog

from broker.provisioning.plan import Plan
from contracts.errors import BrokerLockedError, LockedQueueError, MissingQueueError
from contracts.topology import Binding, Queue, Topology
from plugin_runtime.transport.base import QueueDepth, Transport

AT_ONCE = 8
"""How many queues or bindings are made at once: RabbitMQ does eight in about half the time that it takes one by one."""

T = TypeVar("T")

_log = structlog.get_logger()


class Provisioner:
    """Applies plans.

    Args:
        transport: The broker's own connection; not closed here.
        topology: The names of this bus.
    """

    def __init__(self, transport: Transport, topology: Topology) -> None:
        self._transport = transport
        self.topology = topology
        # Quorum queues never expire, and to declare one takes RabbitMQ tens of milliseconds.
        self._declared: set[Queue] = set()

    async def take_lock(self) -> None:
        """Take the lock that makes this process the bus's only broker; its holder may take it again at any time.

        Raises:
            BrokerLockedError: Another broker holds it.
        """
        lock = self.topology.lock_queue()
        try:
            await self._transport.declare_queue(lock)
        except LockedQueueError as error:
            raise BrokerLockedError(
                f"another broker holds queue '{lock.name}': stop that one, or give this one a vhost or a prefix of "
                "its own; after a crash RabbitMQ frees the queue when it notices the lost connection, within a minute"
            ) from error

    async def declare_exchanges(self) -> None:
        """Declare every exchange of the bus."""
        for exchange in self.topology.exchanges():
            await self._transport.declare_exchange(exchange)

    async def prepare_system(self, services: Iterable[tuple[str, str]]) -> None:
        """Declare and bind the call queues of the broker's own services, once for all tenants."""
        for name, version in services:
            await self._transport.declare_queue(self.topology.system_queue(name, version))
            for binding in self.topology.system_bindings(name, version):
                await self._transport.bind(binding)

    async def declare(self, queues: Iterable[Queue]) -> None:
        """Declare queues."""
        new = sorted((queue for queue in queues if queue not in self._declared), key=lambda queue: queue.name)
        await _for_all(new, self._declare)

    async def _declare(self, queue: Queue) -> None:
        await self._transport.declare_queue(queue)
        if queue.kind == "quorum":
            self._declared.add(queue)

    async def apply(self, plan: Plan) -> None:
        """Declare and bind everything that a plan holds."""
        await self.move(Plan(), plan)

    async def move(self, before: Plan, after: Plan) -> None:
        """Make a plan out of another one: first what is new, then unbind what is no more.

        Queues are never deleted here: what waits in them may still be wanted. Ways back from a delay and to the dead
        letters stay for the same reason; an instance's own bindings go with its queue.

        Raises:
            TransportError: The first that came; what was under way beside it is over, the rest is left undone.
        """
        await self.declare(after.queues - before.queues)
        await _for_all(sorted(after.bindings - before.bindings), self._transport.bind)
        business = (self.topology.calls, self.topology.events, self.topology.data)
        past = [binding for binding in before.bindings - after.bindings if binding.exchange in business]
        await _for_all(sorted(past), self._unbind)

    async def purge_calls(self, service: str, version: str) -> None:
        """Drop the calls that wait for a service version nobody serves: their callers have been told."""
        queue = self.topology.call_queue(service, version).name
        try:
            dropped = await self._transport.purge_queue(queue)
        except MissingQueueError:
            return
        _log.info("queue.purged", queue=queue, dropped=dropped)

    async def depth(self, name: str) -> QueueDepth:
        """How many messages and consumers a queue has; `MissingQueueError` if there is no such queue."""
        return await self._transport.depth(name)

    async def delete(self, name: str) -> None:
        """Delete a queue with its messages and bindings; one that is not there is no error."""
        await self._transport.delete_queue(name)
        self._declared = {queue for queue in self._declared if queue.name != name}

    async def remove_instance(self, plugin: str, instance: str) -> None:
        """Delete the queues of an instance that is gone."""
        for queue in self.topology.instance_queues(plugin, instance):
            await self._transport.delete_queue(queue.name)

    async def remove_everything(self, names: Iterable[str]) -> int:
        """Delete queues by name, then the exchanges of the bus; return how many of the queues there were."""
        found = 0
        for name in names:
            try:
                await self._transport.depth(name)
            except MissingQueueError:
                continue
            await self._transport.delete_queue(name)
            found += 1
        for exchange in self.topology.exchanges():
            await self._transport.delete_exchange(exchange.name)
        self._declared.clear()
        return found

    def forget(self) -> None:
        """Believe no more that anything was declared: RabbitMQ may have lost it."""
        self._declared.clear()

    async def _unbind(self, binding: Binding) -> None:
        try:
            await self._transport.unbind(binding)
        except MissingQueueError:
            _log.debug("binding.gone_with_its_queue", queue=binding.queue)


async def _for_all(items: Iterable[T], operation: Callable[[T], Awaitable[None]]) -> None:
    """Run an operation for each item, in order, at most `AT_ONCE` at a time; the first error ends it and is raised."""
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            try:
                await operation(item)
            except BaseException:
                for _ in waiting:  # the others begin nothing more
                    pass
                raise

    ended = await asyncio.gather(*(work() for _ in range(AT_ONCE)), return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error

"""A consumer of the memory transport: it outlives its connection and even its queue."""

import asyncio
from dataclasses import replace

import structlog

from contracts.errors import TransportError
from plugin_runtime.transport.memory_connection import Connection, Consumption, Subscription
from plugin_runtime.transport.memory_vhost import MemoryVhost

_log = structlog.get_logger()


class MemoryConsumer:
    """A `Consumer` of the memory transport."""

    def __init__(self, vhost: MemoryVhost, consumption: Consumption, *, outrank_zombies: bool) -> None:
        self._vhost = vhost
        self._consumption = consumption
        self._outranks = outrank_zombies
        self._connection: Connection | None = None
        self._subscription: Subscription | None = None
        self._is_cancelled = False
        self._log = _log.bind(queue=consumption.queue, consumer=consumption.tag)

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self._consumption.queue

    @property
    def is_cancelled(self) -> bool:
        """Whether it will never consume again."""
        return self._is_cancelled

    def start(self, connection: Connection) -> None:
        """Consume for the first time; raises what `Transport.consume` raises."""
        self._connection = connection
        self._subscription = self._vhost.consume(connection, self._consumption, self._wait)

    def restore(self, connection: Connection) -> None:
        """Consume again on a new connection, now or as soon as the queue is there and free."""
        self._connection = connection
        if self._outranks:
            self._consumption = replace(self._consumption, priority=self._consumption.priority + 1)
        self._subscription = None
        self._resume()

    async def cancel(self) -> None:
        """Stop receiving. What was handed out already still arrives, before this returns, and can be settled."""
        if self._is_cancelled:
            return
        self.abandon()
        if self._subscription is not None:
            self._vhost.cancel(self._subscription)
        await asyncio.sleep(0)

    def abandon(self) -> None:
        """Never consume again; the subscription is left to whoever closes the connection."""
        self._is_cancelled = True

    def _wait(self) -> None:
        self._subscription = None
        self._vhost.when_available(self.queue, self._resume)

    def _resume(self) -> None:
        if self._is_cancelled or self._subscription is not None:
            return
        if self._connection is None or self._connection.is_lost:
            return  # `restore` comes with the next connection
        try:
            self._subscription = self._vhost.consume(self._connection, self._consumption, self._wait)
        except TransportError as error:
            self._log.warning("consumer.waiting", error=str(error))
            self._wait()
        else:
            self._log.info("consumer.restored", priority=self._consumption.priority)

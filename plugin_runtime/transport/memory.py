"""The transport without RabbitMQ: the semantics of the seam within one process.

::

    MemoryTransport("plugin-crm") ──┐                  ┌── exchanges ── bindings ── MemoryQueue
                                    ├── MemoryVhost ───┤
    MemoryTransport("plugin-cdp") ──┘                  └── direct reply-to addresses

Everything of one vhost runs on one event loop, without threads. Tests hurt it by `MemoryTransport.drop_connection`,
`MemoryVhost.stop` and `MemoryVhost.start`, and turn its time by a `Clock` of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from contracts.errors import NotConnectedError
from contracts.topology import Binding, Exchange, Queue
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS, Message, OnDelivery, QueueDepth
from plugin_runtime.transport.clock import Gate, sleep
from plugin_runtime.transport.memory_connection import Connection, Consumption
from plugin_runtime.transport.memory_consumer import MemoryConsumer
from plugin_runtime.transport.memory_direct import MemoryDirectCaller
from plugin_runtime.transport.memory_vhost import MemoryVhost

CONTROL_TIMEOUT_SECONDS = 30.0
"""How long declarations and the like wait for a connection."""

_log = structlog.get_logger()


class MemoryTransport:
    """A `Transport` on a `MemoryVhost`.

    Args:
        vhost: What takes RabbitMQ's place.
        identity: The login, and so the publisher of whatever is published here.
        instance: The second word of the consumer tags.
    """

    def __init__(self, vhost: MemoryVhost, *, identity: str, instance: str = "memory") -> None:
        self._vhost = vhost
        self._identity = identity
        self._instance = instance
        self._connection: Connection | None = None
        self._connected = Gate(vhost.clock, is_open=False)
        self._is_closed = False
        self._consumers: list[MemoryConsumer] = []
        self._on_reconnected: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = _log.bind(identity=identity)

    @property
    def identity(self) -> str:
        """The plugin id this transport publishes as."""
        return self._identity

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up now."""
        return self._connection is not None

    # Connecting

    async def open(self) -> None:
        """Wait until the vhost runs, however long that takes. Does nothing when connected."""
        while not self.is_connected:
            if self._is_closed:
                raise NotConnectedError("the transport is closed")
            if self._tasks:
                await self._connected.passed()  # it was lost and comes back by itself
            elif self._vhost.running.is_open:
                self._connect()
            else:
                await self._vhost.running.passed()

    async def close(self) -> None:
        """Close consumers and the connection; unsettled deliveries return to their queues. Idempotent."""
        self._is_closed = True
        self._connected.open()  # whoever waits for a connection need not wait any longer
        for consumer in self._consumers:
            consumer.abandon()
        self._consumers.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            self._vhost.disconnect(connection)
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def on_reconnected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have ``callback`` run after every connection but the first, when consumers are being restored."""
        self._on_reconnected.append(callback)

    def drop_connection(self, *, down_seconds: float = 0.0) -> None:
        """Lose the connection, as if somebody had cut the wire; for tests.

        Unsettled deliveries return to their queues at once. The next connection comes with the next turns of the
        event loop, or after ``down_seconds`` on the vhost's clock.
        """
        if self._connection is not None:
            self._vhost.disconnect(self._connection)
            self._lost(down_seconds)

    async def connection(self, timeout: float) -> Connection:
        """Wait for the connection, ``timeout`` seconds at most; raises `NotConnectedError`."""
        deadline = self._vhost.clock.now() + timeout
        while not self._is_closed and await self._connected.passed(deadline - self._vhost.clock.now()):
            if self._connection is not None:
                return self._connection
        reason = "the transport is closed" if self._is_closed else f"no connection in {timeout:g} s"
        raise NotConnectedError(reason)

    def _connect(self) -> Connection:
        self._connection = self._vhost.connect(self._identity, self._lost)
        self._connected.open()
        self._log.info("transport.connected")
        return self._connection

    def _lost(self, down_seconds: float = 0.0) -> None:
        self._connection = None
        self._connected.shut()
        self._log.warning("transport.lost")
        back_at = self._vhost.clock.now() + down_seconds
        task = asyncio.get_running_loop().create_task(self._reconnect(back_at), name=f"reconnect {self._identity}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reconnect(self, back_at: float) -> None:
        await sleep(self._vhost.clock, back_at - self._vhost.clock.now())
        while not self._vhost.running.is_open:
            await self._vhost.running.passed()
        connection = self._connect()
        for consumer in self._consumers:
            if not consumer.is_cancelled:
                consumer.restore(connection)
        for callback in self._on_reconnected:
            try:
                await callback()
            except Exception:  # noqa: BLE001 - one callback's failure must not keep the others from running
                self._log.exception("transport.callback_failed")

    # Topology

    async def declare_exchange(self, exchange: Exchange) -> None:
        """Declare a durable topic exchange. Idempotent."""
        await self.connection(CONTROL_TIMEOUT_SECONDS)
        self._vhost.declare_exchange(exchange)

    async def delete_exchange(self, name: str) -> None:
        """Delete an exchange; one that is not there is no error."""
        await self.connection(CONTROL_TIMEOUT_SECONDS)
        self._vhost.delete_exchange(name)

    async def declare_queue(self, queue: Queue) -> None:
        """Declare a queue. Idempotent; other arguments than it has are refused."""
        self._vhost.declare_queue(await self.connection(CONTROL_TIMEOUT_SECONDS), queue)

    async def delete_queue(self, name: str) -> None:
        """Delete a queue with its messages and bindings; one that is not there is no error."""
        self._vhost.delete_queue(await self.connection(CONTROL_TIMEOUT_SECONDS), name)

    async def purge_queue(self, name: str) -> int:
        """Drop the ready messages and return how many they were."""
        return self._vhost.purge_queue(await self.connection(CONTROL_TIMEOUT_SECONDS), name)

    async def depth(self, name: str) -> QueueDepth:
        """Ask for a queue's depth without changing it."""
        return self._vhost.depth(await self.connection(CONTROL_TIMEOUT_SECONDS), name)

    async def bind(self, binding: Binding) -> None:
        """Bind a queue to an exchange. Idempotent."""
        self._vhost.bind(await self.connection(CONTROL_TIMEOUT_SECONDS), binding)

    async def unbind(self, binding: Binding) -> None:
        """Take a binding away; one that is not there is no error."""
        await self.connection(CONTROL_TIMEOUT_SECONDS)
        self._vhost.unbind(binding)

    # Messages

    async def publish(
        self,
        message: Message,
        *,
        exchange: str,
        routing_key: str,
        mandatory: bool = True,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> None:
        """Publish; the message is in its queues when this returns.

        Cancelled, it may have been published or not, as with RabbitMQ. `UnconfirmedPublishError` never comes.
        """
        connection = await self.connection(timeout)
        await self.publish_on(connection, message, exchange=exchange, routing_key=routing_key, mandatory=mandatory)

    def publish_soon(
        self,
        message: Message,
        *,
        exchange: str,
        routing_key: str,
        mandatory: bool = True,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> asyncio.Future[None]:
        """Publish from a plain function; see `Transport.publish_soon`."""
        return asyncio.ensure_future(
            self.publish(message, exchange=exchange, routing_key=routing_key, mandatory=mandatory, timeout=timeout)
        )

    async def publish_on(
        self, connection: Connection, message: Message, *, exchange: str, routing_key: str, mandatory: bool
    ) -> None:
        """Publish on this connection and no other."""
        self._vhost.publish(connection, message, exchange=exchange, routing_key=routing_key, mandatory=mandatory)
        # A confirm takes a turn of the loop, or a busy publisher would let nobody else run.
        await asyncio.sleep(0)
        if connection.is_lost:
            raise NotConnectedError("the connection was lost before the confirm: the message may have been stored")

    async def consume(
        self,
        queue: str,
        on_delivery: OnDelivery,
        *,
        prefetch: int,
        role: str,
        no_ack: bool = False,
        exclusive: bool = False,
        priority: int = 0,
        outrank_zombies: bool = False,
        may_linger: bool = False,  # noqa: ARG002 - nothing travels here
    ) -> MemoryConsumer:
        """Start to consume a queue; see `Transport.consume`."""
        connection = await self.connection(CONTROL_TIMEOUT_SECONDS)
        consumption = Consumption(
            queue=queue,
            tag=f"{self._identity}/{self._instance}/{role}",
            on_delivery=on_delivery,
            prefetch=prefetch,
            no_ack=no_ack,
            exclusive=exclusive,
            priority=priority,
        )
        consumer = MemoryConsumer(self._vhost, consumption, outrank_zombies=outrank_zombies)
        consumer.start(connection)
        self._consumers = [other for other in self._consumers if not other.is_cancelled] + [consumer]
        return consumer

    def direct_caller(self, on_reply: OnDelivery) -> MemoryDirectCaller:
        """A direct reply-to caller; enter it with ``async with``."""
        return MemoryDirectCaller(self, self._vhost.replies, on_reply)

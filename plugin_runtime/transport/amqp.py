"""The transport that speaks to RabbitMQ.

Two connections, so that a memory or disk alarm, which stops publishers, does not stop consumers::

    {plugin}/{instance}/publish   one channel to publish, up to eight to declare and bind, one for each direct caller
    {plugin}/{instance}/consume   one channel for each consumer
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import structlog
from aiormq.channel import Channel

from contracts.errors import MissingQueueError, NotConnectedError, StartError
from contracts.topology import Binding, Exchange, Queue, connection_name
from plugin_runtime.transport.address import Address
from plugin_runtime.transport.amqp_consumer import AmqpConsumer, Consumption
from plugin_runtime.transport.amqp_direct import AmqpDirectCaller
from plugin_runtime.transport.amqp_errors import CLIENT_ERRORS, translate, was_cancelled
from plugin_runtime.transport.amqp_messages import arguments_of
from plugin_runtime.transport.amqp_publisher import Outgoing, Publisher
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS, Message, OnDelivery, QueueDepth
from plugin_runtime.transport.connection import ReopeningChannel, SupervisedConnection

CONTROL_TIMEOUT_SECONDS = 30.0
CONTROL_CHANNELS = 8
"""A channel does one control operation after the other; so many bindings are made at once."""

T = TypeVar("T")
_log = structlog.get_logger()


class AmqpTransport:
    """Speaks to RabbitMQ for one plugin instance; see `Transport`.

    Args:
        url: ``amqp://`` or ``amqps://``.
        identity: The plugin id. If it is also the login of the URL, RabbitMQ vouches for every message.
        instance: The instance id, for the names of connections and consumers.
        insecure: Whether publishers are believed without RabbitMQ's word, also off loopback.
        patient: Whether `open` waits for a RabbitMQ that is away, rather than to raise what the first attempt found.

    Raises:
        InvalidUrlError: The URL is no address of RabbitMQ.
    """

    def __init__(self, url: str, *, identity: str, instance: str, insecure: bool = False, patient: bool = True) -> None:
        self._address = Address.parse(url)
        self._identity = identity
        self._instance = instance
        self._insecure = insecure
        self._patient = patient
        self._is_verified = self._address.login == identity
        self._believes = insecure or self._address.is_loopback
        self._publish_connection = self._connection("publish")
        self._consume_connection = self._connection("consume")
        self._publisher = Publisher(ReopeningChannel(self._publish_connection, publishes=True).ready)
        # Opened when they are needed; the one given back last is taken first, so that mostly there is one.
        self._controls = [ReopeningChannel(self._publish_connection, publishes=False) for _ in range(CONTROL_CHANNELS)]
        self._control_turn = asyncio.Semaphore(CONTROL_CHANNELS)
        self._consumers: set[AmqpConsumer] = set()
        self._reconnected: list[Callable[[], Awaitable[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def identity(self) -> str:
        """The plugin id this transport publishes as."""
        return self._identity

    @property
    def is_connected(self) -> bool:
        """Whether both connections are up now."""
        return self._publish_connection.is_connected and self._consume_connection.is_connected

    async def open(self) -> None:
        """Connect, however long that takes; see `Transport.open`.

        Raises:
            NotConnectedError: RabbitMQ is away, and this transport is not patient.
            StartError: RabbitMQ could not vouch for this plugin, and it is not on this machine.
        """
        if not self._is_verified:
            self._admit_unverified()
        try:
            await self._publish_connection.open()
            await self._consume_connection.open()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close consumers and connections; unsettled deliveries return to their queues."""
        for task in self._tasks:
            task.cancel()
        consumers, self._consumers = self._consumers, set()
        await asyncio.gather(*self._tasks, *(one.abandon() for one in consumers), return_exceptions=True)
        await asyncio.gather(self._consume_connection.close(), self._publish_connection.close())

    def on_reconnected(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have ``callback`` run when a connection came back and both are up."""
        self._reconnected.append(callback)

    async def declare_exchange(self, exchange: Exchange) -> None:
        """Declare a durable topic exchange."""
        await self._ask(lambda channel: channel.exchange_declare(exchange.name, exchange_type="topic", durable=True))

    async def delete_exchange(self, name: str) -> None:
        """Delete an exchange."""
        await self._ask(lambda channel: channel.exchange_delete(name))

    async def declare_queue(self, queue: Queue) -> None:
        """Declare a queue; an exclusive one belongs to the publish connection and goes with it."""
        await self._ask(
            lambda channel: channel.queue_declare(
                queue.name, durable=not queue.exclusive, exclusive=queue.exclusive, arguments=arguments_of(queue)
            )
        )

    async def delete_queue(self, name: str) -> None:
        """Delete a queue with its messages and bindings."""
        await self._ask(lambda channel: channel.queue_delete(name))

    async def purge_queue(self, name: str) -> int:
        """Drop the ready messages and return how many they were."""
        purged = await self._ask(lambda channel: channel.queue_purge(name))
        return purged.message_count or 0

    async def depth(self, name: str) -> QueueDepth:
        """Ask for a queue's depth."""
        declared = await self._ask(lambda channel: channel.queue_declare(name, passive=True))
        return QueueDepth(messages=declared.message_count or 0, consumers=declared.consumer_count or 0)

    async def bind(self, binding: Binding) -> None:
        """Bind a queue to an exchange."""
        await self._ask(lambda channel: channel.queue_bind(binding.queue, binding.exchange, binding.routing_key))

    async def unbind(self, binding: Binding) -> None:
        """Take a binding away; a queue or exchange that is not there has none."""
        try:
            await self._ask(lambda channel: channel.queue_unbind(binding.queue, binding.exchange, binding.routing_key))
        except MissingQueueError as error:
            _log.debug("binding.missing", error=str(error))

    async def publish(
        self,
        message: Message,
        *,
        exchange: str,
        routing_key: str,
        mandatory: bool = True,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> None:
        """Publish and wait for the publisher confirm; see `Transport.publish`."""
        outgoing = Outgoing(
            message=self._signed(message), exchange=exchange, routing_key=routing_key, mandatory=mandatory
        )
        await self._publisher.publish(outgoing, timeout=timeout)

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
        may_linger: bool = False,
    ) -> AmqpConsumer:
        """Start to consume a queue on a channel of its own; see `Transport.consume`."""
        consumption = Consumption(
            queue=queue,
            tag=connection_name(self._identity, self._instance, role),
            prefetch=prefetch,
            no_ack=no_ack,
            exclusive=exclusive,
            priority=priority,
            outrank_zombies=outrank_zombies,
            may_linger=may_linger,
        )
        consumer = self._consumer(consumption, on_delivery)
        await consumer.start()
        self._consumers = {one for one in self._consumers if not one.is_cancelled} | {consumer}
        return consumer

    def direct_caller(self, on_reply: OnDelivery) -> AmqpDirectCaller:
        """A direct reply-to caller; enter it with ``async with``."""
        return AmqpDirectCaller(self._publish_connection, on_reply, self._vouch, self._signed)

    def _connection(self, role: str) -> SupervisedConnection:
        name = connection_name(self._identity, self._instance, role)
        return SupervisedConnection(self._address, name=name, on_restored=self._on_restored, patient=self._patient)

    def _consumer(self, consumption: Consumption, on_delivery: OnDelivery) -> AmqpConsumer:
        return AmqpConsumer(self._consume_connection, consumption, on_delivery, self._vouch)

    def _admit_unverified(self) -> None:
        if not self._address.is_loopback and not self._insecure:
            raise StartError(
                f"RabbitMQ at {self._address.shown} cannot vouch for '{self._identity}', since the login is"
                f" '{self._address.login}': give the plugin its own RabbitMQ user '{self._identity}',"
                " or set PLEXICA_INSECURE=yes to believe every publisher"
            )
        _log.warning("identity.unverified", identity=self._identity, login=self._address.login)

    def _signed(self, message: Message) -> Message:
        verified = self._identity if self._is_verified else None
        return replace(message, app_id=self._identity, user_id=message.user_id or verified)

    def _vouch(self, message: Message) -> str | None:
        # A plugin with a user of its own never falls back to app_id: anybody could write there what he likes.
        if message.user_id or self._is_verified:
            return message.user_id
        return message.app_id if self._believes else None

    async def _ask(self, operation: Callable[[Channel], Awaitable[T]]) -> T:
        """Run one operation on a free control channel, which an error closes and the next operation opens again."""
        try:
            async with asyncio.timeout(CONTROL_TIMEOUT_SECONDS), self._control_turn:
                control = self._controls.pop()
                try:
                    return await operation(await control.ready())
                except BaseException:
                    control.discard()
                    raise
                finally:
                    self._controls.append(control)
        except TimeoutError as error:
            raise NotConnectedError(f"RabbitMQ did not answer in {CONTROL_TIMEOUT_SECONDS:g} s") from error
        except asyncio.CancelledError as error:
            if was_cancelled():
                raise
            raise translate(error) from error
        except CLIENT_ERRORS as error:
            raise translate(error) from error

    def _on_restored(self) -> None:
        if self.is_connected:
            task = asyncio.create_task(self._run_callbacks(), name=f"{self._identity} reconnected")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_callbacks(self) -> None:
        for callback in self._reconnected:
            try:
                await callback()
            except Exception:  # noqa: BLE001 - one plugin callback must not stop the others
                _log.exception("transport.callback_failed", identity=self._identity)

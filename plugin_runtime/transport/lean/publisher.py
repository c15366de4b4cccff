"""Publishing with confirms, without a task, a lock or a timer for each.

While RabbitMQ and the socket take messages, a publish is encoded and sent in the caller's own turn of the event loop,
and one future waits for its confirm. Otherwise (no connection, an alarm, Channel.Flow, a full socket) publishes wait in
line, so that they reach their queues in the order of the calls.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from contracts.errors import NotConnectedError, ReturnedMessageError, TransportError, UnconfirmedPublishError
from plugin_runtime.transport.amqp_publisher import Outgoing, fate_of, refused
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.lean import methods
from plugin_runtime.transport.lean.channel import Content, Taken
from plugin_runtime.transport.lean.confirms import ConfirmTable, Publication
from plugin_runtime.transport.lean.framing import content_frames
from plugin_runtime.transport.lean.properties import UnreadableError, content_header, read_message
from plugin_runtime.transport.lean.wire import Wire

Waiting = Publication[asyncio.Future[None]]


class PublishChannel(Taken):
    """A channel in confirm mode.

    Args:
        wire: The connection's traffic.
        number: The channel's number.
        app_id: The plugin that publishes.
        login: What RabbitMQ checks as the publisher, unless a message names another; None for nothing.
    """

    def __init__(self, wire: Wire, number: int, *, app_id: str, login: str | None) -> None:
        super().__init__(wire, number)
        self._app_id = app_id
        self._login = login
        self._table: ConfirmTable[asyncio.Future[None]] = ConfirmTable()
        self._loop = asyncio.get_running_loop()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def may_publish(self) -> bool:
        """Whether a publish would go straight to the socket."""
        return self.is_open and self.flows and self._wire.may_publish

    @property
    def obstacle(self) -> str:
        """Why a publish has to wait."""
        if self._wire.blocked is not None:
            return f"RabbitMQ takes no messages ({self._wire.blocked})"
        return "RabbitMQ holds messages back" if self.is_open else "no connection to RabbitMQ"

    async def changed(self) -> None:
        """Wait until something may have changed about `may_publish`."""
        await self._wire.changed()

    def publish(
        self, message: Message, exchange: str, routing_key: str, *, mandatory: bool, timeout: float
    ) -> asyncio.Future[None]:
        """Send a message; the future is done with its confirm, or has one of the errors of `Transport.publish`.

        Raises:
            TypeError: Something of it cannot be said in AMQP; nothing was sent.
        """
        method = methods.publish(exchange, routing_key, mandatory=mandatory)
        header = content_header(message, app_id=self._app_id, user_id=message.user_id or self._login)
        # Before the table learns of it: what cannot be said would shift the numbers of all later publishes.
        frames = content_frames(self.number, method, header, message.body, self._wire.frame_max)
        waiter = self._loop.create_future()
        deadline = self._loop.time() + timeout
        self._table.add(Publication(message, exchange, routing_key, waiter), deadline)
        if self._alarm is None or deadline < self._alarm.when():
            self._set_alarm(deadline)
        self._wire.send(frames)
        return waiter

    def on_confirm(self, number: int, *, multiple: bool, positive: bool) -> None:
        """RabbitMQ stored it, or a queue refused it."""
        for found in self._table.confirmed(number, multiple=multiple):
            if not found.waiter.done():
                if positive:
                    found.waiter.set_result(None)
                else:
                    found.waiter.set_exception(refused(found.exchange, found.routing_key))

    def on_content(self, content: Content) -> None:
        """A message came back: no queue is bound."""
        if content.kind != methods.BASIC_RETURN:
            return
        came_back = methods.parse_return(content.method)
        try:
            exchange, routing_key = came_back.exchange.decode(), came_back.routing_key.decode()
            message = read_message(content.header, b"")
        except (UnreadableError, UnicodeDecodeError):
            return  # none of ours; it would have been refused before it was sent
        found = self._table.returned(message.message_id, exchange, routing_key)
        if found is not None:
            _fail(found, ReturnedMessageError(exchange, routing_key))

    def on_end(self, error: Exception) -> None:
        """The channel is gone: the publish that RabbitMQ names hears why, for the others the outcome is unknown."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for found in self._table.take_all():
            signed = replace(found.message, user_id=found.message.user_id or self._login)
            outgoing = Outgoing(message=signed, exchange=found.exchange, routing_key=found.routing_key)
            _fail(found, fate_of(error, outgoing))

    def collect(self, *, all_of_them: bool = False) -> None:
        """Nothing is delivered here."""

    def _set_alarm(self, moment: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(moment, self._give_up)

    def _give_up(self) -> None:
        self._alarm = None
        for found in self._table.expired(self._loop.time()):
            _fail(found, UnconfirmedPublishError("no confirm in time: the message may or may not have been stored"))
        following = self._table.next_deadline()
        if following is not None:
            self._set_alarm(following)


class LeanPublisher:
    """Publishes on one channel after the other, in the order of the calls.

    Args:
        open_channel: Opens the next channel, waiting until there is a connection.
    """

    def __init__(self, open_channel: Callable[[], Awaitable[PublishChannel]]) -> None:
        self._open_channel = open_channel
        self._channel: PublishChannel | None = None
        self._turn = asyncio.Lock()
        self._in_line = 0

    def publish_soon(
        self, message: Message, *, exchange: str, routing_key: str, mandatory: bool, timeout: float
    ) -> asyncio.Future[None]:
        """Publish; the future is done with ``Basic.Ack``, or has one of the errors of `Transport.publish`."""
        channel = self._channel
        if channel is not None and not self._in_line and channel.may_publish:
            return channel.publish(message, exchange, routing_key, mandatory=mandatory, timeout=timeout)
        # In line from now on, not from the task's first turn: what is published meanwhile must not overtake.
        self._in_line += 1
        return asyncio.ensure_future(self._publish_in_turn(message, exchange, routing_key, mandatory, timeout))

    async def _publish_in_turn(
        self, message: Message, exchange: str, routing_key: str, mandatory: bool, timeout: float
    ) -> None:
        began = asyncio.get_running_loop().time()
        channel = await self._admitted(timeout)
        timeout -= asyncio.get_running_loop().time() - began
        # No await since the channel was found free: nobody overtakes.
        await channel.publish(message, exchange, routing_key, mandatory=mandatory, timeout=timeout)

    async def _admitted(self, timeout: float) -> PublishChannel:
        """Wait in line for a channel that takes messages."""
        try:
            async with asyncio.timeout(timeout), self._turn:
                while True:
                    channel = self._channel
                    if channel is None or not channel.is_open:
                        channel = self._channel = await self._open_channel()
                    if channel.may_publish:
                        return channel
                    await channel.changed()
        except TimeoutError as error:
            obstacle = self._channel.obstacle if self._channel else "no connection to RabbitMQ"
            raise NotConnectedError(f"{obstacle}; in {timeout:g} s nothing was published") from error
        finally:
            self._in_line -= 1


def _fail(publication: Waiting, error: TransportError) -> None:
    if not publication.waiter.done():
        publication.waiter.set_exception(error)

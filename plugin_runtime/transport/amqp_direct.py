"""Direct reply-to: a request and its reply without a queue of one's own."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from contracts.errors import NotConnectedError
from contracts.topology import DIRECT_REPLY_TO
from plugin_runtime.transport.amqp_consumer import AmqpDelivery, Vouch
from plugin_runtime.transport.amqp_errors import CLIENT_ERRORS, close_quietly, translate, was_cancelled
from plugin_runtime.transport.amqp_messages import message_of
from plugin_runtime.transport.amqp_publisher import Outgoing, Publisher
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS, Message, OnDelivery
from plugin_runtime.transport.connection import SupervisedConnection, is_open

Sign = Callable[[Message], Message]
"""Puts the publisher's own identity on a message."""


class AmqpDirectCaller:
    """Consumes ``amq.rabbitmq.reply-to`` and publishes on that same channel, as RabbitMQ demands."""

    def __init__(self, connection: SupervisedConnection, on_reply: OnDelivery, vouch: Vouch, sign: Sign) -> None:
        self._connection = connection
        self._on_reply = on_reply
        self._vouch = vouch
        self._sign = sign
        self._channel: Channel | None = None
        self._publisher = Publisher(self._ready)

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                self._channel = await self._connection.open_channel(publishes=True)
                await self._channel.basic_consume(DIRECT_REPLY_TO, self._receive, no_ack=True)
        except CLIENT_ERRORS as error:
            raise translate(error) from error
        except asyncio.CancelledError as error:
            if was_cancelled():
                raise
            raise translate(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await close_quietly(channel, PUBLISH_TIMEOUT_SECONDS)

    async def publish(
        self, message: Message, *, exchange: str, routing_key: str, timeout: float = PUBLISH_TIMEOUT_SECONDS
    ) -> None:
        """Publish with ``reply_to`` set to the direct reply-to pseudo queue; mandatory, confirmed."""
        addressed = replace(self._sign(message), reply_to=DIRECT_REPLY_TO)
        await self._publisher.publish(
            Outgoing(message=addressed, exchange=exchange, routing_key=routing_key), timeout=timeout
        )

    async def _ready(self) -> Channel:
        if self._channel is None or not is_open(self._channel):
            raise NotConnectedError("the direct reply-to channel was lost; replies to it will not come")
        return self._channel

    async def _receive(self, received: DeliveredMessage) -> None:
        message = message_of(received)
        self._on_reply(AmqpDelivery(received, message, self._vouch(message), None))

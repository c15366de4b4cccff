"""Publishing with confirms: who waits for what, and which error tells which fate of a message.

One bad publish closes its channel and everything in flight on it. The guilty one hears why; for the others the
outcome is unknown. The channel is opened again for the next publish.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from aiormq.channel import Channel
from aiormq.exceptions import AMQPChannelError, DeliveryError, PublishError
from pamqp.commands import Basic

from contracts.errors import (
    NotConnectedError,
    RejectedPublishError,
    ReturnedMessageError,
    TransportError,
    UnconfirmedPublishError,
)
from plugin_runtime.transport.amqp_errors import CLIENT_ERRORS, is_to_blame, translate, was_cancelled
from plugin_runtime.transport.amqp_messages import properties_of
from plugin_runtime.transport.base import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message and where it goes."""

    message: Message
    exchange: str
    routing_key: str
    mandatory: bool = True


class Publisher:
    """Publishes on one channel after the other, in the order of the calls.

    Args:
        ready: Gives the channel to publish on, waiting until there is one.
    """

    def __init__(self, ready: Callable[[], Awaitable[Channel]]) -> None:
        self._ready = ready
        self._turn = asyncio.Lock()
        self._in_flight: dict[str, asyncio.Future[None]] = {}

    async def publish(self, outgoing: Outgoing, *, timeout: float) -> None:
        """Publish and wait for ``Basic.Ack``; the errors are those of `Transport.publish`."""
        handed_over = False
        try:
            async with asyncio.timeout(timeout), self._alone(outgoing.message.message_id):
                # The lock is fair and nothing below it waits before the client's own fair lock: the order stays.
                async with self._turn:
                    channel = await self._ready()
                handed_over = True
                confirm = await _send(channel, outgoing)
        except TimeoutError as error:
            raise _too_late(timeout, handed_over=handed_over) from error
        except asyncio.CancelledError as error:
            if was_cancelled():
                raise
            raise translate(error) from error
        except CLIENT_ERRORS as error:
            raise fate_of(error, outgoing) from error
        if not isinstance(confirm, Basic.Ack):
            raise UnconfirmedPublishError(f"RabbitMQ answered {type(confirm).__name__} instead of Basic.Ack")

    @contextlib.asynccontextmanager
    async def _alone(self, message_id: str) -> AsyncIterator[None]:
        """Keep two messages with one id from being in flight together.

        The AMQP client finds the publish of a returned message by its id: the first of the two would look confirmed.
        """
        while (earlier := self._in_flight.get(message_id)) is not None:
            await asyncio.wait([earlier])
        self._in_flight[message_id] = done = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._in_flight[message_id]
            done.set_result(None)


async def _send(channel: Channel, outgoing: Outgoing) -> object:
    return await channel.basic_publish(
        outgoing.message.body,
        exchange=outgoing.exchange,
        routing_key=outgoing.routing_key,
        properties=properties_of(outgoing.message),
        mandatory=outgoing.mandatory,
    )


def fate_of(error: Exception, outgoing: Outgoing) -> TransportError:
    """What an error of the AMQP client means for one publish that was in flight when it came."""
    if isinstance(error, PublishError):
        return ReturnedMessageError(outgoing.exchange, outgoing.routing_key)
    if isinstance(error, DeliveryError):
        return refused(outgoing.exchange, outgoing.routing_key)
    if isinstance(error, AMQPChannelError) and not is_to_blame(
        error, outgoing.message, outgoing.exchange, outgoing.routing_key
    ):
        return NotConnectedError(f"another publish made RabbitMQ close the channel: {error}")
    return translate(error)


def refused(exchange: str, routing_key: str) -> RejectedPublishError:
    """The error for Basic.Nack."""
    return RejectedPublishError(f"a queue refused the message for exchange '{exchange}', routing key '{routing_key}'")


def _too_late(timeout: float, *, handed_over: bool) -> TransportError:
    if handed_over:
        return UnconfirmedPublishError(f"no confirm in {timeout:g} s: the message may or may not have been stored")
    return NotConnectedError(f"no connection to RabbitMQ in {timeout:g} s; nothing was published")

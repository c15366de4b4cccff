"""Errors of the AMQP client, as errors of the bus: one table, and who is to blame for a closed channel."""

import asyncio

from aiormq.channel import Channel, exception_by_code
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from pamqp.commands import Channel as ChannelMethods
from pamqp.exceptions import PAMQPException

from contracts.errors import (
    LockedQueueError,
    MissingQueueError,
    NotConnectedError,
    PublisherRefusedError,
    TransportError,
)
from plugin_runtime.transport.base import Message

DEFAULT_EXCHANGE_IN_TEXTS = "amq.default"

# The first row whose class and fragment of RabbitMQ's text match decides.
_TABLE: tuple[tuple[type[Exception], str, type[TransportError]], ...] = (
    (ChannelNotFoundEntity, "", MissingQueueError),
    (ChannelAccessRefused, "in exclusive use", TransportError),
    (ChannelAccessRefused, "", PublisherRefusedError),
    (ChannelPreconditionFailed, "user_id", PublisherRefusedError),
    (ChannelPreconditionFailed, "", TransportError),
    (ChannelLockedResource, "", LockedQueueError),
)

CLIENT_ERRORS = (OSError, RuntimeError, StopAsyncIteration, AMQPError, PAMQPException)
"""What the AMQP client raises: its own errors, those of the socket, and RuntimeError for what is closed already."""


def translate(error: BaseException) -> TransportError:
    """The error of the bus for an error of the AMQP client on a connection that was up; chain it with ``from``.

    Whatever the table does not name is a lost connection. Why one could not be made, `connect_error` says.
    """
    text = str(error) or type(error).__name__
    for kind, fragment, meaning in _TABLE:
        if isinstance(error, kind) and fragment in text:
            return meaning(text)
    return NotConnectedError(f"the connection to RabbitMQ was lost: {text}")


def channel_error(code: int | None, text: str) -> Exception:
    """The AMQP client's error for a channel that RabbitMQ closed with this code."""
    return exception_by_code(ChannelMethods.Close(reply_code=code, reply_text=text, class_id=0, method_id=0))


def was_cancelled() -> bool:
    """Whether the current task was asked to stop.

    The AMQP client raises `asyncio.CancelledError` when a stuck connection is given up. Nobody asked for that one.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_to_blame(error: BaseException, message: Message, exchange: str, routing_key: str) -> bool:
    """Whether this publish made RabbitMQ close the channel; all others in flight on it only share its fate.

    AMQP does not say which publish it was, so RabbitMQ's text must name something of it.
    """
    text = str(error)
    if isinstance(error, ChannelPreconditionFailed):
        return f"user_id property set to '{message.user_id}'" in text or f"message size {len(message.body)} " in text
    if isinstance(error, ChannelAccessRefused) and "topic '" in text:
        return f"topic '{routing_key}' in exchange '{exchange}'" in text
    name = exchange or DEFAULT_EXCHANGE_IN_TEXTS
    return isinstance(error, ChannelNotFoundEntity | ChannelAccessRefused) and f"exchange '{name}'" in text


async def close_quietly(channel: Channel, timeout: float) -> None:
    """Close a channel that may be lost already; how the client fails at that is of no interest."""
    try:
        await channel.close(timeout=timeout)
    except (*CLIENT_ERRORS, TimeoutError):
        return
    except asyncio.CancelledError:
        if was_cancelled():
            raise

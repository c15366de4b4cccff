"""Which error of the bus stands for which error of the AMQP client, and who is to blame."""

import pytest
from aiormq.exceptions import (
    AMQPConnectionError,
    ChannelAccessRefused,
    ChannelLockedResource,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from contracts.errors import (
    LockedQueueError,
    MissingQueueError,
    NotConnectedError,
    PublisherRefusedError,
    TransportError,
)
from plugin_runtime.transport.amqp_errors import is_to_blame, translate
from plugin_runtime.transport.base import Message

MISSING = ChannelNotFoundEntity("NOT_FOUND - no exchange 'gone' in vhost '/'")
FALSE_USER = ChannelPreconditionFailed(
    "PRECONDITION_FAILED - user_id property set to 'eve' but authenticated user was 'g'"
)
NO_WRITE = ChannelAccessRefused("ACCESS_REFUSED - access to exchange 'x' in vhost '/' refused for user 'g'")
NO_TOPIC = ChannelAccessRefused(
    "ACCESS_REFUSED - access to topic 'a.b' in exchange 'x' in vhost '/' refused for user 'g'"
)
NO_DEFAULT = ChannelAccessRefused("ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused for user 'g'")
IN_USE = ChannelAccessRefused("ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use")


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (MISSING, MissingQueueError),
        (FALSE_USER, PublisherRefusedError),
        (NO_WRITE, PublisherRefusedError),
        (IN_USE, TransportError),
        (ChannelPreconditionFailed("PRECONDITION_FAILED - inequivalent arg"), TransportError),
        (ChannelLockedResource("RESOURCE_LOCKED"), LockedQueueError),
        (AMQPConnectionError("gone"), NotConnectedError),
        (ConnectionResetError(), NotConnectedError),
    ],
)
def test_every_client_error_has_one_meaning(error: Exception, meaning: type[TransportError]) -> None:
    assert type(translate(error)) is meaning


@pytest.mark.parametrize(
    ("error", "exchange", "key", "user", "guilty"),
    [
        (MISSING, "gone", "k", None, True),
        (MISSING, "x", "k", None, False),
        (FALSE_USER, "x", "k", "eve", True),
        (FALSE_USER, "x", "k", None, False),
        (NO_WRITE, "x", "k", None, True),
        (NO_WRITE, "y", "k", None, False),
        (NO_TOPIC, "x", "a.b", None, True),
        (NO_TOPIC, "x", "a.c", None, False),
        (NO_DEFAULT, "", "q", None, True),
        (NO_DEFAULT, "x", "q", None, False),
    ],
)
def test_only_the_publish_named_in_the_text_is_to_blame(
    error: Exception, exchange: str, key: str, user: str | None, guilty: bool
) -> None:
    message = Message(body=b"", type="event", message_id="m", user_id=user)

    assert is_to_blame(error, message, exchange, key) is guilty

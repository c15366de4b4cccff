"""Transports on RabbitMQ alone, closed after the test."""

from collections.abc import AsyncIterator, Callable
from typing import get_args

import pytest

from plugin_runtime.transport import factory
from plugin_runtime.transport.amqp import AmqpTransport
from plugin_runtime.transport.factory import TransportKind
from tests.reliability.relay import Relay

MakeTransport = Callable[..., AmqpTransport]


@pytest.fixture
async def relay(vhost_url: str) -> AsyncIterator[Relay]:
    """A relay before RabbitMQ that is not open yet."""
    relay = Relay(vhost_url)
    yield relay
    await relay.close()


@pytest.fixture(params=get_args(TransportKind))
async def make_transport(request: pytest.FixtureRequest) -> AsyncIterator[MakeTransport]:
    """Makes transports of each kind that are not open yet."""
    made: list[AmqpTransport] = []

    def making(url: str, identity: str = "plugin-a", *, insecure: bool = True) -> AmqpTransport:
        made.append(factory.make_transport(request.param, url, identity=identity, instance="1", insecure=insecure))
        return made[-1]

    yield making
    for transport in made:
        await transport.close()

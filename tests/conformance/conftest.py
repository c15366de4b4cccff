"""One suite, three transports: the fixture below is all that knows the difference."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from plugin_runtime.transport.amqp import AmqpTransport
from plugin_runtime.transport.base import Transport
from plugin_runtime.transport.lean.transport import LeanTransport
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost

OpenTransport = Callable[..., Awaitable[Transport]]


ON_RABBITMQ = {"amqp": AmqpTransport, "lean": LeanTransport}


@pytest.fixture(params=["memory", *(pytest.param(name, marks=pytest.mark.rabbitmq) for name in ON_RABBITMQ)])
async def open_transport(request: pytest.FixtureRequest) -> AsyncIterator[OpenTransport]:
    """Opens transports that share one vhost, and closes them after the test."""
    opened: list[Transport] = []
    vhost = MemoryVhost() if request.param == "memory" else request.getfixturevalue("vhost_url")

    async def opening(identity: str = "plugin-a", instance: str = "1") -> Transport:
        transport: Transport
        if isinstance(vhost, MemoryVhost):
            transport = MemoryTransport(vhost, identity=identity, instance=instance)
        else:
            transport = ON_RABBITMQ[request.param](vhost, identity=identity, instance=instance, insecure=True)
        opened.append(transport)
        await transport.open()
        return transport

    yield opening
    for transport in opened:
        await transport.close()


@pytest.fixture
async def transport(open_transport: OpenTransport) -> Transport:
    return await open_transport()

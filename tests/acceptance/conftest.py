"""One suite, two transports: every story is told in memory and over RabbitMQ."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.acceptance.world import World, world_on

OpenWorld = Callable[..., Awaitable[World]]


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def open_world(request: pytest.FixtureRequest) -> AsyncIterator[OpenWorld]:
    """Opens the world of a test with settings of the broker's, e.g. ``lease_seconds``."""
    place = MemoryVhost() if request.param == "memory" else request.getfixturevalue("vhost_url")
    async with AsyncExitStack() as stack:

        async def opening(**settings: Any) -> World:
            return await stack.enter_async_context(world_on(place, **settings))

        yield opening


@pytest.fixture
async def world(open_world: OpenWorld) -> World:
    """A world in which whatever registers is installed where it asks to be."""
    return await open_world()

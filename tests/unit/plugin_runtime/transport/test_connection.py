"""The loop that connects, without RabbitMQ."""

import asyncio

import pytest

from contracts.errors import NotConnectedError
from plugin_runtime.transport.address import Address
from plugin_runtime.transport.connection import SupervisedConnection


async def test_opening_can_be_given_up_though_the_client_swallows_the_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failure in the moment of the cancellation hides it: asyncio.wait_for on Python 3.11."""
    connection = SupervisedConnection(
        Address.parse("amqp://localhost/"), name="plugin-a/1/publish", on_restored=lambda: None
    )

    async def attempt() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise NotConnectedError("refused") from None

    monkeypatch.setattr(connection, "_attempt", attempt)
    opening = asyncio.create_task(connection.open())
    await asyncio.sleep(0)
    opening.cancel()
    done, _ = await asyncio.wait({opening}, timeout=5)

    assert done == {opening}
    assert opening.cancelled()

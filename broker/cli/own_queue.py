"""A queue of the command's own: bound for as long as the command needs it, and gone with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from contracts.errors import MissingQueueError, ServiceUnavailableError
from contracts.topology import Binding, Queue
from plugin_runtime.transport.base import Transport

EXPIRES_SECONDS = 60.0
"""A queue that a killed command left behind is gone after so long."""


@asynccontextmanager
async def own_queue(transport: Transport, queue: Queue, *, exchange: str, routing_key: str) -> AsyncIterator[str]:
    """The name of a queue that is declared and bound, and is deleted at the end.

    It is not exclusive in AMQP's sense: it is declared on one of the transport's connections and consumed on the
    other. Its name is nobody else's.

    Raises:
        ServiceUnavailableError: There is no bus: no broker was ever here.
    """
    own = replace(queue, expires_seconds=EXPIRES_SECONDS)
    await transport.declare_queue(own)
    try:
        try:
            await transport.bind(Binding(own.name, exchange, routing_key))
        except MissingQueueError as error:
            raise ServiceUnavailableError(f"there is no exchange {exchange}: no broker was ever here") from error
        yield own.name
    finally:
        await transport.delete_queue(own.name)

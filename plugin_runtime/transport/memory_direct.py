"""Direct reply-to in memory: addresses without a queue behind them, and the caller who hears one.

::

    caller ── reply_to amq.rabbitmq.reply-to.{token} ──► callee
    caller ◄── default exchange, routing key amq.rabbitmq.reply-to.{token} ── callee

An address lives as long as its caller's connection. What is published to one that is gone is lost.
"""

import asyncio
import secrets
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from contracts.errors import NotConnectedError
from contracts.topology import DIRECT_REPLY_TO
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS, Message, OnDelivery
from plugin_runtime.transport.memory_connection import Connection, MemoryDelivery
from plugin_runtime.transport.memory_message import Publication, StoredMessage


@dataclass(frozen=True, slots=True)
class _Listener:
    connection: Connection
    on_reply: OnDelivery
    loop: asyncio.AbstractEventLoop


class DirectReplies:
    """The direct reply-to addresses of a vhost, each with who listens."""

    def __init__(self) -> None:
        self._listeners: dict[str, _Listener] = {}

    def open(self, connection: Connection, on_reply: OnDelivery) -> str:
        """Give a caller an address that nobody can guess."""
        address = f"{DIRECT_REPLY_TO}.{secrets.token_urlsafe(16)}"
        self._listeners[address] = _Listener(connection, on_reply, asyncio.get_running_loop())
        return address

    def close(self, address: str) -> None:
        """Take an address away. Idempotent."""
        self._listeners.pop(address, None)

    def close_all(self, connection: Connection) -> None:
        """Take every address of a lost connection away."""
        for address in [a for a, listener in self._listeners.items() if listener.connection is connection]:
            self.close(address)

    def deliver(self, publication: Publication) -> None:
        """Deliver a reply, soon, if anybody still listens."""
        address = publication.routing_key
        if (listener := self._listeners.get(address)) is not None:
            delivery = MemoryDelivery(StoredMessage(publication, 0, None), None, 0)
            listener.loop.call_soon(self._arrive, address, delivery)

    def _arrive(self, address: str, delivery: MemoryDelivery) -> None:
        if (listener := self._listeners.get(address)) is not None:
            listener.on_reply(delivery)


def is_direct_address(routing_key: str) -> bool:
    """Whether the default exchange hands this to a direct caller instead of a queue."""
    return routing_key.startswith(f"{DIRECT_REPLY_TO}.")


class PublishesOn(Protocol):
    """The transport, as a direct caller sees it."""

    async def connection(self, timeout: float) -> Connection:
        """Wait for the connection."""

    async def publish_on(
        self, connection: Connection, message: Message, *, exchange: str, routing_key: str, mandatory: bool
    ) -> None:
        """Publish on this connection and no other."""


class MemoryDirectCaller:
    """A `DirectCaller` of the memory transport."""

    def __init__(self, transport: PublishesOn, replies: DirectReplies, on_reply: OnDelivery) -> None:
        self._transport = transport
        self._replies = replies
        self._on_reply = on_reply
        self._address = ""
        self._connection: Connection | None = None

    async def publish(
        self, message: Message, *, exchange: str, routing_key: str, timeout: float = PUBLISH_TIMEOUT_SECONDS
    ) -> None:
        """Publish with this caller's address in ``reply_to``; ``timeout`` is never needed, memory confirms at once.

        Raises:
            NotConnectedError: The connection on which the caller listens was lost, or it was not entered.
        """
        _ = timeout
        if self._connection is None or self._connection.is_lost:
            raise NotConnectedError("the direct caller's connection is gone, and no reply can come")
        await self._transport.publish_on(
            self._connection,
            replace(message, reply_to=self._address),
            exchange=exchange,
            routing_key=routing_key,
            mandatory=True,
        )

    async def __aenter__(self) -> Self:
        self._connection = await self._transport.connection(PUBLISH_TIMEOUT_SECONDS)
        self._address = self._replies.open(self._connection, self._on_reply)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._replies.close(self._address)
        self._connection = None

"""A supervised connection whose socket aiormq shares with the lean data plane."""

import asyncio

import aio_pika
from aiormq.abc import AbstractConnection
from aiormq.channel import Channel

from plugin_runtime.transport.connection import CHANNEL_RETRY_SECONDS, SupervisedConnection
from plugin_runtime.transport.lean.sharing import WireFactory
from plugin_runtime.transport.lean.wire import Wire


class WiredConnection(SupervisedConnection):
    """A `SupervisedConnection` that knows the wire of each of its connections."""

    _opening: WireFactory | None = None
    _wired: tuple[AbstractConnection, Wire] | None = None

    async def open_wired(self, *, publishes: bool) -> tuple[Channel, Wire]:
        """Open a channel and say on which wire it is; see `open_channel`."""
        while True:
            channel = await self.open_channel(publishes=publishes)
            underlay, wire = self._wired or (None, None)
            # Another connection may have come up meanwhile: numbers of the old one mean nothing on it.
            if wire is not None and wire.is_open and channel.connection is underlay:
                return channel, wire
            await asyncio.sleep(CHANNEL_RETRY_SECONDS)

    def _client(self) -> aio_pika.Connection:
        connection = super()._client()
        self._opening = connection.kwargs["transport_factory"] = WireFactory(self._on_lost)
        return connection

    def _on_lost(self, wire: Wire) -> None:
        """Let nobody use the connection any more, unless it was replaced already."""
        if self._wired is not None and self._wired[1] is wire:
            self._up.clear()

    def _established(self, connection: aio_pika.Connection) -> "asyncio.Future[object]":
        closing = super()._established(connection)
        underlay = self._underlay()
        if self._opening is not None:
            wire = self._opening.wire
            wire.agree(underlay.connection_tune.frame_max)
            self._wired = underlay, wire
        return closing

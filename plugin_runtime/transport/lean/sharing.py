"""The socket of a connection: opened for aiormq through its public ``TransportFactory``, and shared with a `Wire`."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from plugin_runtime.transport.lean.framing import FramingError
from plugin_runtime.transport.lean.wire import Wire

READER_LIMIT_BYTES = 65_536
READ_BYTES = 65_536


class WireFactory(TransportFactory):
    """Opens the socket for aiormq, plain or TLS as the URL says.

    Args:
        on_lost: Called when the connection is gone.

    Attributes:
        wire: The traffic of the connection that is opened.
    """

    def __init__(self, on_lost: Callable[["Wire"], None]) -> None:
        self.wire = Wire(on_lost)

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open the socket.

        Raises:
            AMQPConnectionError: Nobody answers, or not with the certificate that is expected.
        """
        provider = kwargs.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=READER_LIMIT_BYTES, loop=loop)
        protocol = _WireProtocol(reader, self.wire, loop)
        try:
            socket, _ = await loop.create_connection(
                lambda: protocol, url.host or "", url.port or 0, ssl=context, **kwargs
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        return reader, _OrderedWriter(socket, protocol, reader, loop, self.wire)


class _WireProtocol(asyncio.StreamReaderProtocol, asyncio.BufferedProtocol):
    """The events of the socket, for the wire and then for aiormq's reader.

    It reads into one buffer of its own: by itself asyncio asks the system for 256 KiB at every read, which takes
    longer than to read a message.
    """

    def __init__(self, reader: asyncio.StreamReader, wire: Wire, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._wire = wire
        self._aiormq_reader = reader
        self._is_garbled = False
        self._buffer = memoryview(bytearray(READ_BYTES))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # A stream's transport; uvloop's is one without being a child of asyncio's class.
        self._wire.connected(cast(asyncio.Transport, transport))

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - one size does for all
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self._buffer[:nbytes]))

    def data_received(self, data: bytes) -> None:
        # uvloop comes here by itself: to it a child of asyncio.Protocol has no buffer, whatever else it is.
        if self._is_garbled:
            return
        try:
            passed_on = self._wire.received(data)
        except FramingError as error:
            # aiormq takes it for a lost connection and closes; the supervisor opens another.
            self._is_garbled = True
            self._aiormq_reader.set_exception(ConnectionResetError(str(error)))
            return
        if passed_on:
            super().data_received(passed_on)

    def eof_received(self) -> bool | None:
        self._wire.lost(None)
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wire.lost(exc)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wire.paused(is_paused=True)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._wire.paused(is_paused=False)


class _OrderedWriter(asyncio.StreamWriter):
    """What aiormq writes with."""

    def __init__(
        self,
        socket: asyncio.Transport,
        protocol: asyncio.StreamReaderProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
        wire: Wire,
    ) -> None:
        super().__init__(socket, protocol, reader, loop)
        self._wire = wire

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._wire.before(bytes(data))
        super().write(data)

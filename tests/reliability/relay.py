"""A TCP relay before RabbitMQ, so that tests can freeze the network between, cut it, listen in, or speak TLS."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.ports import free_port

CHUNK_BYTES = 65536


class Relay:
    """Relays to the host of an AMQP URL once it is open; ``url`` leads through it.

    A frozen relay swallows what comes on the connections it has; `thaw` lets new ones through again.

    Args:
        url: RabbitMQ's address.
        tls: How to speak to clients; RabbitMQ itself is always spoken to in the clear.
        overhear: Called with whatever a client sends.
    """

    def __init__(
        self, url: str, *, tls: ssl.SSLContext | None = None, overhear: Callable[[bytes], None] = lambda _: None
    ) -> None:
        parts = urlsplit(url)
        self._tls = tls
        self._overhear = overhear
        self._far_host, self._far_port = parts.hostname or "", parts.port or 0
        self._port = free_port()
        self.url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self._port}").geturl()
        if tls is not None:
            self.url = self.url.replace("amqp://", "amqps://")
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Take connections."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, ssl=self._tls)

    def freeze(self) -> None:
        """Swallow what comes on the present connections, and answer no new one."""
        self._flows.clear()
        for pump in self._pumps:
            pump.cancel()

    def thaw(self) -> None:
        """Relay new connections."""
        self._flows.set()

    def cut(self) -> None:
        """Cut the present connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        """Take no more connections and close those there are."""
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._flows.wait()
        far_reader, far_writer = await asyncio.open_connection(self._far_host, self._far_port)
        self._writers.add(far_writer)
        ways = ((reader, far_writer, self._overhear), (far_reader, writer, lambda _: None))
        for source, target, overhear in ways:
            pump = asyncio.create_task(_pump(source, target, overhear))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter, overhear: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(CHUNK_BYTES):
            overhear(chunk)
            target.write(chunk)
            await target.drain()
        target.close()

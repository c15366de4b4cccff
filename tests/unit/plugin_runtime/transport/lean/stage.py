"""A wire without a network: what is written to it is kept, and tests play RabbitMQ's part."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from pamqp.commands import Basic, Channel, Connection
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from plugin_runtime.transport.amqp_consumer import Consumption
from plugin_runtime.transport.base import Delivery, Message
from plugin_runtime.transport.lean.consumer import ConsumeChannel
from plugin_runtime.transport.lean.framing import FrameSplitter, content_frames
from plugin_runtime.transport.lean.publisher import PublishChannel
from plugin_runtime.transport.lean.wire import Wire

CHANNEL = 5


class Socket(asyncio.Transport):
    """Keeps every write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return False


class Stage:
    """A wire, its socket, and what goes wrong on it."""

    def __init__(self) -> None:
        self.lost: list[Wire] = []
        self.wire = Wire(self.lost.append)
        self.socket = Socket()
        self.wire.connected(self.socket)

    def publish_channel(self, *, login: str | None = None) -> PublishChannel:
        channel = PublishChannel(self.wire, CHANNEL, app_id="plugin-a", login=login)
        self.wire.take(channel)
        return channel

    def consume_channel(
        self,
        on_delivery: Callable[[Delivery], None],
        *,
        prefetch: int = 64,
        no_ack: bool = False,
        may_linger: bool = False,
    ) -> ConsumeChannel:
        channel = ConsumeChannel(
            self.wire, CHANNEL, Consuming(on_delivery, prefetch, no_ack=no_ack, may_linger=may_linger)
        )  # type: ignore[arg-type]
        self.wire.take(channel)
        return channel

    def hear(self, *methods: Any, number: int = CHANNEL) -> bytes:
        """Have RabbitMQ send these methods, and return what aiormq gets."""
        return self.wire.received(b"".join(marshal(method, number) for method in methods))

    def deliver(self, tag: int, body: bytes = b"{}", **properties: Any) -> bytes:
        method = Basic.Deliver("t", tag, False, "x", "k")
        return self.wire.received(content(method, body, **properties))

    def give_back(self, message: Message, *, key: str = "k") -> bytes:
        method = Basic.Return(312, "NO_ROUTE", "x", key)
        return self.wire.received(content(method, message.body, message_id=message.message_id))

    def alarm(self, reason: str | None) -> bytes:
        """Have RabbitMQ raise an alarm, or end it."""
        return self.hear(Connection.Blocked(reason) if reason else Connection.Unblocked(), number=0)

    def close_channel(self, code: int, text: str) -> bytes:
        return self.hear(Channel.Close(code, text, 60, 40))

    def close_connection(self, text: str) -> bytes:
        return self.hear(Connection.Close(320, text, 0, 0), number=0)

    @property
    def frames(self) -> list[tuple[int, int, bytes]]:
        """Every frame written so far."""
        return list(FrameSplitter(0).feed(b"".join(self.socket.writes)))

    @property
    def bodies(self) -> list[bytes]:
        """The payloads of body frames written so far."""
        return [payload for kind, _, payload in self.frames if kind == 3]


class Consuming:
    """What a channel needs of its consumer."""

    queue = "q"

    def __init__(
        self, on_delivery: Callable[[Delivery], None], prefetch: int, *, no_ack: bool, may_linger: bool
    ) -> None:
        self.consumption = Consumption(queue="q", tag="t", prefetch=prefetch, no_ack=no_ack, may_linger=may_linger)
        self.on_delivery = on_delivery
        self.closings = 0

    def vouch(self, message: Message) -> str | None:
        return message.app_id

    async def close_if_done(self) -> None:
        self.closings += 1


def content(method: Any, body: bytes, **properties: Any) -> bytes:
    """A method with its message, as RabbitMQ sends it."""
    header = ContentHeader(body_size=len(body), properties=Basic.Properties(**properties))
    return content_frames(CHANNEL, marshal(method, 0)[7:-1], marshal(header, 0)[7:-1], body, frame_max=4096)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces; places beyond its end are of no effect."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]

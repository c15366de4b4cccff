"""What only shows on the wire: both transports write the same bytes, and the lean one keeps the connection alive."""

import asyncio
from typing import get_args

import pytest
from structlog.testing import capture_logs

from contracts.topology import Queue
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.factory import TransportKind, make_transport
from plugin_runtime.transport.lean import publisher as lean_publisher
from plugin_runtime.transport.lean.framing import METHOD, FrameSplitter
from plugin_runtime.transport.lean.methods import BASIC_PUBLISH
from plugin_runtime.transport.lean.transport import LeanTransport
from tests.conformance.collector import Collector, lay, make_message
from tests.reliability.relay import Relay
from tests.waiting import eventually

WATCHDOG_SECONDS = 6.0
"""After so long without a frame aiormq gives up a connection with a heartbeat of one second."""

MESSAGES = [
    Message(body=b"", type="event", message_id="m-1"),
    Message(
        body=b"{}", type="call", message_id="m-2", correlation_id="c", reply_to="plugin-b.1", timestamp=1_700_000_000
    ),
    Message(body=b"x" * 300_000, type="event", message_id="m-3", expiration_seconds=12.3456),
    Message(body=b"{}", type="event", message_id="m-4", expiration_seconds=0.0, timestamp=0),
    make_message(
        message_id="m-5",
        headers={"text": "é", "none": None, "yes": True, "no": False, "small": 7, "byte": -128, "word": 40_000}
        | {"long": 2**31, "big": 2**40, "negative": -3, "half": 0.5, "empty": "", "UPPER": 1, "": "no name"},
    ),
]


async def written_by(kind: TransportKind, vhost_url: str) -> list[list[tuple[int, bytes]]]:
    """Every publish as frames, without channel numbers."""
    heard: list[bytes] = []
    relay = Relay(vhost_url, overhear=heard.append)
    await relay.open()
    transport = make_transport(kind, f"{relay.url}?heartbeat=0", identity="plugin-a", instance="1", insecure=True)
    try:
        await transport.open()
        await lay(transport, Queue(name="q"), "k")
        heard.clear()
        for message in MESSAGES:
            await transport.publish(message, exchange="x", routing_key="k", timeout=30)
        await transport.publish(MESSAGES[0], exchange="", routing_key="q", mandatory=False)
    finally:
        stream = b"".join(heard)
        await transport.close()
        await relay.close()
    return publishes_in(stream)


def publishes_in(stream: bytes) -> list[list[tuple[int, bytes]]]:
    found: list[list[tuple[int, bytes]]] = []
    for kind, _, payload in FrameSplitter().feed(stream):
        if kind == METHOD and int.from_bytes(payload[:4], "big") == BASIC_PUBLISH:
            found.append([])
        if found and (kind != METHOD or int.from_bytes(payload[:4], "big") == BASIC_PUBLISH):
            found[-1].append((kind, payload))
    return found


async def test_both_transports_write_the_same_bytes(vhost_url: str) -> None:
    first, second = [await written_by(kind, vhost_url) for kind in get_args(TransportKind)]

    assert len(first) == len(MESSAGES) + 1
    assert first == second


async def test_lean_connection_outlives_the_watchdog_while_only_messages_come(vhost_url: str) -> None:
    """RabbitMQ sends no heartbeat while it sends messages; aiormq would close what it takes for stuck."""
    transport = LeanTransport(f"{vhost_url}?heartbeat=1", identity="plugin-a", instance="1", insecure=True)
    loop, collector = asyncio.get_running_loop(), Collector()
    with capture_logs() as logs:
        await transport.open()
        await lay(transport, Queue(name="q"), "k")
        await transport.consume("q", collector, prefetch=1000, role="r", no_ack=True)
        end = loop.time() + WATCHDOG_SECONDS + 2
        while loop.time() < end:
            await transport.publish(make_message(), exchange="x", routing_key="k")
            await asyncio.sleep(0.01)
        await transport.close()

    assert not [one for one in logs if one["event"] == "transport.lost"]


async def test_unreadable_message_is_dead_lettered_and_the_next_one_comes(
    vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport, collector = LeanTransport(vhost_url, identity="plugin-a", instance="1", insecure=True), Collector()
    await transport.open()
    await lay(transport, Queue(name="graves"), "#", exchange="dead")
    await lay(transport, Queue(name="q", dead_letter_exchange="dead"), "k")
    written = lean_publisher.content_header
    with monkeypatch.context() as patch:
        patch.setattr(
            lean_publisher, "content_header", lambda *a, **k: written(*a, **k).replace(b"mmmm", b"\xff\xff\xff\xff")
        )
        await transport.publish(make_message(correlation_id="mmmm"), exchange="x", routing_key="k")
    await transport.publish(make_message("readable"), exchange="x", routing_key="k")

    await transport.consume("q", collector, prefetch=10, role="r")
    await collector.acknowledged()

    async def is_buried() -> bool:
        return (await transport.depth("graves")).messages == 1

    await eventually(is_buried)
    await transport.close()
    assert collector.bodies == ["readable"]

"""The same over TLS: any size, a reconnect; and no connection where the certificate is not trusted."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from contracts.topology import Queue
from tests.conformance.collector import Collector, lay, make_message, publish_all
from tests.reliability.certificates import self_signed
from tests.reliability.conftest import MakeTransport
from tests.reliability.relay import Relay
from tests.reliability.test_lost_connection import CUT_SECONDS, publish_patiently
from tests.waiting import eventually


@pytest.fixture
async def tls_relay(vhost_url: str, tmp_path: Path) -> AsyncIterator[Relay]:
    """TLS before RabbitMQ; ``url`` says which certificate to trust."""
    context, trusted = self_signed(tmp_path)
    relay = Relay(vhost_url, tls=context)
    relay.url += f"?cafile={trusted}"
    await relay.open()
    yield relay
    await relay.close()


async def test_messages_of_any_size_travel_over_tls(tls_relay: Relay, make_transport: MakeTransport) -> None:
    transport, collector = make_transport(tls_relay.url), Collector()
    await transport.open()
    await lay(transport, Queue(name="q"), "k")
    bodies = [b"", b"x", b"y" * 1_000_000]

    await asyncio.gather(
        *(transport.publish(make_message(body), exchange="x", routing_key="k", timeout=60) for body in bodies)
    )
    await transport.consume("q", collector, prefetch=10, role="r")
    await collector.acknowledged(3)

    assert [one.message.body for one in collector.deliveries] == bodies


async def test_connection_over_tls_is_restored(tls_relay: Relay, make_transport: MakeTransport) -> None:
    transport, collector, reconnects = make_transport(tls_relay.url), Collector(), list[bool]()

    async def on_reconnected() -> None:
        reconnects.append(transport.is_connected)

    await transport.open()
    transport.on_reconnected(on_reconnected)
    await lay(transport, Queue(name="q"), "k")
    await transport.consume("q", collector, prefetch=10, role="r", no_ack=True)
    await publish_all(transport, "a")

    tls_relay.cut()
    await eventually(lambda: any(reconnects), timeout=CUT_SECONDS)
    await publish_patiently(transport, "b")
    await eventually(lambda: "b" in collector.bodies, timeout=CUT_SECONDS)

    assert transport.is_connected


async def test_certificate_that_is_not_trusted_is_refused(tls_relay: Relay, make_transport: MakeTransport) -> None:
    transport = make_transport(tls_relay.url.partition("?")[0])

    with capture_logs() as logs:
        opening = asyncio.create_task(transport.open())
        await eventually(lambda: any(one["event"] == "transport.waiting" for one in logs))
        opening.cancel()

    (waiting, *_) = [one for one in logs if one["event"] == "transport.waiting"]
    assert "CERTIFICATE_VERIFY_FAILED" in waiting["error"]
    assert not transport.is_connected

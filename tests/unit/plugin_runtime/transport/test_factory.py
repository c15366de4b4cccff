"""Which transport is made, and who says so."""

import pytest

from broker.process import amqp_transport
from broker.settings import BrokerSettings
from plugin_runtime import RuntimeSettings
from plugin_runtime.transport.amqp import AmqpTransport
from plugin_runtime.transport.factory import DEFAULT_TRANSPORT, TransportKind, make_transport
from plugin_runtime.transport.lean.transport import LeanTransport

URL = "amqp://guest:guest@127.0.0.1:1/"


@pytest.mark.parametrize(("kind", "expected"), [("lean", LeanTransport), ("aio-pika", AmqpTransport)])
async def test_the_environment_chooses_the_transport_of_plugins_and_broker(
    monkeypatch: pytest.MonkeyPatch, kind: TransportKind, expected: type
) -> None:
    monkeypatch.setenv("PLEXICA_TRANSPORT", kind)

    plugins = make_transport(RuntimeSettings.read().transport, URL, identity="plugin-a", instance="1")
    brokers = amqp_transport(BrokerSettings.read(url=URL), "1")

    assert (type(plugins), type(brokers)) == (expected, expected)


def test_plugins_and_broker_have_one_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLEXICA_TRANSPORT", raising=False)

    assert RuntimeSettings.read().transport == BrokerSettings.read().transport == DEFAULT_TRANSPORT

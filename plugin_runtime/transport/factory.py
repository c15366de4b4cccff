"""Which transport speaks to RabbitMQ: the one place where it is chosen."""

from typing import Literal

from plugin_runtime.transport.amqp import AmqpTransport
from plugin_runtime.transport.lean.transport import LeanTransport

TransportKind = Literal["aio-pika", "lean"]

DEFAULT_TRANSPORT: TransportKind = "lean"

_KINDS: dict[TransportKind, type[AmqpTransport]] = {"aio-pika": AmqpTransport, "lean": LeanTransport}


def make_transport(
    kind: TransportKind, url: str, *, identity: str, instance: str, insecure: bool = False, patient: bool = True
) -> AmqpTransport:
    """A transport that is not open yet.

    Args:
        kind: ``lean`` reads and writes messages itself, on a connection that aiormq made; ``aio-pika`` leaves them to
            aiormq too, which is slower, and there to fall back on.
        url: ``amqp://`` or ``amqps://``.
        identity: The plugin id to publish as.
        instance: The instance id, for the names of connections and consumers.
        insecure: Whether publishers are believed without RabbitMQ's word, also off loopback.
        patient: Whether `Transport.open` waits for a RabbitMQ that is away, rather than to raise `NotConnectedError`.

    Raises:
        InvalidUrlError: The URL is no address of RabbitMQ.
    """
    return _KINDS[kind](url, identity=identity, instance=instance, insecure=insecure, patient=patient)

"""What a peer runs on, made for it alone: a fresh vhost of the one RabbitMQ node, our broker, a nats-server, a port."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from benchmarks.peers.catalogue import Backdrop
from benchmarks.peers.crowd import CROWD, plugin_id
from benchmarks.peers.ours import CALLEE, CALLER
from benchmarks.processes import Running
from contracts.names import SYSTEM_PLUGIN
from tests.ports import free_port, is_listening
from tests.rabbitmq import RabbitMQNode
from tests.waiting import eventually_blocking

CROWD_SECONDS, BROKER_SECONDS = 180.0, 300.0
ALL, NONE = ".*", "^$"
OWN = r"^plexica\."
"""Plugins declare nothing, and publish to the bus's exchanges only."""


@contextmanager
def backdrop(kind: Backdrop, node: RabbitMQNode | None, environment: Mapping[str, str]) -> Iterator[str]:
    """The address that server and client of a peer are given.

    Args:
        kind: What it is.
        node: RabbitMQ, for the peers that need it.
        environment: Variables of the peer; our broker gets them too.
    """
    if kind == "port":
        yield f"127.0.0.1:{free_port()}"
    elif kind == "nats":
        with nats() as address:
            yield address
    else:
        assert node is not None, f"{kind} needs RabbitMQ"
        vhost = node.create_vhost()
        try:
            with bus(node, vhost, environment) if kind == "bus" else nullcontext():
                yield node.url(vhost)
        finally:
            node.delete_vhost(vhost)


@contextmanager
def bus(node: RabbitMQNode, vhost: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Our broker on a vhost, a user for each plugin, and the crowd that is to be there."""
    others = [plugin_id(number) for number in range(int(environment.get(CROWD, "0")))]
    for plugin in (CALLEE, CALLER, *others):
        node.create_user(plugin, plugin, vhost, configure=NONE, write=OWN, read=ALL)
    node.create_user(SYSTEM_PLUGIN, SYSTEM_PLUGIN, vhost, configure=ALL, write=ALL, read=ALL)
    with broker(node.url(vhost, SYSTEM_PLUGIN), environment), ExitStack() as stack:
        if others:
            command = [sys.executable, "-m", "benchmarks.peers.process", "crowd", "serve", node.url(vhost)]
            stack.enter_context(Running(command, environment)).wait_for("ready", CROWD_SECONDS)
        yield


@contextmanager
def broker(address: str, environment: Mapping[str, str], store: Path | None = None) -> Iterator[Running]:
    """Our broker as a process that serves, with a store of its own unless given; installs whatever registers."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            **environment,
            "PLEXICA_URL": address,
            "PLEXICA_STORE": str(store or Path(folder) / "broker.db"),
            "PLEXICA_AUTO_INSTALL": "yes",
            "PLEXICA_LOG_FORMAT": "json",
        }
        with Running([sys.executable, "-c", BROKER], variables) as running:
            running.wait_for("broker.started", BROKER_SECONDS)
            yield running


BROKER = "import os; os.dup2(1, 2); from broker.__main__ import main; main()"
"""Its log goes where the benchmark reads."""


@contextmanager
def nats() -> Iterator[str]:
    """A nats-server as it comes, on the loopback."""
    server, port = shutil.which("nats-server"), free_port()
    assert server is not None, "the catalogue looked for it"
    with Running([server, "-a", "127.0.0.1", "-p", str(port)], os.environ):
        eventually_blocking(lambda: is_listening("127.0.0.1", port), 10.0, "nats-server does not listen")
        yield f"nats://127.0.0.1:{port}"

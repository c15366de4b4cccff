"""The peers: what each is called, how it is used, what it needs, which processes play it. Pure but for `missing`."""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from benchmarks.speed import FAST

Backdrop = Literal["vhost", "bus", "nats", "port"]
"""What a peer runs on: a fresh vhost, one with our broker on it, a nats-server, or just a free port."""

WITH_SPEED = {FAST: "yes"}
"""How a row is measured with uvloop and orjson, for us the extra ``speed``; the others do without."""

C_HEADER = Path("/usr/include/amqp.h"), Path("/usr/local/include/amqp.h"), Path("/opt/homebrew/include/amqp.h")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One row of the comparison.

    Attributes:
        key: Its name on the command line and in JSON.
        title: Its name in tables.
        usage: How it is used, in a line.
        module: The module below `benchmarks.peers` that plays it.
        backdrop: What it runs on.
        distributions: What must be installed, for the versions in the report.
        modules: What must be importable.
        programs: What must be on the PATH.
        environment: Variables of both processes.
        is_ours: Whether it is the bus.
        optional: Whether it is left out without a word where it cannot run.
    """

    key: str
    title: str
    usage: str
    module: str
    backdrop: Backdrop
    distributions: Sequence[str] = ()
    modules: Sequence[str] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ours: bool = False
    optional: bool = False

    def missing(self) -> str | None:
        """Why it cannot be measured here, and what to do about it; None if it can."""
        for module in self.modules:
            if find_spec(module) is None:
                return f"not installed: '{module}' is missing; make bench installs it"
        for program, remedy in self.programs.items():
            if shutil.which(program) is None:
                return f"not installed: no {program} on the PATH; {remedy}"
        if self.module == "librabbitmq" and not any(header.exists() for header in C_HEADER):
            return "not installed: amqp.h of librabbitmq is missing; apt-get install librabbitmq-dev"
        return None

    def command(self, role: Literal["serve", "call"], address: str, binaries: Path | None) -> list[str]:
        """The command line of its server or its client."""
        if self.module == "librabbitmq":
            assert binaries is not None, "compile first"
            return [str(binaries / role), address]
        if self.module == "nameko_rpc":
            return [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.nameko_rpc", role, address]
        return [sys.executable, "-m", "benchmarks.peers.process", self.module, role, address]


OURS, TUTORIAL, LIMIT = "ours", "aio-pika", "c"
"""The keys that aims speak of."""

AIO_PIKA = ("aio-pika", "aiormq")
NATS_SERVER = {"nats-server": "apt-get install nats-server, or nats.io"}

PEERS: tuple[Peer, ...] = (
    Peer(
        key=LIMIT,
        title="C, librabbitmq",
        usage="ack, confirm and mandatory on both sides, prefetch 256; bytes are echoed",
        module="librabbitmq",
        backdrop="vhost",
        programs={"cc": "apt-get install gcc libc6-dev librabbitmq-dev"},
    ),
    Peer(
        key=OURS,
        title="Plexica Bus",
        usage="a plugin posts to another one's endpoint; default settings, users of their own, grants, deadline",
        module="ours",
        backdrop="bus",
        distributions=("plexica-bus",),
        is_ours=True,
    ),
    Peer(
        key="ours-speed",
        title="Plexica Bus, uvloop and orjson",
        usage="the same with the extra speed",
        module="ours",
        backdrop="bus",
        distributions=("uvloop", "orjson"),
        modules=("uvloop", "orjson"),
        environment=WITH_SPEED,
        is_ours=True,
        optional=True,
    ),
    Peer(
        key="ours-aio-pika",
        title="Plexica Bus on aio-pika",
        usage="the same with PLEXICA_TRANSPORT=aio-pika, to fall back on",
        module="ours",
        backdrop="bus",
        environment={"PLEXICA_TRANSPORT": "aio-pika"},
        is_ours=True,
    ),
    Peer(
        key=TUTORIAL,
        title="aio-pika, its RPC tutorial",
        usage="exclusive reply queue, the server acknowledges and awaits its confirm before the next call",
        module="tutorial",
        backdrop="vhost",
        distributions=AIO_PIKA,
    ),
    Peer(
        key="json-rpc",
        title="aio_pika.patterns.JsonRPC",
        usage="JsonRPC.create(channel), register, call",
        module="json_rpc",
        backdrop="vhost",
        distributions=AIO_PIKA,
    ),
    Peer(
        key="faststream",
        title="FastStream, hand-written RPC",
        usage="publish with reply_to and correlation_id, a subscriber of the replies resolves futures",
        module="faststream_replies",
        backdrop="vhost",
        distributions=("faststream",),
        modules=("faststream",),
    ),
    Peer(
        key="faststream-request",
        title="FastStream, broker.request()",
        usage="direct reply-to, as broker.request() does it",
        module="faststream_request",
        backdrop="vhost",
        distributions=("faststream",),
        modules=("faststream",),
    ),
    Peer(
        key="nameko",
        title="nameko",
        usage="@rpc in a ServiceContainer, ServiceRpcProxy and call_async",
        module="nameko_rpc",
        backdrop="vhost",
        distributions=("nameko",),
        modules=("nameko",),
    ),
    Peer(
        key="grpc",
        title="grpc.aio",
        usage="unary-unary over one insecure channel, generic handlers, JSON",
        module="grpc_aio",
        backdrop="port",
        distributions=("grpcio",),
        modules=("grpc",),
    ),
    Peer(
        key="aiohttp",
        title="aiohttp to aiohttp",
        usage="POST over one ClientSession with its default pool; await request.json()",
        module="aiohttp_http",
        backdrop="port",
        distributions=("aiohttp",),
        modules=("aiohttp",),
    ),
    Peer(
        key="nats",
        title="nats-py",
        usage="subscribe and respond, request; nothing is confirmed or kept",
        module="nats_request",
        backdrop="nats",
        distributions=("nats-py",),
        modules=("nats",),
        programs=NATS_SERVER,
    ),
    Peer(
        key="nats-speed",
        title="nats-py, uvloop and orjson",
        usage="the same on uvloop, with orjson",
        module="nats_request",
        backdrop="nats",
        environment=WITH_SPEED,
        optional=True,
        distributions=("nats-py", "uvloop", "orjson"),
        modules=("nats", "uvloop", "orjson"),
        programs=NATS_SERVER,
    ),
)


def chosen(only: str, peers: Sequence[Peer] = PEERS) -> list[Peer]:
    """The peers whose keys stand between commas; all when there are none.

    Raises:
        ValueError: A key is unknown.
    """
    known = {peer.key: peer for peer in peers}
    keys = [key.strip() for key in only.split(",") if key.strip()]
    if unknown := [key for key in keys if key not in known]:
        raise ValueError(f"no peer is called {', '.join(unknown)}; there are {', '.join(known)}")
    return [peer for peer in peers if not keys or peer.key in keys]

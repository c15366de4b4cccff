"""One round of one peer: start it on its backdrop, warm it up, load it, and read the clocks of its processes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.backdrops import backdrop
from benchmarks.figures import Figures
from benchmarks.load import Done, Phase
from benchmarks.peers.catalogue import Peer
from benchmarks.processes import Running, cpu_seconds, pid_by_variable, resident_bytes
from tests.rabbitmq import RabbitMQNode

MEBIBYTE = 1024 * 1024
USES_RABBITMQ = {"vhost", "bus"}


@dataclass(frozen=True)
class Plan:
    """How long each phase lasts, in seconds.

    Attributes:
        warm_up: Before anything is measured, once with one and once with 64 calls in flight.
        singly: One call in flight.
        many: 64 in flight.
        most: 256 in flight; none at all for 0.
    """

    warm_up: float = 0.4
    singly: float = 1.0
    many: float = 1.2
    most: float = 1.2


@dataclass(frozen=True)
class Stage:
    """Where a run takes place: RabbitMQ, the compiled C programs, and how long phases last."""

    node: RabbitMQNode
    binaries: Path | None
    plan: Plan

    @property
    def rabbitmq_pid(self) -> int | None:
        """The Erlang process of the node; None if it is not on this machine."""
        port = re.search(r":(\d+)/", self.node.url("x"))
        return pid_by_variable("beam", f"RABBITMQ_NODENAME=plexica-{port[1]}@localhost") if port else None


def measure(peer: Peer, stage: Stage, tell: Callable[[str], None]) -> Figures:
    """Measure one round of a peer that is not missing.

    Args:
        peer: Who.
        stage: Where.
        tell: Hears what is going on.

    Raises:
        BenchmarkError: A process failed.
    """
    tell("starts")
    environment = dict(peer.environment)
    with (
        backdrop(peer.backdrop, stage.node, environment) as address,
        Running(peer.command("serve", address, stage.binaries), environment) as server,
    ):
        server.wait_for("ready")
        with Running(peer.command("call", address, stage.binaries), environment) as client:
            client.wait_for("ready")
            return _loaded(server, client, stage, tell, uses_rabbitmq=peer.backdrop in USES_RABBITMQ)


def _loaded(
    server: Running, client: Running, stage: Stage, tell: Callable[[str], None], *, uses_rabbitmq: bool
) -> Figures:
    plan = stage.plan
    tell("warms up")
    client.perform(Phase(1, plan.warm_up))
    client.perform(Phase(64, plan.warm_up))
    tell("one in flight")
    one = client.perform(Phase(1, plan.singly))
    tell("64 in flight")
    pids = {"server": server.pid, "client": client.pid}
    if uses_rabbitmq and (rabbitmq := stage.rabbitmq_pid):
        pids["rabbitmq"] = rabbitmq
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    some = client.perform(Phase(64, plan.many))
    spent = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    tell("256 in flight")
    most = client.perform(Phase(256, plan.most)) if plan.most else None
    memory = resident_bytes(server.pid) + resident_bytes(client.pid)
    return figures(one, some, most, spent, memory)


def figures(one: Done, some: Done, most: Done | None, cpu: dict[str, float], memory: int) -> Figures:
    """Put together what the phases with one, 64 and 256 calls in flight gave.

    Args:
        one: The first phase.
        some: The second.
        most: The third, if there was one.
        cpu: Seconds that ``server``, ``client`` and perhaps ``rabbitmq`` spent in the second.
        memory: Bytes of both processes.
    """
    assert one.p50 is not None
    assert one.p99 is not None
    # Seconds for so many calls: milliseconds for a thousand calls are a million times the seconds of one.
    each = {name: 1e6 * seconds / some.calls for name, seconds in cpu.items()}
    found = {
        "p50_us": 1e6 * one.p50,
        "p99_us": 1e6 * one.p99,
        "rate_64": some.calls / some.seconds,
        "cpu_ms": each["server"] + each["client"],
        "server_cpu_ms": each["server"],
        "memory_mib": memory / MEBIBYTE,
    }
    if most is not None:
        found["rate_256"] = most.calls / most.seconds
    if "rabbitmq" in each:
        found["rabbitmq_cpu_ms"] = each["rabbitmq"]
    return found

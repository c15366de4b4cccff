"""A round of the comparison, very short, on the run's RabbitMQ."""

from pathlib import Path

import pytest

from benchmarks.compile import compile_c
from benchmarks.measuring import Plan, Stage, measure
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.processes import BenchmarkError
from tests.rabbitmq import RabbitMQNode

SHORT = Plan(warm_up=0.02, singly=0.02, many=0.05, most=0.05)


def peer(key: str) -> Peer:
    return next(one for one in PEERS if one.key == key)


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    return compile_c(tmp_path_factory.mktemp("c")) if peer("c").missing() is None else None


@pytest.mark.parametrize("key", ["ours", "aio-pika", "c"])
def test_a_round_gives_every_figure(rabbitmq_node: RabbitMQNode, binaries: Path | None, key: str) -> None:
    chosen = peer(key)
    if problem := chosen.missing():
        pytest.skip(problem)

    told: list[str] = []
    found = measure(chosen, Stage(rabbitmq_node, binaries, SHORT), told.append)

    assert {"p50_us", "p99_us", "rate_64", "rate_256", "cpu_ms", "server_cpu_ms", "memory_mib"} <= set(found)
    assert min(found.values()) > 0
    assert told == ["starts", "warms up", "one in flight", "64 in flight", "256 in flight"]


def test_a_peer_that_cannot_start_says_why(rabbitmq_node: RabbitMQNode) -> None:
    broken = Peer(key="x", title="X", usage="", module="no_such_peer", backdrop="port")

    with pytest.raises(BenchmarkError, match=r"ended: .*No module named 'benchmarks.peers.no_such_peer'"):
        measure(broken, Stage(rabbitmq_node, None, SHORT), lambda _: None)

"""nameko, as its pages "RPC" and "Running services" use it: a service in a container, a standalone proxy.

It runs on eventlet, so it has processes of its own: ``python -m benchmarks.peers.nameko_rpc serve|call ADDRESS``.
"""

import eventlet

eventlet.monkey_patch()

import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections import deque  # noqa: E402
from typing import Any  # noqa: E402

from nameko.containers import ServiceContainer  # noqa: E402
from nameko.rpc import rpc  # noqa: E402
from nameko.standalone.rpc import ServiceRpcProxy  # noqa: E402

from benchmarks.load import Done, Phase, singly  # noqa: E402
from benchmarks.payload import CONTACT  # noqa: E402


class Echo:
    """The service."""

    name = "echo"

    @rpc  # type: ignore[untyped-decorator]
    def echo_back(self, data: Any) -> Any:
        return data


def serve(address: str) -> None:
    container = ServiceContainer(Echo, {"AMQP_URI": address})
    signal.signal(signal.SIGTERM, lambda *_: eventlet.spawn_n(container.stop))
    container.start()
    print("ready", flush=True)
    container.wait()


def call(address: str) -> None:
    with ServiceRpcProxy("echo", {"AMQP_URI": address}) as proxy:
        print("ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            assert proxy.echo_back(CONTACT) == CONTACT, "the server did not send back what it got"
            phase = Phase.parse(line)
            done = one(proxy, phase.seconds) if phase.in_flight == 1 else many(proxy, phase)
            print(done.line(), flush=True)


def one(proxy: Any, seconds: float) -> Done:
    durations = []
    began = before = time.perf_counter()
    while before < began + seconds:
        proxy.echo_back(CONTACT)
        now = time.perf_counter()
        durations.append(now - before)
        before = now
    return singly(durations, before - began)


def many(proxy: Any, phase: Phase) -> Done:
    calls, open_calls = 0, deque[Any]()
    began = time.perf_counter()
    while time.perf_counter() < began + phase.seconds or open_calls:
        while len(open_calls) < phase.in_flight and time.perf_counter() < began + phase.seconds:
            open_calls.append(proxy.echo_back.call_async(CONTACT))
        open_calls.popleft().result()
        calls += 1
    return Done(calls, time.perf_counter() - began)


if __name__ == "__main__":
    (serve if sys.argv[1] == "serve" else call)(sys.argv[2])

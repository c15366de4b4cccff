"""What heartbeats cost the broker's process: CPU seconds a second, with many instances and with none reporting.

Run ``python -m benchmarks.heartbeats [--instances 1000] [--every 5] [--seconds 20] [--url URL]``. Without ``--url`` a
private RabbitMQ node is started, as the tests do. The broker is a process of its own; the instances are registered for
real and report as the runtime has them, but those of one plugin share its connections.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from contracts.errors import CodedError, TransportError
from contracts.manifest import PluginManifest
from contracts.registry import TenantView
from contracts.topology import Topology
from plugin_runtime import Plugin, configure_logs
from plugin_runtime.calls.caller import Caller
from plugin_runtime.calls.client import CallClient
from plugin_runtime.context import Deadline
from plugin_runtime.definition import Definition
from plugin_runtime.discovery import RegistryView, ServiceDiscovery
from plugin_runtime.registration import RemoteRegistrar
from plugin_runtime.transport.amqp import AmqpTransport
from tests.rabbitmq import start_node

PLUGINS = 10
IDLE_SECONDS = 10.0
WARM_UP_BEATS = 3
"""The first one is answered, as after every registration."""

TICKS = os.sysconf("SC_CLK_TCK")
TOPOLOGY = Topology("heartbeats.")


class NoTokens:
    """Heartbeats carry no tenant, so no grant."""

    async def token(self, tenant: str, deadline: Deadline) -> str:
        raise LookupError(tenant, deadline)

    async def renewed(self, tenant: str, deadline: Deadline) -> bool:
        raise LookupError(tenant, deadline)


class Instance:
    """One instance that shares its plugin's connection; it reports as a running plugin does."""

    def __init__(self, transport: AmqpTransport, definition: Definition, instance: str) -> None:
        self._transport = transport
        self._client = CallClient(transport, TOPOLOGY, instance=instance, tokens=NoTokens())
        discovery = ServiceDiscovery(definition.manifest, RegistryView(), _nobody)
        self._caller = Caller(self._client, discovery)
        self._instance = instance
        self._registrar = RemoteRegistrar(
            transport, TOPOLOGY, definition, instance=instance, tenants=("acme-corp",), strict=False
        )

    async def start(self) -> None:
        """Register and consume the replies."""
        answer = await self._registrar.register()
        role = f"replies-{self._instance}"
        await self._transport.consume(answer.reply_queue, self._client.on_reply, prefetch=10, role=role)

    async def beat(self) -> bool | None:
        """Report once; whether the broker knows this instance, None when it was not asked."""
        answer = await self._registrar.heartbeat(self._caller, 0)
        return None if answer is None else answer.known


class Instances:
    """The instances of one plugin, and what became of their heartbeats."""

    def __init__(self, number: int, url: str, count: int, every: float) -> None:
        plugin = f"plugin-bench-{number}"
        self._transport = AmqpTransport(url, identity=plugin, instance="bench", insecure=True)
        definition = Plugin.from_manifest(manifest(plugin).to_json()).definition
        self._all = [Instance(self._transport, definition, f"{number}-{place}") for place in range(count)]
        self._pause = every / count
        self.outcomes: Counter[str] = Counter()

    async def start(self) -> None:
        """Connect and register, one after the other."""
        await self._transport.open()
        for instance in self._all:
            await instance.start()

    async def report(self, until: float) -> None:
        """Let every instance report again and again, evenly spread."""
        due = time.monotonic()
        async with asyncio.TaskGroup() as group:
            while time.monotonic() < until:
                for instance in self._all:
                    group.create_task(self._beat(instance))
                    due += self._pause
                    await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def close(self) -> None:
        await self._transport.close()

    async def _beat(self, instance: Instance) -> None:
        try:
            known = await instance.beat()
        except (CodedError, TransportError) as error:
            self.outcomes[type(error).__name__] += 1
        else:
            self.outcomes["unanswered" if known is None else "answered" if known else "unknown"] += 1


async def _nobody(tenant: str, service: str, deadline: Deadline) -> TenantView:
    raise LookupError(f"{tenant} asks for {service} by {deadline}")


def manifest(plugin: str) -> PluginManifest:
    name = plugin.removeprefix("plugin-")
    service = {"name": f"{name}.work", "version": "1.0.0", "endpoints": [{"method": "GET", "path": "/"}]}
    return PluginManifest.parse({"id": plugin, "name": name, "version": "1.0.0", "api": {"services": [service]}})


def counted(plugins: Iterable[Instances]) -> Counter[str]:
    return sum((plugin.outcomes for plugin in plugins), Counter[str]())


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def share_of_a_core(pid: int, seconds: float) -> float:
    began, used = time.monotonic(), cpu_seconds(pid)
    await asyncio.sleep(seconds)
    return (cpu_seconds(pid) - used) / (time.monotonic() - began)


@asynccontextmanager
async def broker(url: str, folder: Path) -> AsyncIterator[int]:
    """A broker process; its pid."""
    environment = {
        **os.environ,
        "PLEXICA_URL": url,
        "PLEXICA_PREFIX": TOPOLOGY.prefix,
        "PLEXICA_STORE": str(folder / "broker.db"),
        "PLEXICA_AUTO_INSTALL": "yes",
        "PLEXICA_INSECURE": "yes",
    }
    command = [sys.executable, "-m", "broker"]
    with (folder / "broker.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log)
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@contextmanager
def rabbitmq(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    node = start_node()
    try:
        yield node.url(node.create_vhost("heartbeats"))
    finally:
        node.discard()


async def measure(url: str, count: int, every: float, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with broker(url, Path(folder)) as pid, AsyncExitStack() as stack:
            plugins = [Instances(number, url, count // PLUGINS, every) for number in range(PLUGINS)]
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                for plugin in plugins:
                    stack.push_async_callback(plugin.close)
                    group.create_task(plugin.start())
            print(f"registered {count} instances in {time.monotonic() - began:.1f} s", flush=True)
            idle = await share_of_a_core(pid, IDLE_SECONDS)
            warm_up = WARM_UP_BEATS * every
            until = time.monotonic() + warm_up + seconds
            async with asyncio.TaskGroup() as group:
                for plugin in plugins:
                    group.create_task(plugin.report(until))
                await asyncio.sleep(warm_up)
                before = counted(plugins)
                busy = await share_of_a_core(pid, seconds)
                during = counted(plugins) - before
    rate = during.total() / seconds
    print(f"{rate:.0f} heartbeats/s: {dict(during)}")
    print(
        f"broker's CPU: {busy:.1%} of a core, idle {idle:.1%}: {(busy - idle) / max(rate, 1) * 1e6:.0f} us a heartbeat"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two heartbeats of an instance")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure")
    parser.add_argument("--url", help="a RabbitMQ that may be used, instead of a private node")
    options = parser.parse_args()
    configure_logs(level="error")
    with rabbitmq(options.url) as url:
        asyncio.run(measure(url, options.instances, options.every, options.seconds))


if __name__ == "__main__":
    main()

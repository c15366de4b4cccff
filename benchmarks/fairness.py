"""What a tenant's flood does to another tenant's calls: p50 and p99 quiet and under flood, and refusals per tenant.

Run ``python -m benchmarks.fairness [--seconds 30] [--times 20] [--url URL]``. Without ``--url`` a private RabbitMQ node
is started, as the tests do. Broker, callee, the tenant that floods and the one that does not are four processes.
Arrivals are open: whoever calls does not wait for answers, so a callee that falls behind hides nothing.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import structlog

from broker.bootstrap import running_broker
from broker.settings import BrokerSettings
from contracts.errors import CodedError
from contracts.names import SYSTEM_PLUGIN
from plugin_runtime import Call, Plugin
from plugin_runtime.transport.factory import DEFAULT_TRANSPORT, make_transport
from tests.rabbitmq import start_node

CONCURRENCY, WORK_SECONDS = 4, 0.1
SHARE_PER_SECOND = CONCURRENCY / WORK_SECONDS / 2
"""What each of two tenants gets of the callee."""

QUIET_PER_SECOND = SHARE_PER_SECOND / 2
QUIET, FLOODING = "globex", "acme-corp"
SERVICE = "crm.contacts"
AIM = 3.0
"""How many times its quiet p99 a tenant's p99 may be under another's flood."""


def plugin(name: str, **api: Any) -> Plugin:
    return Plugin.from_manifest({"id": f"plugin-{name}", "name": name, "version": "1.0.0", "api": api})


async def host_broker(url: str) -> None:
    settings = BrokerSettings(auto_install=True)
    transport = make_transport(DEFAULT_TRANSPORT, url, identity=SYSTEM_PLUGIN, instance="broker", insecure=True)
    async with running_broker(settings, transport, store=None):
        await stay()


async def serve(url: str) -> None:
    endpoints = [{"method": "GET", "path": "/contacts"}]
    crm = plugin("crm", services=[{"name": SERVICE, "version": "1.0.0", "endpoints": endpoints}])

    @crm.service(SERVICE).get("/contacts")
    async def work(_call: Call) -> None:
        await asyncio.sleep(WORK_SECONDS)

    async with crm.connected(url, tenants=(QUIET, FLOODING)):
        await stay()


async def stay() -> None:
    print("ready", flush=True)
    await asyncio.Event().wait()


async def call(url: str, tenant: str, per_second: float, seconds: float) -> None:
    """Call for so long, then print what became of it: seconds of each answer, and how many calls got which code."""
    need = {"pluginId": "plugin-crm", "serviceName": SERVICE, "version": "*"}
    caller = plugin(f"caller-of-{tenant}", dependencies=[need])
    answered, codes, tasks = list[float](), Counter[str](), set[asyncio.Task[None]]()
    async with caller.connected(url, tenants=(tenant,)) as runner:
        contacts = runner.tenant(tenant).service(SERVICE)
        await contacts.get("/contacts")
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        async def one() -> None:
            began = time.perf_counter()
            try:
                await contacts.get("/contacts")
            except CodedError as error:
                codes[error.code] += 1
            else:
                answered.append(time.perf_counter() - began)

        began = time.monotonic()
        dice, due = random.Random(tenant), began  # noqa: S311 - no secret
        while (due := due + dice.expovariate(per_second)) < began + seconds:
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            task = asyncio.create_task(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        made_in = time.monotonic() - began
        await asyncio.gather(*tasks)
    print(json.dumps({"answered": answered, "codes": codes, "seconds": made_in}), flush=True)


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.fairness", *arguments]
    environment = {**os.environ, "PLEXICA_CONCURRENCY": str(CONCURRENCY), "PLEXICA_INSECURE": "yes"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as started:
        try:
            assert started.stdout is not None
            assert any("ready" in line for line in started.stdout)
            yield started
        finally:
            started.terminate()


def measured(url: str, seconds: float, **per_second: float) -> dict[str, Any]:
    """What became of the calls of each tenant, which all call at the same time."""
    with ExitStack() as stack:
        callers = {
            tenant: stack.enter_context(process("--call", tenant, str(rate), "--seconds", str(seconds), "--url", url))
            for tenant, rate in ((QUIET, per_second["quiet"]), (FLOODING, per_second.get("flood", 0.0)))
            if rate
        }
        for caller in callers.values():
            print(file=caller.stdin, flush=True)
        return {tenant: json.loads(caller.stdout.readline()) for tenant, caller in callers.items() if caller.stdout}


def p(found: dict[str, Any], percent: int) -> float:
    answered = sorted(found["answered"])
    return float(answered[int(len(answered) * percent / 100)]) if answered else float("nan")


def report(title: str, found: dict[str, Any]) -> None:
    for tenant, one in found.items():
        answered, others = len(one["answered"]), sum(one["codes"].values())
        rate = (answered + others) / one["seconds"]
        print(
            f"{title:11} {tenant:9} {rate:6.0f} calls/s   p50 {p(one, 50) * 1000:6.0f} ms"
            f"   p99 {p(one, 99) * 1000:6.0f} ms   answered {answered:6}   refused {others:6} {one['codes'] or ''}"
        )


def compare(url: str, seconds: float, times: float) -> None:
    with process("--broker", "--url", url), process("--serve", "--url", url):
        quiet = measured(url, seconds, quiet=QUIET_PER_SECOND)
        flooded = measured(url, seconds, quiet=QUIET_PER_SECOND, flood=times * SHARE_PER_SECOND)
    report("quiet", quiet)
    report("under flood", flooded)
    ratio, refused = p(flooded[QUIET], 99) / p(quiet[QUIET], 99), sum(flooded[QUIET]["codes"].values())
    reached = "reached" if ratio <= AIM and not refused else "not reached"
    print(
        f"p99 of {QUIET} is {ratio:.2f} times its quiet one, {refused} of its calls refused; aim {AIM:g}, 0: {reached}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each measurement takes")
    parser.add_argument("--times", type=float, default=20.0, help="how many times its share the flooding tenant calls")
    parser.add_argument("--url", help="a RabbitMQ of one's own, in a vhost that nobody else uses")
    parser.add_argument("--broker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--call", nargs=2, metavar=("TENANT", "RATE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if given.broker:
        asyncio.run(host_broker(given.url))
    elif given.serve:
        asyncio.run(serve(given.url))
    elif given.call:
        asyncio.run(call(given.url, given.call[0], float(given.call[1]), given.seconds))
    elif given.url:
        compare(given.url, given.seconds, given.times)
    else:
        node = start_node()
        try:
            compare(node.url(node.create_vhost()), given.seconds, given.times)
        finally:
            node.discard()


if __name__ == "__main__":
    main()

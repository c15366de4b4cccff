"""An echo by remote call: the bus's two data planes beside aio-pika as its tutorial uses it, in one interleaved run.

Run ``python -m benchmarks.data_plane [ROUNDS]``. Client and server are two processes; RabbitMQ is a private node. Ours
confirm and acknowledge everything (the server acknowledges a call after its reply's confirm); the tutorial's client
does not acknowledge replies. No message is written to disk. Machines are noisy: only the ratios of one run count.
"""

import asyncio
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aio_pika
import structlog

from contracts.topology import Binding, Exchange, Queue
from plugin_runtime.transport.base import Delivery, Message
from plugin_runtime.transport.factory import make_transport
from tests.rabbitmq import start_node

KINDS = ("tutorial", "aio-pika", "lean")
ROUNDS = 3
WARM_UP, SINGLY, MANY, IN_FLIGHT = 200, 600, 4000, 64
BODY = json.dumps({"text": "x" * 210}).encode()
CLOCK_TICKS = 100
"""Linux counts CPU time in hundredths of a second."""

Call = Callable[[], Awaitable[None]]


def transport(kind: str, url: str, name: str) -> Any:
    return make_transport(kind, url, identity=name, instance="1", insecure=True)  # type: ignore[arg-type]


async def serve_ours(kind: str, url: str) -> None:
    ours, tasks, number = transport(kind, url, "plugin-server"), set(), 0
    await ours.open()
    await ours.declare_exchange(Exchange("x"))
    await ours.declare_queue(Queue(name="calls"))
    await ours.bind(Binding("calls", "x", "calls"))

    async def answer(delivery: Delivery) -> None:
        nonlocal number
        number += 1
        call = delivery.message
        reply = Message(
            body=call.body,
            type="reply",
            persistent=False,
            message_id=f"r{number}",
            correlation_id=call.correlation_id,
            headers=call.headers,
        )
        await ours.publish(reply, exchange="x", routing_key=call.reply_to or "")
        await delivery.acknowledge()

    def on_call(delivery: Delivery) -> None:
        task = asyncio.create_task(answer(delivery))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await ours.consume("calls", on_call, prefetch=IN_FLIGHT, role="calls")
    print("ready", flush=True)
    await asyncio.Event().wait()


async def serve_tutorial(url: str) -> None:
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    queue = await channel.declare_queue("rpc_queue")
    print("ready", flush=True)
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process(requeue=False):
                reply = aio_pika.Message(body=message.body, correlation_id=message.correlation_id)
                await channel.default_exchange.publish(reply, routing_key=message.reply_to or "")


async def call_ours(kind: str, url: str) -> tuple[Call, Call]:
    ours, waiting, tasks, number = transport(kind, url, "plugin-client"), {}, set(), 0
    loop = asyncio.get_running_loop()
    await ours.open()
    await ours.declare_queue(Queue(name="replies"))
    await ours.bind(Binding("replies", "x", "replies"))

    def start(work: Any) -> None:
        task = loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def on_reply(delivery: Delivery) -> None:
        start(delivery.acknowledge())
        waiting.pop(delivery.message.correlation_id).set_result(None)

    async def call() -> None:
        nonlocal number
        number += 1
        key = str(number)
        future = waiting[key] = loop.create_future()
        headers = {"x-tenant-id": "acme-corp", "x-caller": "plugin-client", "x-budget-ms": 30_000, "x-chain": "a,b"}
        message = Message(
            body=BODY,
            type="call",
            persistent=False,
            message_id=key,
            correlation_id=key,
            reply_to="replies",
            headers=headers,
        )
        start(ours.publish(message, exchange="x", routing_key="calls"))
        await future

    await ours.consume("replies", on_reply, prefetch=1000, role="replies", may_linger=True)
    return call, ours.close


async def call_tutorial(url: str) -> tuple[Call, Call]:
    waiting: dict[str, asyncio.Future[None]] = {}
    number = 0
    connection = await aio_pika.connect(url)
    channel = await connection.channel()
    replies = await channel.declare_queue(exclusive=True)

    async def on_reply(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        waiting.pop(message.correlation_id or "").set_result(None)

    async def call() -> None:
        nonlocal number
        number += 1
        key = str(number)
        future = waiting[key] = asyncio.get_running_loop().create_future()
        message = aio_pika.Message(BODY, content_type="application/json", correlation_id=key, reply_to=replies.name)
        await channel.default_exchange.publish(message, routing_key="rpc_queue")
        await future

    await replies.consume(on_reply, no_ack=True)
    return call, connection.close


async def measured(call: Call, server: int) -> dict[str, float]:
    for _ in range(WARM_UP):
        await call()
    singly = []
    for _ in range(SINGLY):
        began = time.perf_counter()
        await call()
        singly.append(time.perf_counter() - began)
    left = MANY

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    began, spent = time.perf_counter(), time.process_time() + cpu_seconds(server)
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    seconds, cpu = time.perf_counter() - began, time.process_time() + cpu_seconds(server) - spent
    return {"p50": statistics.median(singly), "rate": MANY / seconds, "cpu": cpu / MANY}


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


async def run(kind: str, url: str, server: int) -> dict[str, float]:
    call, close = await (call_tutorial(url) if kind == "tutorial" else call_ours(kind, url))
    found = await measured(call, server)
    await close()
    return found


def run_with_server(kind: str, url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.data_plane", "--serve", kind, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert any("ready" in line for line in server.stdout)
            return asyncio.run(run(kind, url, server.pid))
        finally:
            server.terminate()


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if "--serve" in sys.argv:
        kind, url = sys.argv[-2:]
        asyncio.run(serve_tutorial(url) if kind == "tutorial" else serve_ours(kind, url))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    node = start_node()
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    try:
        for _ in range(rounds):
            for kind in KINDS:
                found[kind].append(run_with_server(kind, node.url(node.create_vhost())))
    finally:
        node.discard()
    report(found)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    medians = {
        kind: {key: statistics.median(one[key] for one in runs) for key in runs[0]} for kind, runs in found.items()
    }
    base = medians[KINDS[0]]
    print(f"medians of {len(found[KINDS[0]])} rounds; in brackets: to the tutorial's")
    for kind, one in medians.items():
        print(
            f"{kind:9} p50 with one in flight {one['p50'] * 1e6:6.0f} us ({one['p50'] / base['p50']:.2f})"
            f"   {one['rate']:6.0f} calls/s with {IN_FLIGHT} in flight ({one['rate'] / base['rate']:.2f})"
            f"   {one['cpu'] * 1e6:4.0f} ms CPU per 1000 calls ({one['cpu'] / base['cpu']:.2f})"
        )


if __name__ == "__main__":
    main()

"""One side of a peer as a process: ``python -m benchmarks.peers.process MODULE serve|call ADDRESS``.

A server prints ``ready`` and serves until SIGTERM. A client prints ``ready``, then does what each line of standard
input says and answers with a line of JSON: see `benchmarks.load`.
"""

import asyncio
import importlib
import signal
import sys
from typing import Any

from benchmarks.load import Phase, perform
from benchmarks.payload import sent
from benchmarks.sampling import sampled
from benchmarks.speed import hide_unless_fast, run


async def serve(peer: Any, address: str) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with peer.serving(address):
        # Only now: some servers handle the signals themselves while they start.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        print("ready", flush=True)
        await stopped.wait()


async def call(peer: Any, address: str) -> None:
    data = sent()
    async with peer.calling(address) as echo:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print((await perform(Phase.parse(line), echo, data)).line(), flush=True)


def main() -> None:
    module, role, address = sys.argv[1:]
    hide_unless_fast()  # before anything of the peer is imported
    peer = importlib.import_module(f"benchmarks.peers.{module}")
    work = serve(peer, address) if role == "serve" else call(peer, address)
    with sampled(role):
        run(work)


if __name__ == "__main__":
    main()

"""How long `broker.testing.running` takes to be entered, beyond importing it: in fresh processes, and when warm.

Run ``python -m benchmarks.start_up``.
"""

import asyncio
import json
import logging
import statistics
import subprocess
import sys
import time

PROCESSES = 9
STARTS = 20


async def measured() -> dict[str, float]:
    began = time.perf_counter()
    import structlog

    from broker.testing import running
    from examples.quickstart import crm

    imported = time.perf_counter() - began
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    starts, stops = [], []
    for _ in range(STARTS):
        began = time.perf_counter()
        async with running(crm, tenants=["acme-corp"]):
            starts.append(time.perf_counter() - began)
            began = time.perf_counter()
        stops.append(time.perf_counter() - began)
    return {"import": imported, "first": starts[0], "warm": statistics.median(starts), "stop": statistics.median(stops)}


def main() -> None:
    if "--once" in sys.argv:
        print(json.dumps(asyncio.run(measured())))
        return
    command = [sys.executable, "-m", "benchmarks.start_up", "--once"]
    runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(PROCESSES)]
    for name in ("import", "first", "warm", "stop"):
        found = sorted(1000 * run[name] for run in runs)
        print(f"{name:7} median {statistics.median(found):6.1f} ms, from {found[0]:.1f} to {found[-1]:.1f} ms")


if __name__ == "__main__":
    main()

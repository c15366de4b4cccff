"""What a run was taken on, for whoever reads its figures later."""

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.rabbitmq import RabbitMQNode
from tests.rabbitmq_management import Management


def describe(node: RabbitMQNode) -> dict[str, Any]:
    """Processor, memory, kernel, Python, RabbitMQ and Erlang; the load of the machine when it was asked."""
    overview = Management(node.management_url).call("GET", "overview")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "rabbitmq": overview["rabbitmq_version"],
        "erlang": overview["erlang_version"],
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def library_version(pkg_config_name: str) -> dict[str, str]:
    """The version of a C library, as pkg-config knows it."""
    command = ["pkg-config", "--modversion", pkg_config_name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {pkg_config_name: done.stdout.strip()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")

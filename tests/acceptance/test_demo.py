"""The demo, as `make demo` plays it: embedded in one process, and as processes over RabbitMQ."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.rabbitmq import RabbitMQNode

ROOT = Path(__file__).parents[2]
LONGEST_SECONDS = 90.0


async def play(*arguments: str) -> tuple[int | None, str]:
    """Play the demo and return its exit status and what it told."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLEXICA_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "examples.demo",
        *arguments,
        cwd=ROOT,
        env={**environment, "PLEXICA_INSECURE": "yes", "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, told.decode()


def tells_the_whole_story(told: str) -> bool:
    words = ("427000", "61.25", "201600", "plugin-crm → plugin-analytics", "came out right")
    missing = [word for word in words if word not in told.replace(",", "").replace("\u202f", "")]
    assert not missing, f"{missing} not in:\n{told}"
    return "Traceback" not in told and "Failed" not in told


async def test_embedded_demo_tells_the_figures() -> None:
    status, told = await play()

    assert status == 0, told
    assert tells_the_whole_story(told)


async def test_demo_over_rabbitmq_tells_the_figures_and_leaves_nothing(
    rabbitmq_node: RabbitMQNode, vhost: str, vhost_url: str
) -> None:
    status, told = await play("--url", vhost_url)

    assert status == 0, told
    assert tells_the_whole_story(told)
    assert [queue["name"] for queue in rabbitmq_node.queues(vhost)] == []
    exchanges = [str(one["name"]) for one in rabbitmq_node._api.call("GET", "exchanges", vhost)]
    assert [name for name in exchanges if name and not name.startswith("amq.")] == []


@pytest.mark.parametrize("url", ["memory://", "http://localhost"])
async def test_demo_that_cannot_connect_says_so_and_fails(url: str) -> None:
    status, told = await play("--url", url)

    assert status not in {0, None}
    assert "Traceback" not in told
    assert told.strip()

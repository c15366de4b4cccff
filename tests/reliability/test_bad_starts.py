"""What cannot start says why in one place, with status 1; what can wait, waits and says so."""

import asyncio
import json
from pathlib import Path

import pytest

from broker.cli.connection import caller_over, over_rabbitmq
from broker.cli.connection import connected as connected_to
from contracts.errors import InvalidRequestError, ServiceUnavailableError
from plugin_runtime import Plugin, RuntimeSettings
from plugin_runtime.registry_client import PlatformClient
from tests.ports import free_port
from tests.rabbitmq import RabbitMQNode
from tests.reliability.processes import OBSERVER, Processes, answered, connected
from tests.reliability.relay import Relay
from tests.waiting import eventually

BROKEN = {
    "id": "plugin-broken",
    "name": "Broken",
    "version": "1.0",
    "api": {
        "servces": [],
        "services": [{"name": "crm.contacts", "version": "1.0.0", "endpoints": [{"method": "GETT", "path": "x"}]}],
        "dependencies": [{"pluginId": "plugin-crm", "version": "abc"}],
    },
}


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(f"amqp://guest:guest@127.0.0.1:{free_port()}/", tmp_path)


async def test_a_broken_manifest_names_every_error_by_its_path(processes: Processes, tmp_path: Path) -> None:
    """All six at once, before anything connects."""
    (tmp_path / "plugin.json").write_text(json.dumps(BROKEN))
    name = await processes.start("tests.reliability.plugins.from_file", PLUGIN_JSON=str(tmp_path / "plugin.json"))

    status = await processes.ended(name)
    said = processes.log(name)

    assert status == 1
    assert "has 6 errors:" in said
    for path in ("version", "api.servces", "api.services.0.name", "api.services.0.endpoints.0.method"):
        assert f"  {path}: " in said
    assert "  api.services.0.endpoints.0.path: path 'x' must start with '/'" in said
    assert "  api.dependencies.0.version: range 'abc' is not an npm version range" in said


async def test_the_broker_refuses_a_broken_manifest_with_every_path(vhost_url: str, tmp_path: Path) -> None:
    processes = Processes(vhost_url, tmp_path)
    await processes.start_broker()
    try:
        async with connected(Plugin.from_manifest(OBSERVER), vhost_url) as runner:
            with pytest.raises(InvalidRequestError) as caught:
                await runner.tenant("acme-corp").service("system.plugins").put("/plugins", body={"manifest": BROKEN})
    finally:
        await processes.kill_all()

    paths = {error["path"] for error in caught.value.details["errors"]}
    assert {"manifest.version", "manifest.api.servces", "manifest.api.dependencies.0.version"} <= paths


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://localhost:5672/", "has scheme 'http', not amqp or amqps"),
        ("memory://", "can reach nobody by memory://"),
        ("amqp://", "names no host"),
        ("amqp://localhost:port/", "is not an address"),
    ],
)
@pytest.mark.parametrize("module", ["broker", "examples.crm"])
async def test_a_wrong_url_ends_with_a_sentence(processes: Processes, module: str, url: str, said: str) -> None:
    name = await processes.start(module, PLEXICA_URL=url)

    assert await processes.ended(name) == 1
    assert said in processes.log(name)
    assert "Traceback" not in processes.log(name)


@pytest.mark.parametrize("module", ["broker", "examples.crm"])
async def test_a_wrong_password_ends_with_a_sentence(
    rabbitmq_node: RabbitMQNode, vhost: str, tmp_path: Path, module: str
) -> None:
    processes = Processes(rabbitmq_node.url(vhost, "guest", "wrong"), tmp_path)
    name = await processes.start(module)

    assert await processes.ended(name) == 1
    assert "refused the password of 'guest', or knows no such user: check PLEXICA_URL" in processes.log(name)
    assert "Traceback" not in processes.log(name)
    assert "wrong" not in processes.log(name)


@pytest.mark.parametrize("module", ["broker", "examples.crm"])
async def test_a_wrong_vhost_ends_with_a_sentence(rabbitmq_node: RabbitMQNode, tmp_path: Path, module: str) -> None:
    processes = Processes(rabbitmq_node.url("nowhere"), tmp_path)
    name = await processes.start(module)

    assert await processes.ended(name) == 1
    assert "has no vhost 'nowhere': rabbitmqctl add_vhost nowhere" in processes.log(name)
    assert "Traceback" not in processes.log(name)


@pytest.mark.parametrize("module", ["broker", "examples.crm"])
async def test_who_waits_at_a_dead_port_says_where_and_of_no_lost_connection(processes: Processes, module: str) -> None:
    name = await processes.start(module)
    try:
        await eventually(lambda: "transport.waiting" in processes.log(name))
    finally:
        await processes.kill_all()

    assert "nobody listens at 127.0.0.1:" in processes.log(name)
    assert "lost" not in processes.log(name)


async def test_everything_waits_for_rabbitmq_and_says_so(relay: Relay, tmp_path: Path) -> None:
    """Broker and plugin are started first; RabbitMQ comes later, and they serve."""
    processes = Processes(relay.url, tmp_path)
    broker = await processes.start("broker")
    plugin = await processes.start("examples.crm")
    try:
        for name in (broker, plugin):
            assert await eventually(lambda name=name: "transport.waiting" in processes.log(name))
        await relay.open()
        async with connected(Plugin.from_manifest(OBSERVER), relay.url) as runner:
            await answered(runner.tenant("acme-corp"), "crm.contacts", "/contacts")
    finally:
        await processes.kill_all()


async def test_a_broker_with_an_unusable_store_says_so(vhost_url: str, tmp_path: Path) -> None:
    processes = Processes(vhost_url, tmp_path)
    name = await processes.start("broker", PLEXICA_STORE=str(tmp_path / "nowhere" / "broker.db"))

    assert await processes.ended(name) == 1
    assert "nowhere" in processes.log(name)
    assert "Traceback" not in processes.log(name)


async def test_a_second_broker_on_one_store_ends_with_a_sentence(processes: Processes, tmp_path: Path) -> None:
    """It needs no RabbitMQ to know, and the first goes on; once that was killed, the store is free at once."""
    first = await processes.start("broker")
    await eventually(lambda: "transport.waiting" in processes.log(first))
    second = await processes.start("broker", PLEXICA_PREFIX="other.")
    try:
        status = await processes.ended(second)
        await processes.kill(first)
        third = await processes.start("broker")
        await eventually(lambda: "transport.waiting" in processes.log(third))
    finally:
        await processes.kill_all()

    assert status == 1
    assert f"store '{tmp_path / 'broker.db'}' is used by another broker (process " in processes.log(second)
    assert "Traceback" not in processes.log(second)


@pytest.mark.parametrize("seconds", [0, 1])
async def test_a_heartbeat_that_would_void_the_lock_ends_with_a_sentence(processes: Processes, seconds: int) -> None:
    name = await processes.start("broker", PLEXICA_URL=f"{processes.url}?heartbeat={seconds}")

    assert await processes.ended(name) == 1
    assert f"plexica broker: heartbeat={seconds} in PLEXICA_URL " in processes.log(name)
    assert "Traceback" not in processes.log(name)


async def test_a_store_that_is_a_folder_ends_with_a_sentence(processes: Processes, tmp_path: Path) -> None:
    name = await processes.start("broker", PLEXICA_STORE=str(tmp_path))

    assert await processes.ended(name) == 1
    assert f"plexica broker: store '{tmp_path}' is a folder, not a file" in processes.log(name)
    assert "Traceback" not in processes.log(name)


async def test_a_bus_that_never_had_a_broker_is_told_at_once(vhost_url: str) -> None:
    settings = RuntimeSettings(url=vhost_url)

    async with connected_to(settings, timeout=60.0, connect=over_rabbitmq) as transport:
        with pytest.raises(ServiceUnavailableError, match=r"^no broker answers on "):
            await asyncio.wait_for(PlatformClient(caller_over(transport, settings, timeout=60.0)).tenants(), 5.0)

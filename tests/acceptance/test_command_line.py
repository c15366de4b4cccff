"""``plexica`` as a process of its own, over RabbitMQ: what an operator does, and what scripts rely on."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contracts.ids import new_id
from contracts.names import OPERATOR_PLUGIN, SYSTEM_PLUGIN
from plugin_runtime import Call
from plugin_runtime.transport.base import Transport
from plugin_runtime.transport.factory import DEFAULT_TRANSPORT, make_transport
from tests.acceptance.plugins import make_crm, make_plugin, manifest, need
from tests.acceptance.world import ACME, LEASE_SECONDS, World, world_on
from tests.factories import Json
from tests.ports import free_port
from tests.rabbitmq import RabbitMQNode
from tests.waiting import eventually

SECONDS = 30.0
NOBODY = 1.0
"""How long a command of these tests waits for a broker that is not there."""

pytestmark = pytest.mark.rabbitmq


@dataclass(frozen=True)
class Ran:
    """What a command printed, its exit status, and how long it took."""

    status: int | None
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def start(url: str, *words: str, **environment: str) -> Process:
    """Start the command."""
    given = {**os.environ, "PLEXICA_URL": url, "PLEXICA_PREFIX": "", "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "broker.cli", *words, env={**given, **environment}, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def run(url: str, *words: str, **environment: str) -> Ran:
    """Run the command to its end."""
    began = time.monotonic()
    process = await start(url, *words, **environment)
    async with asyncio.timeout(SECONDS):
        out, err = await process.communicate()
    return Ran(process.returncode, out.decode(), err.decode(), time.monotonic() - began)


@pytest.fixture
async def world(vhost_url: str) -> AsyncIterator[World]:
    """A broker that installs nothing by itself."""
    async with world_on(vhost_url, auto_install=False) as opened:
        yield opened


@pytest.fixture
def plexica(vhost_url: str) -> Callable[..., Awaitable[Ran]]:
    """The command, at that broker."""

    async def running(*words: str) -> Ran:
        return await run(vhost_url, *words, PLEXICA_TENANT=ACME)

    return running


Plexica = Callable[..., Awaitable[Ran]]


def written(folder: Path, document: Json) -> str:
    place = folder / f"{document['id']}.json"
    place.write_text(json.dumps(document))
    return str(place)


ANALYTICS = manifest("analytics", needs=(need("crm", "^1.0.0", "crm.contacts"),)).to_json()


async def test_an_operator_brings_a_tenant_up_and_takes_it_down(world: World, plexica: Plexica, tmp_path: Path) -> None:
    crm = make_crm()
    assert (await plexica("tenant", "create", ACME)).status == 0
    for document in (crm.manifest.to_json(), ANALYTICS):
        assert (await plexica("plugin", "register", written(tmp_path, document))).status == 0
    refused = await plexica("install", "plugin-analytics")
    installed = [await plexica("install", plugin) for plugin in ("plugin-crm", "plugin-analytics")]
    await world.connect(crm, tenants=[])
    services = await plexica("services", "list", "--json")
    kept = await plexica("uninstall", "plugin-crm")
    gone = [await plexica("uninstall", plugin) for plugin in ("plugin-analytics", "plugin-crm")]
    left = await plexica("installations", "--json")

    assert refused.status == 1
    assert refused.err.startswith("UNRESOLVABLE: Missing dependency: plugin-crm (required by plugin-analytics)")
    assert [done.status for done in installed] == [0, 0]
    found = [(item["serviceName"], item["status"], item["instances"]) for item in services.json["services"]]
    assert found == [("crm.contacts", "HEALTHY", 1)]
    assert kept.status == 1
    assert "required by plugin-analytics" in kept.err
    assert [done.status for done in gone] == [0, 0]
    assert left.json == {"installations": []}


async def test_watch_tells_what_happens_and_leaves_no_queue_behind(
    world: World, plexica: Plexica, vhost_url: str, vhost: str, rabbitmq_node: RabbitMQNode
) -> None:
    watching = await start(vhost_url, "services", "watch", "--count", "1", "--json")
    await eventually(lambda: own_queues(rabbitmq_node, vhost))
    await plexica("tenant", "create", ACME)
    out, err = await asyncio.wait_for(watching.communicate(), SECONDS)

    told = json.loads(out)
    assert (told["key"], told["type"], told["tenant"]) == (f"{ACME}.tenant.created", "tenant.created", ACME)
    assert err == b""
    assert watching.returncode == 0
    assert own_queues(rabbitmq_node, vhost) == []
    await world.settled()


async def test_ctrl_c_ends_a_watch_with_130_and_leaves_no_queue_behind(
    world: World, vhost_url: str, vhost: str, rabbitmq_node: RabbitMQNode
) -> None:
    watching = await start(vhost_url, "services", "watch")
    await eventually(lambda: own_queues(rabbitmq_node, vhost))
    assert watching.stderr is not None
    await watching.stderr.readline()
    watching.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(watching.communicate(), SECONDS)

    assert watching.returncode == 130
    assert err == b""
    assert own_queues(rabbitmq_node, vhost) == []
    await world.settled()


async def test_a_reader_that_goes_away_ends_a_watch_without_a_traceback(
    world: World, plexica: Plexica, vhost_url: str, vhost: str, rabbitmq_node: RabbitMQNode
) -> None:
    watching = await start(vhost_url, "services", "watch", "--json")
    await eventually(lambda: own_queues(rabbitmq_node, vhost))
    transport: Any = watching.stdout._transport  # type: ignore[union-attr]
    transport.close()
    await plexica("tenant", "create", ACME)
    assert watching.stderr is not None
    err = await asyncio.wait_for(watching.stderr.read(), SECONDS)

    assert b"Traceback" not in err
    assert await asyncio.wait_for(watching.wait(), SECONDS) == 1
    await world.settled()


async def test_without_rabbitmq_one_line_says_so_soon() -> None:
    url = f"amqp://guest:hush@127.0.0.1:{free_port()}/"

    ran = await run(url, "tenant", "list", "--timeout", str(NOBODY))

    assert ran.status == 1
    assert ran.err.startswith("UNREACHABLE: nobody listens at 127.0.0.1:")
    assert "(connection refused)" in ran.err
    assert "hush" not in ran.err
    assert len(ran.err.splitlines()) == 1
    assert ran.seconds < 20


async def test_where_no_broker_ever_was_one_line_says_so_at_once(vhost_url: str) -> None:
    ran = await run(vhost_url, "tenant", "list", "--timeout", "20")

    assert ran.status == 1
    assert ran.err.startswith("SERVICE_UNAVAILABLE: no broker answers on amqp://")
    assert len(ran.err.splitlines()) == 1
    assert ran.seconds < 20


async def test_a_broker_that_went_is_told_from_one_that_is_slow(world: World, vhost_url: str) -> None:
    await world.stop_broker()

    ran = await run(vhost_url, "tenant", "list", "--json", "--timeout", str(NOBODY))

    told = json.loads(ran.err)["error"]
    assert ran.status == 1
    assert told["code"] == "SERVICE_UNAVAILABLE"
    assert told["message"].startswith("no broker answers on amqp://")


@pytest.mark.parametrize(
    ("address", "code"),
    [("http://localhost/", "INVALID_URL"), ("memory://", "INVALID_URL"), ("amqp://", "INVALID_URL")],
)
async def test_an_address_that_cannot_work_is_told(address: str, code: str) -> None:
    ran = await run(address, "tenant", "list")

    assert ran.status == 1
    assert ran.err.startswith(f"{code}: ")
    assert len(ran.err.splitlines()) == 1


async def test_a_vhost_that_is_not_there_is_told(vhost_url: str) -> None:
    ran = await run(f"{vhost_url}-nowhere", "tenant", "list")

    assert ran.status == 1
    assert ran.err.count("\n") == 1
    assert "nowhere" in ran.err


def own_queues(node: RabbitMQNode, vhost: str) -> list[str]:
    """The queues of commands that run now."""
    return [str(found["name"]) for found in node.queues(vhost) if f"instance.{OPERATOR_PLUGIN}" in str(found["name"])]


# Calls


async def test_an_operator_calls_an_endpoint_and_leaves_no_queue_behind(
    world: World, plexica: Plexica, vhost: str, rabbitmq_node: RabbitMQNode
) -> None:
    await plexica("tenant", "create", ACME)
    await world.connect(make_crm({"name": "Ada"}), tenants=[])
    absent = await plexica("call", "crm.contacts", "GET", "/contacts")
    await plexica("install", "plugin-crm")
    called = await plexica("call", "crm.contacts", "GET", "/contacts")
    for_machines = await plexica("call", "crm.contacts", "GET", "/contacts", "--json")

    assert absent.status == 1
    assert absent.err.startswith("SERVICE_NOT_FOUND: Service crm.contacts not found or unavailable")
    assert (called.status, called.json) == (0, {"name": "Ada"})
    assert called.err.startswith("200 OK  crm.contacts 1.0.0  instance ")
    assert (for_machines.json["status"], for_machines.json["data"]) == (200, {"name": "Ada"})
    assert queues_of_the_command(rabbitmq_node, vhost) == []


async def test_a_callee_that_dies_is_told_long_before_the_calls_deadline(vhost_url: str) -> None:
    running = asyncio.Event()
    crm = make_plugin("crm", "POST /contacts")

    @crm.service("crm.contacts").post("/contacts")
    async def never(_call: Call) -> None:
        running.set()
        await asyncio.Event().wait()

    async with world_on(vhost_url, lease_seconds=LEASE_SECONDS, heartbeat_seconds=0.1) as world:
        runner = await world.connect(crm)
        calling = asyncio.create_task(run(vhost_url, "call", "crm.contacts", "POST", "/contacts", "-t", ACME))
        await running.wait()
        await world.crash(runner)
        left = await calling

    assert left.status == 1
    assert left.err.startswith("OUTCOME_UNKNOWN: ")


def queues_of_the_command(node: RabbitMQNode, vhost: str) -> list[str]:
    """Every queue that commands made for themselves."""
    return [str(found["name"]) for found in node.queues(vhost) if OPERATOR_PLUGIN in str(found["name"])]


# Measuring


async def known(plexica: Plexica) -> tuple[list[str], list[str]]:
    """The tenants and the plugins that the broker knows."""
    tenants, plugins = await plexica("tenant", "list", "--json"), await plexica("plugin", "list", "--json")
    return tenants.json["tenants"], [item["id"] for item in plugins.json["plugins"]]


async def test_a_bench_measures_its_own_echo_and_takes_it_away(
    world: World, plexica: Plexica, vhost: str, rabbitmq_node: RabbitMQNode
) -> None:
    done = await plexica("bench", "--seconds", "0.1", "--in-flight", "8", "--json")

    assert done.status == 0, done.err
    assert [item["inFlight"] for item in done.json["stages"]] == [1, 8]
    assert all(item["count"] > 0 and item["failures"] == {} for item in done.json["stages"])
    assert await known(plexica) == ([], [])
    assert [
        found for found in rabbitmq_node.queues(vhost) if str(found["name"]).startswith(("calls.bench", "dead."))
    ] == []
    assert queues_of_the_command(rabbitmq_node, vhost) == []
    await world.settled()


async def test_ctrl_c_takes_the_echo_away_too(
    world: World, plexica: Plexica, vhost_url: str, vhost: str, rabbitmq_node: RabbitMQNode
) -> None:
    measuring = await start(vhost_url, "bench", "--seconds", "60")
    await eventually(lambda: queues_of_the_command(rabbitmq_node, vhost))
    measuring.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(measuring.communicate(), SECONDS)

    assert measuring.returncode == 130
    assert b"Traceback" not in err
    assert await known(plexica) == ([], [])
    assert queues_of_the_command(rabbitmq_node, vhost) == []
    await world.settled()


async def test_a_bench_without_a_broker_leaves_nothing_to_say_but_that(vhost_url: str) -> None:
    ran = await run(vhost_url, "bench")

    assert ran.status == 1
    assert len(ran.err.splitlines()) == 2
    assert ran.err.splitlines()[1].startswith("SERVICE_UNAVAILABLE: no broker answers on amqp://")


# Where each plugin has a RabbitMQ user of its own

ALL = ".*"
OWN = r"^(replies|instance)\.plugin-plexica\..*$"
"""The queues that the command makes for itself, as docs/running.md says."""


class Vouched(World):
    """A world in which RabbitMQ vouches for each publisher: the login is the plugin."""

    def __init__(self, node: RabbitMQNode, vhost: str) -> None:
        super().__init__(node.url(vhost), store=None, auto_install=True)
        self._urls = {name: node.url(vhost, name, "secret") for name in (SYSTEM_PLUGIN, "plugin-crm")}

    def transport(self, identity: str, instance: str = "") -> Transport:
        return make_transport(DEFAULT_TRANSPORT, self._urls[identity], identity=identity, instance=instance or new_id())


async def test_a_plugin_that_may_not_write_to_the_default_exchange_answers_the_command(
    rabbitmq_node: RabbitMQNode, vhost: str
) -> None:
    plexica_writes = rf"^plexica\.(calls|replies|cancel)$|{OWN}"
    rabbitmq_node.create_user(SYSTEM_PLUGIN, "secret", vhost, configure=ALL, write=ALL, read=ALL)
    rabbitmq_node.create_user("plugin-crm", "secret", vhost, configure="^$", write=r"^plexica\.", read=ALL)
    rabbitmq_node.create_user(OPERATOR_PLUGIN, "secret", vhost, configure=OWN, write=plexica_writes, read=ALL)
    world = Vouched(rabbitmq_node, vhost)
    await world.start_broker()
    try:
        await world.connect(make_crm({"name": "Ada"}))
        url = rabbitmq_node.url(vhost, OPERATOR_PLUGIN, "secret")
        called = await run(url, "call", "crm.contacts", "GET", "/contacts", "-t", ACME)
    finally:
        await world.close()
        for user in (SYSTEM_PLUGIN, "plugin-crm", OPERATOR_PLUGIN):
            rabbitmq_node.delete_user(user)

    assert called.status == 0, called.err
    assert called.json == {"name": "Ada"}

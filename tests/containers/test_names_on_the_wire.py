"""RabbitMQ's management API, held against section 2 of the design: every name fits its pattern, nothing is unknown.

The patterns are written by hand here, not built by `contracts.topology`: that is what they judge.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from tests.containers.compose import ROOT, ComposeProject
from tests.waiting import eventually_blocking

WORD = r"[a-z0-9]+(?:-[a-z0-9]+)*"
PLUGIN = rf"plugin-{WORD}"
INSTANCE = r"[a-z0-9-]{1,32}"
SERVICE = rf"{WORD}\.{WORD}"
VERSION = r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?"
TENANT = rf"(?:{WORD}|_)"
KEY = r"[A-Za-z0-9_*#-]+(?:\.[A-Za-z0-9_*#-]+)*"

TEN_MINUTES = 600_000
CALLS = {"x-overflow": "reject-publish", "x-max-length": 10_000}
IDLE = {"x-expires": TEN_MINUTES}
LIMITED = {"x-delivery-limit": 20}

QUEUES: dict[str, tuple[str, dict[str, Any]]] = {
    rf"calls\.(?!system\.){SERVICE}\.{VERSION}": ("classic", {**CALLS, **IDLE}),
    rf"calls\.system\.{WORD}\.{VERSION}": ("classic", CALLS),
    rf"replies\.{PLUGIN}\.{INSTANCE}": ("classic", IDLE),
    rf"instance\.{PLUGIN}\.{INSTANCE}": ("classic", {**IDLE, "x-overflow": "drop-head"}),
    rf"events\.{PLUGIN}\.{WORD}": (
        "quorum",
        {**LIMITED, "x-dead-letter-exchange": "plexica.dead", "x-dead-letter-strategy": "at-least-once"},
    ),
    rf"delay\.{PLUGIN}\.{WORD}\.[1-9]": ("quorum", {**LIMITED, "x-dead-letter-exchange": "plexica.redelivery"}),
    rf"dead\.{PLUGIN}": ("quorum", LIMITED),
    r"broker\.lock": ("classic", {}),
    r"broker\.heartbeats": ("classic", {"x-message-ttl": 10_000, "x-max-length": 100_000, "x-overflow": "drop-head"}),
    r"broker\.presence": ("classic", {**IDLE, "x-max-length": 10_000, "x-overflow": "drop-head"}),
}
HEARTBEATS = r"_\.system\.heartbeat\.1\.0\.0 -> broker\.heartbeats"
BINDINGS = {
    "plexica.calls": rf"(?:{TENANT}|\*)\.{SERVICE}\.{VERSION} -> calls\..+|{HEARTBEATS}",
    "plexica.replies": rf"({PLUGIN}\.{INSTANCE}) -> replies\.\1",
    "plexica.events": rf"{TENANT}\.{KEY} -> (?:events|instance)\..+",
    "plexica.data": rf"{TENANT}\.{KEY} -> (?:events|instance)\..+",
    "plexica.registry": r"# -> instance\..+",
    "plexica.cancel": rf"({PLUGIN}) -> instance\.\1\.{INSTANCE}",
    "plexica.redelivery": rf"({PLUGIN}\.{WORD}(?:\.[1-9])?) -> (?:events|delay)\.\1",
    "plexica.dead": rf"({PLUGIN})\.# -> dead\.\1",
    "amq.rabbitmq.event": r"consumer\.deleted -> broker\.presence",
}
EXCHANGES = {*BINDINGS} - {"amq.rabbitmq.event"}
NOT_OURS = re.compile(r"(?:amq\..*)?")
"""RabbitMQ's own exchanges; the default one has the empty name."""

MANIFESTS = [
    json.loads(path.read_text())
    for path in (
        ROOT / "broker/plugin.json",
        *(ROOT / f"examples/{name}/plugin.json" for name in ("crm", "analytics", "marketing", "invoicing")),
    )
]
SUBSCRIPTIONS = {"plugin-marketing": {"welcome-campaign": "acme-corp.crm.events.contact.created"}}
HEALTH_CHECK = "ping"


def listed(project: ComposeProject, *path: str) -> list[dict[str, Any]]:
    """What the management API lists."""
    return list(project.management.call("GET", *path))


def only(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that do not fit the pattern."""
    return [name for name in names if not re.fullmatch(pattern, name)]


@pytest.fixture
def instances(project: ComposeProject) -> dict[str, str]:
    """The one running instance of each plugin, by its connections; nothing but health checks comes besides."""

    def found() -> list[list[str]]:
        names = [str(one.get("user_provided_name", "")) for one in listed(project, "connections")]
        assert only(rf"{PLUGIN}/{INSTANCE}/(?:publish|consume)", names) == []
        return sorted(name.split("/") for name in names if name.split("/")[1] != HEALTH_CHECK)

    expected = 2 * len(MANIFESTS)
    eventually_blocking(lambda: len(found()) == expected, 30.0, f"there are not {expected} connections")
    roles = [(plugin, role) for plugin, _, role in found()]

    assert roles == sorted((one["id"], role) for one in MANIFESTS for role in ("consume", "publish"))
    return {plugin: instance for plugin, instance, _ in found()}


def services_of(manifest: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["version"] for item in manifest["api"].get("services", ())}


def test_consumer_tags_name_plugin_instance_and_role(project: ComposeProject, instances: dict[str, str]) -> None:
    expected: dict[str, str] = {}
    for manifest in MANIFESTS:
        plugin = manifest["id"]
        own, tag = f"{plugin}.{instances[plugin]}", f"{plugin}/{instances[plugin]}"
        expected |= {f"{tag}/replies": f"replies.{own}", f"{tag}/instance": f"instance.{own}"}
        expected |= {f"{tag}/{name}": f"calls.{name}.{version}" for name, version in services_of(manifest).items()}
        expected |= {f"{tag}/{name}": f"events.{plugin}.{name}" for name in SUBSCRIPTIONS.get(plugin, ())}
    broker = f"plugin-system/{instances['plugin-system']}"
    expected |= {f"{broker}/{name}": f"broker.{name}" for name in ("heartbeats", "presence")}

    found = {one["consumer_tag"]: one["queue"]["name"] for one in listed(project, "consumers", "plexica")}

    assert found == expected


def test_every_queue_is_one_of_the_design(project: ComposeProject, instances: dict[str, str]) -> None:
    names = set()
    for queue in listed(project, "queues", "plexica"):
        names.add(queue["name"])
        fitting = [wanted for pattern, wanted in QUEUES.items() if re.fullmatch(pattern, queue["name"])]

        assert len(fitting) == 1, f"{queue['name']} fits {len(fitting)} patterns"
        kind, arguments = fitting[0]
        assert (queue["type"], queue["arguments"] | arguments) == (kind, queue["arguments"]), queue["name"]
        assert ("x-expires" in queue["arguments"]) is ("x-expires" in arguments), queue["name"]
        assert queue["durable"] is (queue["name"] != "broker.lock")
    for plugin, instance in instances.items():
        assert {f"replies.{plugin}.{instance}", f"instance.{plugin}.{instance}", "broker.lock"} <= names


def test_no_event_queue_has_a_maximal_length(project: ComposeProject) -> None:
    """One full subscriber would refuse the publisher for everybody."""
    events = [one for one in listed(project, "queues", "plexica") if one["name"].startswith("events.")]

    assert events
    assert [one["name"] for one in events if "x-max-length" in one["arguments"]] == []


def test_every_exchange_is_one_of_the_design(project: ComposeProject) -> None:
    ours = [one for one in listed(project, "exchanges", "plexica") if not NOT_OURS.fullmatch(one["name"])]

    assert {one["name"] for one in ours} == EXCHANGES
    assert {(one["type"], one["durable"]) for one in ours} == {("topic", True)}


def test_rabbitmqs_own_events_are_published_in_the_vhost(project: ComposeProject) -> None:
    names = {one["name"] for one in listed(project, "exchanges", "plexica")}

    assert "amq.rabbitmq.event" in names
    assert [one["name"] for one in listed(project, "vhosts")] == ["plexica"]


def test_every_binding_is_one_of_the_design(project: ComposeProject) -> None:
    bindings = [one for one in listed(project, "bindings", "plexica") if one["source"]]
    keys = {(one["source"], f"{one['routing_key']} -> {one['destination']}") for one in bindings}

    assert {source for source, _ in keys} <= set(BINDINGS)
    for source, binding in keys:
        assert re.fullmatch(BINDINGS[source], binding), f"{source}: {binding}"


def test_acme_corp_has_the_bindings_of_what_is_installed(project: ComposeProject) -> None:
    services = {name: version for one in MANIFESTS[1:] for name, version in services_of(one).items()}
    expected = {(f"acme-corp.{name}.{version}", f"calls.{name}.{version}") for name, version in services.items()}
    for plugin, subscriptions in SUBSCRIPTIONS.items():
        expected |= {(key, f"events.{plugin}.{name}") for name, key in subscriptions.items()}
    bindings = [one for one in listed(project, "bindings", "plexica") if one["source"]]

    of_acme = {
        (one["routing_key"], one["destination"]) for one in bindings if one["routing_key"].startswith("acme-corp.")
    }

    assert of_acme == expected


def test_the_brokers_own_services_are_bound_once_for_all_tenants(project: ComposeProject) -> None:
    expected = {f"*.{name}.{version}" for name, version in services_of(MANIFESTS[0]).items()}
    expected.add("_.system.heartbeat.1.0.0")
    keys = [one["routing_key"] for one in listed(project, "bindings", "plexica") if one["source"] == "plexica.calls"]

    assert {key for key in keys if ".system." in key} == expected

"""Every name that RabbitMQ sees is as designed, and short enough for AMQP."""

import pytest

from contracts import announcement_keys, topology
from contracts.names import (
    check_event_key,
    check_instance,
    check_key,
    check_namespace,
    check_plugin_id,
    check_service_name,
    check_subscription,
    check_tenant,
    matches,
)
from contracts.topology import RETRY_DELAYS_SECONDS, Binding, Topology
from contracts.versions import check_service_version

BUS = Topology()
SHORT_STRING_BYTES = 255  # AMQP 0-9-1, 4.2.5.3

TENANT = check_tenant("t" * 40)
PLUGIN = check_plugin_id("plugin-" + "p" * 57)
SERVICE = check_service_name("p" * 57 + "." + "r" * 64)
VERSION = check_service_version("1.0.0-" + "v" * 34)
NAMESPACE = check_namespace("n" * 80)
KEY = check_key("k" * 120)
EVENT = check_event_key("p." + "e" * 198)
SUBSCRIPTION = check_subscription("s" * 60)
INSTANCE = check_instance("i" * 32)

LONGEST_NAMES = [
    BUS.call_key(TENANT, SERVICE, VERSION),
    BUS.reply_key(PLUGIN, INSTANCE),
    BUS.tenant_key(TENANT, EVENT),
    BUS.tenant_key(TENANT, f"{NAMESPACE}.{KEY}"),
    BUS.call_queue(SERVICE, VERSION).name,
    BUS.dead_queue(PLUGIN).name,
    *[queue.name for queue in BUS.instance_queues(PLUGIN, INSTANCE)],
    *[queue.name for queue in BUS.subscription_queues(PLUGIN, SUBSCRIPTION)],
    *[binding.routing_key for binding in BUS.subscription_bindings(PLUGIN, SUBSCRIPTION)],
    announcement_keys.service_announcement("deregistered", SERVICE),
    announcement_keys.presence_announcement(SERVICE),
    announcement_keys.dependency_announcement(PLUGIN),
    announcement_keys.plugin_announcement(TENANT, "uninstalled", PLUGIN),
    topology.connection_name(PLUGIN, INSTANCE, "publish"),
]


@pytest.mark.parametrize("name", LONGEST_NAMES)
def test_the_longest_legal_name_fits_into_a_short_string(name: str) -> None:
    assert len(name.encode()) <= SHORT_STRING_BYTES


def test_the_exchanges_are_the_eight_of_the_design() -> None:
    kinds = ["calls", "replies", "events", "data", "registry", "cancel", "redelivery", "dead"]

    assert [exchange.name for exchange in BUS.exchanges()] == [f"plexica.{kind}" for kind in kinds]


def test_routing_keys_begin_with_the_tenant() -> None:
    assert BUS.call_key("acme-corp", "crm.contacts", "1.0.0") == "acme-corp.crm.contacts.1.0.0"
    assert BUS.tenant_key("acme-corp", "crm.events.contact.created") == "acme-corp.crm.events.contact.created"
    assert (
        announcement_keys.plugin_announcement("acme-corp", "installed", "plugin-crm")
        == "acme-corp.plugin.installed.plugin-crm"
    )


def test_announcements_without_a_tenant_begin_with_an_underscore() -> None:
    assert announcement_keys.service_announcement("status", "crm.contacts") == "_.service.status.crm.contacts"
    assert announcement_keys.presence_announcement("crm.contacts") == "_.presence.crm.contacts"
    assert announcement_keys.dependency_announcement("plugin-crm") == "_.dependency.declared.plugin-crm"


def test_the_queues_are_named_as_designed() -> None:
    queues = [
        BUS.call_queue("crm.contacts", "1.0.0"),
        *BUS.instance_queues("plugin-crm", "7f3a"),
        BUS.event_queue("plugin-crm", "welcome"),
        BUS.delay_queue("plugin-crm", "welcome", 1),
        BUS.dead_queue("plugin-crm"),
        BUS.lock_queue(),
    ]

    assert [queue.name for queue in queues] == [
        "calls.crm.contacts.1.0.0",
        "replies.plugin-crm.7f3a",
        "instance.plugin-crm.7f3a",
        "events.plugin-crm.welcome",
        "delay.plugin-crm.welcome.1",
        "dead.plugin-crm",
        "broker.lock",
    ]


def test_a_full_call_queue_rejects_and_a_full_instance_queue_drops_its_oldest() -> None:
    assert BUS.call_queue("crm.contacts", "1.0.0").overflow == "reject-publish"
    assert BUS.instance_queue("plugin-crm", "7f3a").overflow == "drop-head"


def test_one_full_subscriber_does_not_stop_the_publishers() -> None:
    assert BUS.event_queue("plugin-crm", "welcome").max_length is None


def test_every_quorum_queue_has_a_delivery_limit_of_its_own() -> None:
    queues = [*BUS.subscription_queues("plugin-crm", "welcome"), BUS.dead_queue("plugin-crm")]

    assert all(queue.kind == "quorum" and queue.delivery_limit for queue in queues)


def test_a_delayed_event_returns_to_its_own_subscription() -> None:
    [own, *delays] = BUS.subscription_bindings("plugin-crm", "welcome")
    queues = BUS.subscription_queues("plugin-crm", "welcome")[1:]

    assert own == Binding("events.plugin-crm.welcome", "plexica.redelivery", "plugin-crm.welcome")
    assert [delay.queue for delay in delays] == [queue.name for queue in queues]
    assert len(delays) == len(RETRY_DELAYS_SECONDS)
    assert {(queue.dead_letter_exchange, queue.dead_letter_routing_key) for queue in queues} == {
        (own.exchange, own.routing_key)
    }


def test_a_delay_is_shorter_than_the_longest_its_queue_allows() -> None:
    for step, delay in enumerate(RETRY_DELAYS_SECONDS, start=1):
        longest = BUS.delay_queue("plugin-crm", "welcome", step).message_ttl_seconds

        assert longest is not None
        assert delay < longest


def test_a_poison_event_ends_in_the_dead_letters_of_its_plugin() -> None:
    queue, binding = BUS.event_queue("plugin-crm", "welcome"), BUS.dead_binding("plugin-crm")

    assert queue.dead_letter_exchange == binding.exchange
    assert queue.dead_letter_at_least_once
    assert matches(binding.routing_key, queue.dead_letter_routing_key or "")
    assert not matches(binding.routing_key, "plugin-crm-2.welcome")


@pytest.mark.parametrize("tenant", ["acme-corp", "_"])
def test_the_brokers_services_are_bound_once_for_every_tenant_and_none(tenant: str) -> None:
    [binding] = BUS.system_bindings("system.data", "1.0.0")

    assert binding == Binding("calls.system.data.1.0.0", "plexica.calls", "*.system.data.1.0.0")
    assert matches(binding.routing_key, BUS.call_key(tenant, "system.data", "1.0.0"))


def test_a_service_answers_only_for_the_tenant_it_is_bound_for() -> None:
    binding = BUS.call_binding("acme-corp", "crm.contacts", "1.0.0")

    assert matches(binding.routing_key, "acme-corp.crm.contacts.1.0.0")
    assert not matches(binding.routing_key, "globex.crm.contacts.1.0.0")


def test_an_instance_hears_its_replies_every_announcement_and_what_is_taken_back() -> None:
    assert BUS.instance_bindings("plugin-crm", "7f3a") == (
        Binding("replies.plugin-crm.7f3a", "plexica.replies", "plugin-crm.7f3a"),
        Binding("instance.plugin-crm.7f3a", "plexica.registry", "#"),
        Binding("instance.plugin-crm.7f3a", "plexica.cancel", "plugin-crm"),
    )


def test_a_prefix_stands_before_exchanges_and_queues_but_not_before_keys() -> None:
    bus = Topology("test-")

    assert all(exchange.name.startswith("test-plexica.") for exchange in bus.exchanges())
    assert bus.call_binding("acme", "crm.contacts", "1.0.0") == Binding(
        "test-calls.crm.contacts.1.0.0", "test-plexica.calls", "acme.crm.contacts.1.0.0"
    )
    assert bus.exchange_kind(bus.calls) == "plexica.calls"


def test_a_connection_is_named_like_the_registry_names_its_owner() -> None:
    assert topology.connection_name("plugin-crm", "7f3a", "publish") == "plugin-crm/7f3a/publish"
    assert topology.connection_name("", "7f3a", "consume") == "plugin-system/7f3a/consume"


@pytest.mark.parametrize("prefix", ["", "demo."])
def test_the_instance_of_a_reply_queue_is_found(prefix: str) -> None:
    bus = Topology(prefix)

    assert bus.instance_of(bus.reply_queue("plugin-crm", "7f3a").name) == ("plugin-crm", "7f3a")


@pytest.mark.parametrize(
    "queue",
    ["", "replies.", "replies.plugin-crm", "replies.crm.1", "instance.plugin-crm.1", "other.replies.plugin-crm.1"],
)
def test_other_queues_belong_to_no_instance(queue: str) -> None:
    assert BUS.instance_of(queue) is None
    assert Topology("demo.").instance_of(queue) is None

"""How long a superseded version is needed."""

from typing import Any

import pytest

from broker.dependencies.resolver import PluginFacts
from broker.dependencies.succession import Life, still_needed
from contracts.manifest import Dependency


def facts(plugin: str, version: str, *needs: Dependency, **services: str) -> PluginFacts:
    """A plugin version; ``contacts="1.0.0"`` is its service ``crm.contacts``."""
    offered = {f"{plugin}.{resource}": found for resource, found in services.items()}
    return PluginFacts(id=f"plugin-{plugin}", version=version, dependencies=needs, services=offered)


def need(plugin: str, range_: str, **fields: Any) -> Dependency:
    return Dependency(plugin_id=f"plugin-{plugin}", version=range_, **fields)


def needed(*installed: PluginFacts, old: tuple[PluginFacts, ...], **life: Life) -> list[str]:
    """The versions that stay; ``v1_4=Life(...)`` is what instances of crm 1.4.0 do."""
    lives = {("plugin-crm", f"{name[1:].replace('_', '.')}.0"): found for name, found in life.items()}
    everything = [*installed, *old]
    return sorted(version for _, version in still_needed(everything, {item.node for item in old}, lives))


SERVING = Life(serving=frozenset({"crm.contacts"}), registered=frozenset({"crm.contacts"}), has_come=True)
LATE = Life(registered=frozenset({"crm.contacts"}), has_come=True)
OLD = facts("crm", "1.4.0", contacts="1.4.0")
NEW = facts("crm", "1.5.0", contacts="1.5.0")
NEXT = facts("crm", "2.0.0", contacts="2.0.0")


def test_what_nobody_serves_and_nobody_asks_for_goes_at_once() -> None:
    assert needed(NEW, old=(OLD,)) == []


def test_what_is_served_stays_until_its_successor_is_served() -> None:
    assert needed(NEW, old=(OLD,), v1_4=SERVING) == ["1.4.0"]
    assert needed(NEW, old=(OLD,), v1_4=SERVING, v1_5=SERVING) == []


def test_a_late_instance_keeps_its_version_and_does_not_replace_another() -> None:
    assert needed(NEW, old=(OLD,), v1_4=LATE) == ["1.4.0"]
    assert needed(NEW, old=(OLD,), v1_4=SERVING, v1_5=LATE) == ["1.4.0"]


def test_another_major_does_not_replace_what_the_same_major_will() -> None:
    """2.0 has served all along; whoever asks for ^1.0.0 waits for 1.5."""
    assert needed(NEW, NEXT, old=(OLD,), v1_4=SERVING, v2_0=SERVING) == ["1.4.0"]


def test_a_service_that_no_successor_offers_keeps_nothing_but_those_who_ask_for_it() -> None:
    new = facts("crm", "1.5.0", deals="1.0.0")
    shop = facts("shop", "1.0.0", need("crm", "*", service_name="crm.contacts"))

    assert needed(new, old=(OLD,), v1_4=SERVING) == []
    assert needed(new, shop, old=(OLD,), v1_4=SERVING) == ["1.4.0"]


def test_versions_that_share_a_queue_are_both_there_as_long_as_both_take_from_it() -> None:
    """Otherwise an old instance would refuse the calls that it takes from the queue."""
    old, new = facts("crm", "1.4.0", contacts="1.0.0"), facts("crm", "1.5.0", contacts="1.0.0")

    assert needed(new, old=(old,), v1_4=SERVING, v1_5=SERVING) == ["1.4.0"]
    assert needed(new, old=(old,), v1_5=SERVING) == []


def test_events_are_heard_until_a_successor_said_what_it_hears() -> None:
    hearing, come = Life(has_come=True, is_hearing=True), Life(has_come=True)

    assert needed(NEXT, old=(OLD,), v1_4=hearing) == ["1.4.0"]
    assert needed(NEXT, old=(OLD,), v1_4=hearing, v2_0=come) == []


@pytest.mark.parametrize("required", [True, False])
def test_a_range_that_only_the_old_version_meets_keeps_it(required: bool) -> None:
    shop = facts("shop", "1.0.0", need("crm", "~1.4.0", required=required))

    assert needed(NEW, shop, old=(OLD,), v1_5=SERVING) == ["1.4.0"]
    assert needed(NEW, facts("shop", "1.0.0", need("crm", "^1.4.0")), old=(OLD,), v1_5=SERVING) == []


def test_of_several_old_versions_the_highest_that_is_served_is_enough() -> None:
    older = facts("crm", "1.3.0", contacts="1.3.0")
    shop = facts("shop", "1.0.0", need("crm", "^1.0.0", service_name="crm.contacts"))

    assert needed(NEXT, shop, old=(older, OLD), v1_3=SERVING, v1_4=SERVING, v2_0=SERVING) == ["1.4.0"]
    assert needed(NEXT, shop, old=(older, OLD), v1_3=SERVING, v2_0=SERVING) == ["1.3.0", "1.4.0"]


def test_two_old_versions_do_not_keep_each_other() -> None:
    one = facts("a", "1.0.0", need("b", "^1.0.0", required=False))
    other = facts("b", "1.0.0", need("a", "^1.0.0", required=False))

    assert needed(facts("a", "2.0.0"), facts("b", "2.0.0"), old=(one, other)) == []


def test_an_old_version_that_is_kept_keeps_what_it_asks_for() -> None:
    shop = facts("shop", "1.0.0", need("crm", "~1.4.0"))
    old = facts("crm", "1.4.0", need("mail", "^1.0.0"))

    kept = needed(NEW, shop, facts("mail", "2.0.0"), old=(old, facts("mail", "1.0.0")))
    assert kept == ["1.0.0", "1.4.0"]

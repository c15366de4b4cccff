"""What an author probably did not mean is said in the log, once, and works all the same."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from plugin_runtime import Event, Plugin
from plugin_runtime.events.published_keys import MOST_KEYS, PublishedKeys
from plugin_runtime.slips import tell_slips
from tests.factories import Json, make_manifest, manifest_json

DECLARED = {"events": {"publishes": ["crm.events.contact.*"], "subscribes": ["billing.events.#"]}}


def warned(document: Json, *patterns: str) -> list[Any]:
    """What is logged as a plugin with these subscriptions starts."""
    plugin = Plugin.from_manifest(document)
    for number, pattern in enumerate(patterns):
        plugin.on(pattern, name=f"ears-{number}")(listen)
    with capture_logs() as logs:
        tell_slips(plugin.definition)
    return logs


async def listen(event: Event) -> None:
    del event


def test_a_key_that_is_nearly_one_is_warned_of() -> None:
    reason = "is not acted on; did you mean 'api'?"

    assert warned(manifest_json() | {"apis": {}}) == [
        {
            "event": "manifest.probable_slip",
            "log_level": "warning",
            "plugin": "plugin-crm",
            "key": "apis",
            "reason": reason,
        }
    ]


def test_a_subscription_that_no_declared_pattern_admits_is_warned_of() -> None:
    logs = warned(manifest_json(api=DECLARED), "billing.events.paid", "biling.events.#", "#")

    assert [(entry["event"], entry["subscription"], entry["reason"]) for entry in logs] == [
        (
            "subscription.undeclared",
            "ears-1",
            "no pattern of api.events.subscribes admits 'biling.events.#'; did you mean 'billing.events.#'?",
        ),
        ("subscription.undeclared", "ears-2", "no pattern of api.events.subscribes admits '#'"),
    ]


@pytest.mark.parametrize("api", [{}, {"events": {"publishes": ["crm.events.#"]}}])
def test_a_manifest_that_declares_no_events_is_warned_of_none(api: Json) -> None:
    assert warned(manifest_json(api=api), "billing.events.paid") == []


def test_changes_of_shared_data_are_declared_nowhere() -> None:
    plugin = Plugin.from_manifest(manifest_json(api=DECLARED))
    plugin.on_data("crm.cache.#")(listen)
    with capture_logs() as logs:
        tell_slips(plugin.definition)

    assert logs == []


def test_an_undeclared_key_is_warned_of_once() -> None:
    keys = PublishedKeys("plugin-crm", make_manifest(api=DECLARED).api.events.publishes)
    with capture_logs() as logs:
        for key in ("crm.events.contact.created", "crm.events.contacts.made", "crm.events.contacts.made"):
            keys.look_at(key)

    (entry,) = logs
    assert (entry["event"], entry["log_level"]) == ("event.undeclared", "warning")
    assert entry["reason"] == (
        "no pattern of api.events.publishes admits 'crm.events.contacts.made'; did you mean 'crm.events.contact.*'?"
    )


def test_keys_made_of_data_fill_no_memory() -> None:
    keys = PublishedKeys("plugin-crm", make_manifest(api=DECLARED).api.events.publishes)
    with capture_logs() as logs:
        for number in range(MOST_KEYS + 10):
            keys.look_at(f"crm.deals.{number}")

    assert len(logs) == MOST_KEYS

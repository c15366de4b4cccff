"""What an author may define, and the sentence that refuses the rest before anything connects."""

from typing import Any

import pytest

from contracts.errors import (
    DuplicateEndpointError,
    InvalidEndpointError,
    InvalidManifestError,
    InvalidSubscriptionError,
    NotRunningError,
)
from plugin_runtime import Call, Event, Plugin
from plugin_runtime.signatures import path_params


def crm() -> Plugin:
    endpoints = [{"method": "GET", "path": "/contacts/:id"}, {"method": "POST", "path": "/contacts"}]
    service = {"name": "crm.contacts", "version": "1.0.0", "endpoints": endpoints}
    return Plugin.from_manifest({"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"services": [service]}})


def test_a_decorator_returns_its_function_unchanged() -> None:
    async def get_contact(call: Call, id: str) -> str:
        del call
        return id

    assert crm().service("crm.contacts").get("/contacts/:id")(get_contact) is get_contact


def test_a_service_that_the_manifest_does_not_list_is_refused() -> None:
    with pytest.raises(InvalidEndpointError, match=r"lists no service 'crm.contact'; did you mean 'crm.contacts'\?"):
        crm().service("crm.contact")


def test_an_endpoint_that_the_manifest_does_not_list_is_refused() -> None:
    with pytest.raises(InvalidEndpointError, match="DELETE /contacts/:id, which the manifest does not list; it lists"):
        crm().service("crm.contacts").delete("/contacts/:id")


def test_two_handlers_for_one_endpoint_are_refused() -> None:
    contacts = crm().service("crm.contacts")

    async def create(call: Call) -> None:
        del call

    contacts.post("/contacts")(create)
    with pytest.raises(DuplicateEndpointError, match="POST /contacts has two handlers"):
        contacts.post("/contacts")(create)


def test_endpoints_without_handlers_are_all_named() -> None:
    with pytest.raises(InvalidEndpointError, match="no handler answers: GET /contacts/:id, POST /contacts"):
        crm().definition.verify()


async def no_params(call: Call) -> None:
    del call


async def other_name(call: Call, contact_id: str) -> None:
    del call, contact_id


async def hidden(call: Call, **rest: Any) -> None:
    del call, rest


async def nothing() -> None:
    pass


def plain(call: Call, id: str) -> None:
    del call, id


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (no_params, r"handler 'no_params' must take \(call, id\), found \(call: "),
        (other_name, r"must take \(call, id\), found \(call: .*, contact_id: str\)"),
        (hidden, r"must take \(call, id\), found"),
        (nothing, r"must take \(call, id\), found \(\)"),
        (plain, "must be an 'async def', found a plain function"),
        (len, "must be an 'async def', found builtin_function_or_method"),
    ],
)
def test_a_handler_that_does_not_fit_its_path_is_refused(handler: Any, said: str) -> None:
    with pytest.raises(InvalidEndpointError, match=f"plugin-crm: crm.contacts GET /contacts/:id: .*{said}"):
        crm().service("crm.contacts").get("/contacts/:id")(handler)


def test_a_handler_may_have_defaults_of_its_own() -> None:
    async def get_contact(call: Call, id: str, store: dict[str, str] | None = None) -> None:
        del call, id, store

    assert crm().service("crm.contacts").get("/contacts/:id")(get_contact) is get_contact


def test_path_parameters_are_told_in_order() -> None:
    assert path_params("/contacts/:id/notes/:note_id") == ["id", "note_id"]


async def welcome(event: Event) -> None:
    del event


def test_a_subscription_is_named_after_its_handler() -> None:
    plugin = crm()

    plugin.on("sales.events.#")(welcome)
    plugin.on_data("sales.cache.*", name="cache-watcher", broadcast=True)(welcome)

    told = [(item.name, item.source, item.pattern, item.broadcast) for item in plugin.definition.subscriptions()]
    assert told == [("welcome", "events", "sales.events.#", False), ("cache-watcher", "data", "sales.cache.*", True)]


@pytest.mark.parametrize(
    ("pattern", "name", "said"),
    [
        ("crm..created", None, "pattern 'crm..created' is not valid"),
        ("", None, "is not valid"),
        ("crm.events.con*", None, "is not valid"),
        ("crm.events.#", "Welcome Mail", "subscription 'Welcome Mail' is not valid"),
        ("x" * 201, None, "at most 200"),
    ],
)
def test_a_subscription_that_breaks_a_rule_is_refused(pattern: str, name: str | None, said: str) -> None:
    with pytest.raises(InvalidSubscriptionError, match=said):
        crm().on(pattern, name=name)(welcome)


def test_two_subscriptions_of_one_name_are_refused() -> None:
    plugin = crm()
    plugin.on("sales.events.#")(welcome)

    with pytest.raises(InvalidSubscriptionError, match=r"the name 'welcome' is taken; give another with name=\.\.\."):
        plugin.on("sales.other.#")(welcome)


def test_a_listener_takes_one_argument_and_is_async() -> None:
    with pytest.raises(InvalidSubscriptionError, match=r"must take \(event\), found \(\)"):
        crm().on("sales.events.#")(nothing)
    with pytest.raises(InvalidSubscriptionError, match="must be an 'async def'"):
        crm().on("sales.events.#")(plain)  # type: ignore[type-var]


def test_a_plugin_that_is_not_connected_says_how_to_connect() -> None:
    with pytest.raises(NotRunningError, match=r"plugin-crm is not connected: use 'async with plugin\.connected"):
        crm().tenant("acme-corp")


def test_a_manifest_that_is_no_file_is_told() -> None:
    with pytest.raises(InvalidManifestError, match=r"nowhere\.json has 1 error:\n  cannot be read"):
        Plugin.from_manifest("nowhere.json")

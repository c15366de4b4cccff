"""What tenants, plugins, services, keys and patterns may be called, and which keys a pattern admits."""

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import names
from contracts.text import printable

Check = Callable[[str], str]

VALID: list[tuple[Check, str]] = [
    (names.check_tenant, "acme-corp"),
    (names.check_tenant, "a"),
    (names.check_tenant, "a" * 40),
    (names.check_tenant, "42"),
    (names.check_plugin_id, "plugin-crm"),
    (names.check_plugin_id, "plugin-crm-2-go"),
    (names.check_plugin_id, "plugin-" + "a" * 57),
    (names.check_service_name, "crm.contacts"),
    (names.check_service_name, "a" * 57 + "." + "b" * 64),
    (names.check_namespace, "crm.cache"),
    (names.check_namespace, "system"),
    (names.check_namespace, "n" * 80),
    (names.check_key, "contact_count"),
    (names.check_key, "contact.created.CNT-1"),
    (names.check_key, "k" * 120),
    (names.check_event_key, "crm.events.contact.created"),
    (names.check_event_key, "crm." + "e" * 196),
    (names.check_pattern, "crm.events.#"),
    (names.check_pattern, "#"),
    (names.check_pattern, "*.events.*.created"),
    (names.check_subscription, "welcome-mail"),
    (names.check_subscription, "s" * 60),
    (names.check_instance, "7f3a"),
    (names.check_instance, "i" * 32),
]

INVALID: list[tuple[Check, str]] = [
    (names.check_tenant, ""),
    (names.check_tenant, "_"),
    (names.check_tenant, "Acme"),
    (names.check_tenant, "acme corp"),
    (names.check_tenant, "acme.corp"),
    (names.check_tenant, "acme--corp"),
    (names.check_tenant, "-acme"),
    (names.check_tenant, "acme-"),
    (names.check_tenant, "acme\n"),
    (names.check_tenant, "café"),
    (names.check_tenant, "١٢"),
    (names.check_tenant, "a" * 41),
    (names.check_plugin_id, "crm"),
    (names.check_plugin_id, "plugin"),
    (names.check_plugin_id, "plugin-"),
    (names.check_plugin_id, "plugin-CRM"),
    (names.check_plugin_id, "plugin-crm.x"),
    (names.check_plugin_id, "plugin-" + "a" * 58),
    (names.check_service_name, "contacts-service"),
    (names.check_service_name, "CRM_Contacts"),
    (names.check_service_name, "crm/contacts"),
    (names.check_service_name, "crm.contacts.v1"),
    (names.check_service_name, "crm."),
    (names.check_service_name, ".contacts"),
    (names.check_service_name, "a" * 58 + ".x"),
    (names.check_service_name, "crm." + "b" * 65),
    (names.check_namespace, ""),
    (names.check_namespace, "crm..cache"),
    (names.check_namespace, "crm.*"),
    (names.check_namespace, "n" * 81),
    (names.check_key, ""),
    (names.check_key, "contact count"),
    (names.check_key, "#"),
    (names.check_key, "a/b"),
    (names.check_key, "k" * 121),
    (names.check_event_key, "created"),
    (names.check_event_key, "crm.events.*"),
    (names.check_event_key, "crm." + "e" * 197),
    (names.check_pattern, ""),
    (names.check_pattern, "crm.ev*"),
    (names.check_pattern, "crm.##"),
    (names.check_pattern, "crm."),
    (names.check_pattern, "p" * 201),
    (names.check_subscription, "Welcome"),
    (names.check_subscription, "welcome_mail"),
    (names.check_subscription, "s" * 61),
    (names.check_instance, ""),
    (names.check_instance, "i" * 33),
]


@pytest.mark.parametrize(("check", "value"), VALID)
def test_a_valid_name_is_returned_as_it_is(check: Check, value: str) -> None:
    assert check(value) == value


@pytest.mark.parametrize(("check", "value"), INVALID)
def test_an_invalid_name_is_refused_with_its_value_in_the_message(check: Check, value: str) -> None:
    with pytest.raises(ValueError, match=r"is not valid: expected|at most") as caught:
        check(value)

    assert f"'{printable(value, 200)[:32]}" in str(caught.value)


def test_a_name_that_is_too_long_says_how_long_it_may_be() -> None:
    with pytest.raises(ValueError, match=r"has 41 characters, at most 40 are allowed$"):
        names.check_tenant("a" * 41)


def test_the_owner_of_a_name_is_its_first_word() -> None:
    assert names.owner_of("crm.events.contact.created") == "plugin-crm"
    assert names.owner_of("crm") == "plugin-crm"
    assert names.short_name(names.owner_of("crm.contacts")) == "crm"


def test_the_reserved_plugins_are_well_formed() -> None:
    assert {names.check_plugin_id(plugin) for plugin in names.RESERVED_PLUGINS} == names.RESERVED_PLUGINS


@given(st.text())
@example("")
@example("__")
@example("ß" * 80)
@example("a" * 59 + "_b")
def test_every_handler_name_gives_a_valid_subscription(handler: str) -> None:
    name = names.subscription_name(handler)

    assert names.check_subscription(name) == name


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("crm.events.contact.created", "crm.events.contact.created"),
        ("crm.events.*.created", "crm.events.deal.created"),
        ("crm.events.#", "crm.events.contact.created"),
        ("crm.events.#", "crm.events"),
        ("#", "a"),
        ("#", ""),
        ("", ""),
        ("#.created", "created"),
        ("#.created", "crm.events.contact.created"),
        ("#.#", ""),
        ("*.#.*", "a.b"),
        ("a.#.d.#", "a.b.c.d.e"),
        ("*", "a"),
        ("a.*", "a."),
    ],
)
def test_a_pattern_admits(pattern: str, key: str) -> None:
    assert names.matches(pattern, key)


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("crm.events.contact.created", "crm.events.contact.updated"),
        ("crm.events.*", "crm.events"),
        ("crm.events.*", "crm.events.contact.created"),
        ("crm.events", "crm.events.contact"),
        ("*", "a.b"),
        ("*", ""),
        ("", "a"),
        ("*.#.*", "a"),
        ("#.created", "crm.created.twice"),
        ("crm.cache.*", "CRM.cache.x"),
        ("ac*", "acme"),
    ],
)
def test_a_pattern_does_not_admit(pattern: str, key: str) -> None:
    assert not names.matches(pattern, key)


WORDS = st.lists(st.sampled_from(["a", "b", "ab"]), max_size=6)
PATTERN_WORDS = st.lists(st.sampled_from(["a", "b", "*", "#"]), max_size=6)


@given(PATTERN_WORDS, WORDS)
def test_matches_agrees_with_the_definition(pattern: list[str], words: list[str]) -> None:
    assert names.matches(".".join(pattern), ".".join(words)) == admits(pattern, words)


@pytest.mark.parametrize(
    ("pattern", "narrower", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.*", True),
        ("a.b", "a.*", False),
        ("a.*", "a.#", False),
        ("a.#", "a.*.#", True),
        ("a.#", "a", True),
        ("#", "#", True),
        ("*.#", "#", False),
    ],
)
def test_covers_admits_what_the_other_admits(pattern: str, narrower: str, *, expected: bool) -> None:
    assert names.covers(pattern, narrower) is expected


def admits(pattern: list[str], words: list[str]) -> bool:
    """The definition, word for word: exponential, and plain to see."""
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(admits(rest, words[i:]) for i in range(len(words) + 1))
    return bool(words) and head in {"*", words[0]} and admits(rest, words[1:])

"""The rules of shared data, as plain functions."""

from typing import Any

import pytest

from broker.data import rules
from broker.data.rules import NamespaceRule
from contracts.errors import InvalidRequestError, NotOwnerError, QuotaExceededError, StaleRevisionError
from contracts.manifest import SharedNamespace


def rule(**fields: Any) -> NamespaceRule:
    return NamespaceRule("plugin-crm", SharedNamespace.parse({"namespace": "crm.cache", **fields}))


@pytest.mark.parametrize(
    ("access", "plugin_id"),
    [
        ("any", "plugin-analytics"),
        ("owner", "plugin-crm"),
        (["plugin-analytics"], "plugin-analytics"),
        (["plugin-analytics"], "plugin-crm"),
    ],
)
def test_a_plugin_that_the_rule_admits_may_read_and_write(access: Any, plugin_id: str) -> None:
    rules.may_write(rule(write=access), plugin_id)
    rules.may_read(rule(read=access), plugin_id)


def test_an_undeclared_namespace_is_open() -> None:
    rules.may_write(None, "plugin-analytics")
    rules.may_read(None, "plugin-analytics")


def test_a_refused_writer_hears_rule_namespace_owner_and_itself() -> None:
    with pytest.raises(NotOwnerError) as caught:
        rules.may_write(rule(write="owner"), "plugin-analytics")

    assert caught.value.message == (
        "namespace 'crm.cache' of plugin-crm has the rule 'write: owner', found plugin-analytics"
    )
    assert caught.value.details == {
        "namespace": "crm.cache",
        "owner": "plugin-crm",
        "rule": {"write": "owner"},
        "found": "plugin-analytics",
    }


def test_a_reader_who_is_not_listed_is_refused() -> None:
    with pytest.raises(NotOwnerError, match="'read: plugin-marketing, plugin-sales', found plugin-analytics"):
        rules.may_read(rule(read=["plugin-marketing", "plugin-sales"]), "plugin-analytics")


def test_a_part_of_a_listed_plugins_name_is_not_admitted() -> None:
    with pytest.raises(NotOwnerError):
        rules.may_write(rule(write=["plugin-sales-eu"]), "plugin-sales")
    with pytest.raises(NotOwnerError):
        rules.may_write(rule(write="owner"), "own")


def test_write_and_read_are_ruled_apart() -> None:
    rules.may_read(rule(write="owner"), "plugin-analytics")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("crm.cache.#", ["crm", "crm.cache"]), ("crm.*.count", ["crm"]), ("#", []), ("a.b", ["a", "a.b"])],
)
def test_a_pattern_names_the_namespaces_of_its_literal_words(pattern: str, expected: list[str]) -> None:
    assert rules.guarded_namespaces(pattern) == expected


@pytest.mark.parametrize(("value", "stored"), [(None, "null"), (0, "0"), ("", '""'), ({"a": [1.5]}, '{"a":[1.5]}')])
def test_a_value_is_stored_as_json(value: Any, stored: str) -> None:
    assert rules.to_stored(value) == stored


def test_a_value_of_exactly_one_mebibyte_is_allowed() -> None:
    assert len(rules.to_stored("x" * (1024 * 1024 - 2))) == 1024 * 1024


def test_a_larger_value_is_refused_with_the_limit() -> None:
    with pytest.raises(QuotaExceededError, match="has 1048577 bytes") as caught:
        rules.to_stored("x" * (1024 * 1024 - 1))

    assert caught.value.details == {"limit": 1048576, "found": 1048577}


def test_the_size_counts_bytes_and_not_characters() -> None:
    with pytest.raises(QuotaExceededError):
        rules.to_stored("ö" * (1024 * 512))


@pytest.mark.parametrize("value", [float("nan"), {"a": float("inf")}, "\ud800"])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError):
        rules.to_stored(value)


def test_nesting_has_a_limit() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = {"a": [deep]} if isinstance(deep, int) else [deep]

    with pytest.raises(InvalidRequestError, match="must not nest deeper than 100 levels"):
        rules.to_stored(deep)
    assert rules.to_stored(deep[0]).count("[") == 99


@pytest.mark.parametrize(("expected", "found"), [(None, None), (None, 3), (0, None), (3, 3)])
def test_a_revision_as_expected_is_let_through(expected: int | None, found: int | None) -> None:
    rules.check_revision(expected, found)


@pytest.mark.parametrize(
    ("expected", "found", "message"),
    [
        (3, 4, "expected revision 3, found revision 4"),
        (0, 4, "expected no value, found revision 4"),
        (3, None, "expected revision 3, found no value"),
    ],
)
def test_a_lost_compare_and_set_says_expected_and_found(expected: int, found: int | None, message: str) -> None:
    with pytest.raises(StaleRevisionError) as caught:
        rules.check_revision(expected, found)

    assert caught.value.message == message
    assert caught.value.details == {"expected": expected, "found": found or 0}


def test_the_writers_ttl_beats_the_namespaces() -> None:
    assert rules.lifetime(5.0, rule(ttl=60.0)) == 5.0
    assert rules.lifetime(None, rule(ttl=60.0)) == 60.0
    assert rules.lifetime(None, rule()) is None
    assert rules.lifetime(None, None) is None


def test_a_value_is_expired_at_the_very_moment_of_its_expiry() -> None:
    moment = rules.expiry(0.5, now=100.0)

    assert not rules.is_expired(moment, now=100.499)
    assert rules.is_expired(moment, now=100.5)
    assert not rules.is_expired(None, now=1e12)


def test_seconds_left_never_go_below_zero() -> None:
    assert rules.seconds_left(100.5, now=100.0) == 0.5
    assert rules.seconds_left(100.5, now=200.0) == 0.0
    assert rules.seconds_left(None, now=200.0) is None

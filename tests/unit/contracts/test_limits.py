"""How much of everything a manifest and a request may hold, and that the error names what and how many."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts import limits
from contracts.errors import InvalidManifestError, InvalidRequestError
from contracts.limits import is_deeper
from contracts.manifest import PluginManifest
from contracts.text import printable
from contracts.versions import check_version
from contracts.wire import WireModel

ENDPOINT = {"method": "GET", "path": "/"}


def service(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"name": f"crm.s{number}", "version": "1.0.0", "endpoints": [ENDPOINT], **fields}


def needs(number: int) -> dict[str, Any]:
    return {"pluginId": f"plugin-p{number}", "version": "*"}


def shared(number: int, **fields: Any) -> dict[str, Any]:
    return {"namespace": f"crm.n{number}", **fields}


def endpoint(number: int, **fields: Any) -> dict[str, Any]:
    return {"method": "GET", "path": f"/p{number}", **fields}


def errors_of(api: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    try:
        PluginManifest.load({"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": api, **fields})
    except InvalidManifestError as error:
        return error.errors
    return []


@pytest.mark.parametrize(
    ("most", "of", "path"),
    [
        (limits.MOST_SERVICES, lambda many: {"services": [service(i) for i in range(many)]}, "api.services"),
        (limits.MOST_DEPENDENCIES, lambda many: {"dependencies": [needs(i) for i in range(many)]}, "api.dependencies"),
        (limits.MOST_NAMESPACES, lambda many: {"sharedData": [shared(i) for i in range(many)]}, "api.sharedData"),
        (
            limits.MOST_ENDPOINTS,
            lambda many: {"services": [service(endpoints=[endpoint(i) for i in range(many)])]},
            "api.services.0.endpoints",
        ),
        (
            limits.MOST_PATTERNS,
            lambda many: {"events": {"publishes": [f"crm.e{i}" for i in range(many)]}},
            "api.events.publishes",
        ),
        (
            limits.MOST_PERMISSIONS,
            lambda many: {"services": [service(endpoints=[endpoint(0, permissions=["plugin.a.b.c"] * many)])]},
            "api.services.0.endpoints.0.permissions",
        ),
    ],
)
def test_as_many_as_are_allowed_pass_and_one_more_is_named(most: int, of: Any, path: str) -> None:
    assert errors_of(of(most)) == []
    assert errors_of(of(most + 1)) == [(path, f"must have at most {most} items, found {most + 1}")]


def test_a_list_of_admitted_plugins_is_bounded() -> None:
    found = errors_of({"sharedData": [shared(0, read=["plugin-a"] * (limits.MOST_ADMITTED + 1))]})

    assert found == [("api.sharedData.0.read", "must have at most 200 plugin ids, found 201")]


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ({"sharedData": [shared(0, ttl=1e308)]}, "api.sharedData.0.ttl"),
        ({"services": [service(metadata={"rateLimit": 10**30})]}, "api.services.0.metadata.rateLimit"),
        ({"services": [service(metadata={"cacheTTL": 1e300})]}, "api.services.0.metadata.cacheTTL"),
    ],
)
def test_a_number_beyond_all_use_is_named(api: dict[str, Any], path: str) -> None:
    ((found, message),) = errors_of(api)

    assert found == path
    assert "must be at most " in message


def test_what_the_bus_does_not_know_counts_too() -> None:
    found = errors_of({}, readme="x" * limits.LARGEST_MANIFEST_BYTES)

    assert len(found) == 1
    assert "bytes of JSON, at most 1048576 are allowed" in found[0][1]


@pytest.mark.parametrize("levels", [200, 900])
def test_a_manifest_is_not_nested_without_end(tmp_path: Path, levels: int) -> None:
    place = tmp_path / "plugin.json"
    place.write_text(
        '{"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "x": ' + "[" * levels + "]" * levels + "}"
    )

    with pytest.raises(InvalidManifestError, match="must not be nested deeper than 110 levels"):
        PluginManifest.load(place)


def test_a_number_that_npm_does_not_read_is_no_version() -> None:
    assert check_version("9007199254740991.0.0")
    with pytest.raises(ValueError, match="has a number above 9007199254740991, which npm does not read"):
        check_version("1.9007199254740992.0-rc.1+build")


class Body(WireModel):
    value: Any


def test_a_body_is_as_deep_as_is_allowed_and_no_deeper() -> None:
    deep = json.loads("[" * (limits.DEEPEST_BODY - 1) + "]" * (limits.DEEPEST_BODY - 1))

    assert Body.parse({"value": deep})
    with pytest.raises(InvalidRequestError, match="nested deeper than 110 levels"):
        Body.parse({"value": [deep]})


@pytest.mark.parametrize(("value", "levels"), [(1, 0), ([], 1), ([[], {"a": 1}], 2), ({"a": [{"b": 1}]}, 3)])
def test_depth_counts_arrays_and_objects(value: object, levels: int) -> None:
    assert not is_deeper(value, levels)
    if levels:
        assert is_deeper(value, levels - 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\nb", "a\\nb"),
        ("\x1b[0m", "\\x1b[0m"),
        ("\ud800", "\\ud800"),
        ("x" * 21, "x" * 17 + "..."),
    ],
)
def test_text_of_others_is_shown_on_one_line_and_short(text: str, shown: str) -> None:
    assert printable(text, 20) == shown

"""The JSON Schema of ``plugin.json``: it takes whatever `PluginManifest.load` takes, and refuses what it can say."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidManifestError
from contracts.manifest import PluginManifest
from contracts.manifest_schema import manifest_schema
from contracts.versions import check_range
from tests.factories import Json, manifest_json
from tests.unit.contracts.test_manifest import BROKEN, EXAMPLES, GUIDE, VALID, with_dependency
from tests.unit.contracts.test_versions import RANGES

SCHEMA = manifest_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

SPANS_PLACES = (
    "is listed twice",
    "is already there as",
    "must begin with the plugin's own name",
    "belongs to",
    "cannot depend on itself",
    "names a parameter twice",
    "is part of the bus",
)
"""Rules that compare places of the document, which a schema cannot say."""

OUTSIDE_JSON = ("finite", "UTF-8 when decoded")


def flaws(document: object) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(document)]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("document", [*VALID, *GUIDE, *SCHEMA["examples"]])
def test_a_valid_manifest_validates(document: Json) -> None:
    assert flaws(document) == []


@pytest.mark.parametrize("path", [*EXAMPLES, Path("broker/plugin.json")], ids=str)
def test_the_manifests_of_the_project_validate(path: Path) -> None:
    assert flaws(json.loads((Path(__file__).parents[3] / path).read_text())) == []


def test_a_manifest_may_say_where_its_schema_is() -> None:
    document = manifest_json() | {"$schema": "./plugin.schema.json"}

    assert flaws(document) == []
    assert PluginManifest.load(document).to_json()["$schema"] == "./plugin.schema.json"


@pytest.mark.parametrize(("path", "message", "document"), BROKEN)
def test_a_broken_manifest_is_refused_where_a_schema_can_say_the_rule(path: str, message: str, document: Json) -> None:
    with pytest.raises(InvalidManifestError):
        PluginManifest.load(document)
    if any(text in message for text in (*SPANS_PLACES, *OUTSIDE_JSON)):
        return

    assert flaws(document), f"{path}: {message}"


@pytest.mark.parametrize("key", ["servces", "shared_data"])
def test_an_unknown_key_inside_api_is_refused_and_one_outside_is_not(key: str) -> None:
    assert flaws(manifest_json(api={key: []})) == ["$.api"]
    assert flaws(manifest_json() | {key: []}) == []


@pytest.mark.parametrize("range_", [row[0] for row in RANGES])
def test_every_range_of_npm_is_taken(range_: str) -> None:
    assert flaws(with_dependency(version=range_)) == []


PIECES = ["1", "0", "x", "*", ".", "-", " ", "||", "^", "~", "~>", ">=", "<", "=", "v", "beta", "1.2.3+5", "1.2.3"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_no_range_that_can_be_read_is_refused(range_: str) -> None:
    try:
        check_range(range_)
    except ValueError:
        return

    assert flaws(with_dependency(version=range_)) == []


@pytest.mark.parametrize("part", [SCHEMA, *SCHEMA["$defs"].values()], ids=["plugin.json", *SCHEMA["$defs"]])
def test_every_part_and_key_says_what_it_is(part: Json) -> None:
    assert part["description"]
    assert [key for key, found in part["properties"].items() if not found.get("description")] == []


def texts(value: Any, path: str = "$") -> list[tuple[str, Json]]:
    """Every schema of a text inside a schema, with its path."""
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in texts(item, f"{path}.{index}")]
    if not isinstance(value, dict):
        return []
    own = [(path, value)] if "string" in value.get("type", ()) and "enum" not in value else []
    return own + [found for key, item in value.items() for found in texts(item, f"{path}.{key}")]


def test_no_text_is_left_without_a_limit() -> None:
    unlimited = [path for path, found in texts(SCHEMA) if not {"pattern", "maxLength"} & set(found)]

    assert unlimited == ["$.properties.$schema"]

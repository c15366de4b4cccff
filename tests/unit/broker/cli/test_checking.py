"""``plexica plugin check`` and ``schema``: what an author asks, without any broker."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.factories import Json, endpoint_json, manifest_json, service_json
from tests.unit.broker.cli.desk import Desk


def test_several_manifests_are_checked_and_every_error_told(plexica: Desk) -> None:
    good = plexica.manifest(manifest_json(), "good.json")
    bad = plexica.manifest(manifest_json(version="1", api={"servces": []}), "bad.json")

    answer = plexica("plugin", "check", good, bad, "/nowhere.json")

    assert answer.status == 1
    assert answer.out == f"{good}: plugin-crm 1.0.0 is valid: 1 service\n"
    assert answer.err.splitlines() == [
        f"{bad} has 2 errors:",
        "  version: version '1' is not semver 2.0.0: expected e.g. '1.4.0' or '2.0.0-beta.1'",
        "  api.servces: unknown key; did you mean 'services'?",
        "/nowhere.json has 1 error:",
        "  cannot be read: No such file or directory",
    ]


def test_with_json_every_file_is_told(plexica: Desk) -> None:
    good, bad = plexica.manifest(manifest_json(), "good.json"), plexica.manifest(manifest_json(name=5), "bad.json")

    answer = plexica("plugin", "check", good, bad, "--json")

    assert answer.status == 1
    assert answer.json == [
        {"file": good, "valid": True, "errors": [], "warnings": []},
        {
            "file": bad,
            "valid": False,
            "errors": [{"path": "name", "message": "must be text, found number 5"}],
            "warnings": [],
        },
    ]


@pytest.mark.parametrize("id", ["plugin-system", "plugin-plexica", "plugin-broker"])
def test_a_reserved_id_is_an_error(plexica: Desk, id: str) -> None:
    answer = plexica("plugin", "check", plexica.manifest(manifest_json(id=id, api={})))

    assert answer.status == 1
    assert f"id: '{id}' is reserved for the bus itself" in answer.err


@pytest.mark.parametrize(
    ("document", "warning"),
    [
        (manifest_json() | {"services": []}, "services: is not acted on here; did you mean 'api.services'?"),
        (manifest_json() | {"descripton": "x"}, "descripton: is not acted on; did you mean 'description'?"),
        (
            manifest_json(api={"services": [service_json(metadata={"rate_limit": 5})]}),
            "api.services.0.metadata.rate_limit: is not acted on; did you mean 'rateLimit'?",
        ),
        (
            manifest_json(api={"services": [service_json(endpoints=[endpoint_json(metadata={"cacheTtl": 5})])]}),
            "api.services.0.endpoints.0.metadata.cacheTtl: is not acted on; did you mean 'cacheTTL'?",
        ),
    ],
)
def test_a_probable_slip_is_told_and_no_error(plexica: Desk, document: Json, warning: str) -> None:
    answer = plexica("plugin", "check", plexica.manifest(document))

    assert answer.status == 0
    assert answer.err == f"  {warning}\n"


def test_keys_of_the_authors_own_are_no_slips(plexica: Desk) -> None:
    document = manifest_json(api={"services": [service_json(metadata={"owner": "crm-team"})]}) | {"author": "us"}

    assert plexica("plugin", "check", plexica.manifest(document)).err == ""


def test_the_schema_is_printed_or_written(plexica: Desk, tmp_path: Path) -> None:
    place = tmp_path / "plugin.schema.json"

    printed = plexica("plugin", "schema")
    written = plexica("plugin", "schema", "--output", str(place))

    assert (printed.status, written.status, written.out) == (0, 0, "")
    assert json.loads(place.read_text()) == printed.json
    jsonschema.validate(manifest_json(), printed.json, jsonschema.Draft202012Validator)

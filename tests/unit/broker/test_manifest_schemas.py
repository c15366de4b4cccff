"""Schemas that only one of two manifests says make no other content of a version."""

from broker.plugins.schemas import completed, differ_in_schemas_only
from contracts.manifest import PluginManifest
from tests.factories import endpoint_json, make_manifest, service_json

SCHEMA = {"type": "string"}


def told(**schemas: object) -> PluginManifest:
    return make_manifest(api={"services": [service_json(endpoints=[endpoint_json(**schemas)])]})


def test_a_manifest_is_completed_where_it_says_nothing() -> None:
    known = told(request=SCHEMA, response={"type": "null"})

    assert completed(told(response=SCHEMA), known) == told(request=SCHEMA, response=SCHEMA)
    assert completed(told(), told()) == told()


def test_schemas_of_another_version_of_the_service_complete_nothing() -> None:
    endpoints = [endpoint_json(query=SCHEMA)]
    known = make_manifest(api={"services": [service_json(version="1.0.1", endpoints=endpoints)]})

    assert completed(told(), known) == told()


def test_manifests_that_say_different_schemas_differ() -> None:
    assert differ_in_schemas_only(told(request=SCHEMA), told(response=SCHEMA))
    assert not differ_in_schemas_only(told(request=SCHEMA), told(request={"type": "null"}))
    assert not differ_in_schemas_only(told(description="one"), told(description="two"))

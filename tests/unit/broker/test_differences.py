"""What an error says of two manifests that should be one."""

from typing import Any

import pytest

from broker.plugins.differences import differences
from tests.factories import Json, make_manifest, manifest_json, service_json

KNOWN = manifest_json()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (KNOWN, []),
        (KNOWN | {"name": "Other"}, ["name"]),
        (
            manifest_json(api={"services": [service_json(name="crm.contact")]}),
            ["api.services (without crm.contacts, with crm.contact)"],
        ),
        (manifest_json(api={"services": [service_json(version="1.0.1")]}), ["api.services"]),
        (manifest_json(api={}), ["api.services (without crm.contacts)"]),
        (
            manifest_json(api={"services": [service_json()], "events": {"publishes": ["crm.a.b"]}}),
            ["api.events.publishes (with crm.a.b)"],
        ),
        (KNOWN | {f"team{number}": 1 for number in range(5)}, ["team0", "team1", "team2", "..."]),
    ],
    ids=["none", "a-text", "a-name", "within-an-entry", "all-gone", "a-pattern", "many"],
)
def test_differences_are_told_by_place_and_name(found: Json, expected: list[str]) -> None:
    def document(source: Json) -> dict[str, Any]:
        return make_manifest(**source).to_json()

    assert differences(document(KNOWN), document(found)) == expected

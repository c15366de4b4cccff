"""What a plugin may call, and the line that would let it."""

import json

import pytest

from contracts.manifest import Dependency
from plugin_runtime.declarations import Allowance, Declarations
from tests.factories import dependency_json, make_manifest

CONTACTS, DEALS = "crm.contacts", "crm.deals"


def crm(service: str | None = None, version: str = "^1.0.0") -> Dependency:
    return Dependency.parse(dependency_json(pluginId="plugin-crm", serviceName=service, version=version))


def declared(*dependencies: Dependency) -> Declarations:
    return Declarations("plugin-analytics", dependencies)


def test_a_declared_service_is_allowed_at_its_range_and_its_neighbour_is_not() -> None:
    subject = declared(crm(CONTACTS))

    assert subject.of(CONTACTS) == Allowance("^1.0.0")
    assert subject.of(DEALS) is None


def test_a_plugin_as_a_whole_covers_its_services_at_a_range_of_the_plugin() -> None:
    subject = declared(crm(version="^2.0.0"), crm(DEALS, "~1.4.0"))

    assert subject.of(CONTACTS) == Allowance("*", plugin_range="^2.0.0")
    assert subject.of(DEALS) == Allowance("~1.4.0"), "the service's own line comes first"
    assert subject.of("crm-import.contacts") is None


@pytest.mark.parametrize("service", ["analytics.reports", "system.data", "system.registry"])
def test_own_services_and_the_brokers_need_no_declaration(service: str) -> None:
    assert declared().of(service) == Allowance()


def test_a_new_set_replaces_the_old_one() -> None:
    subject = declared(crm(CONTACTS))
    subject.replace([crm(DEALS)])

    assert (subject.of(CONTACTS), subject.of(DEALS)) == (None, Allowance("^1.0.0"))


def test_the_refusal_names_both_ends_and_carries_the_line_to_add() -> None:
    error = declared().refusal(CONTACTS, ["1.4.0", "1.10.0", "0.9.0"])

    line = '{"pluginId": "plugin-crm", "serviceName": "crm.contacts", "version": "^1.10.0"}'
    assert str(error) == (
        f"plugin-analytics calls crm.contacts, which it does not declare: add {line} to api.dependencies in its "
        "plugin.json"
    )
    assert (error.code, error.status) == ("UNDECLARED_DEPENDENCY", 403)
    assert error.details == {"caller": "plugin-analytics", "service": CONTACTS, "line": line}


@pytest.mark.parametrize(
    ("versions", "range_"), [([], "*"), (["2.0.0-rc.1"], "^2.0.0-rc.1"), (["1.0.0", "2.0.0-rc.1"], "^1.0.0")]
)
def test_the_line_makes_a_manifest_that_may_call(versions: list[str], range_: str) -> None:
    line = json.loads(declared().refusal(CONTACTS, versions).details["line"])
    manifest = make_manifest(id="plugin-analytics", api={"dependencies": [line]})

    assert Declarations(manifest.id, manifest.api.dependencies).of(CONTACTS) == Allowance(range_)


def test_a_misspelt_service_is_told_which_declared_one_it_may_mean() -> None:
    error = declared(crm(CONTACTS)).refusal("crm.contact")

    assert "calls crm.contact, which it does not declare; did you mean 'crm.contacts'? If not, add {" in str(error)

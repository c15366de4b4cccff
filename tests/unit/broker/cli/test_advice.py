"""What is told where no tenant was given, and where a service is known but not installed."""

import pytest

from broker.cli.advice import listed
from tests.factories import service_json
from tests.unit.broker.cli.desk import Desk
from tests.unit.broker.cli.test_operating import crm, error_of

CALL = ("call", "crm.contacts", "GET", "/contacts")


@pytest.mark.parametrize("words", [CALL, ("installations",), ("client", "generate", "crm.contacts")], ids=" ".join)
def test_without_a_tenant_the_option_is_named_with_the_tenants_that_there_are(
    plexica: Desk, words: tuple[str, ...]
) -> None:
    plexica("tenant", "create", "acme-corp")
    plexica("tenant", "create", "globex")

    refused = plexica(*words)

    assert refused.status == 1
    assert refused.err == (
        "TENANT_NOT_FOUND: no tenant given: add -t TENANT or set PLEXICA_TENANT; there are acme-corp, globex "
        "(see 'plexica tenant list')\n"
    )


def test_where_the_default_tenant_exists_it_is_the_one(plexica: Desk) -> None:
    plexica("tenant", "create", "default")

    assert plexica("installations").status == 0


@pytest.mark.parametrize("source", ["option", "environment"])
def test_a_tenant_that_was_named_is_told_as_such(plexica: Desk, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    if source == "environment":
        monkeypatch.setenv("PLEXICA_TENANT", "default")

    refused = plexica(*CALL, *(["-t", "default"] if source == "option" else []))

    assert refused.err.startswith("TENANT_NOT_FOUND: Tenant 'default' not found: plexica tenant create default")


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "there is none yet: plexica tenant create TENANT"),
        (1, "there is a"),
        (5, "there are a, b, c, d, e"),
        (7, "there are a, b, c, d, e and 2 more"),
    ],
)
def test_of_many_tenants_the_first_are_named(count: int, told: str) -> None:
    assert listed("abcdefg"[:count]) == told


def test_a_service_of_a_known_plugin_is_told_with_the_command_that_installs_it(plexica: Desk) -> None:
    plexica.has(crm(), installed=False)

    refused = plexica(*CALL, "-t", "acme-corp")

    assert refused.status == 1
    assert refused.err == (
        "SERVICE_NOT_FOUND: Service crm.contacts not found or unavailable "
        "(plugin-crm is not installed in acme-corp: plexica install plugin-crm -t acme-corp)\n"
    )


@pytest.mark.parametrize("is_installed", [True, False])
def test_a_service_that_nothing_offers_is_not_told_to_be_installed(plexica: Desk, is_installed: bool) -> None:
    plexica.has(crm(), installed=is_installed)

    refused = plexica("call", "crm.orders", "GET", "/orders", "-t", "acme-corp", "--json")

    assert error_of(refused)["next"] == "see 'plexica services list --tenant acme-corp'"


def test_a_plugin_that_is_installed_in_a_version_without_the_service_is_not_told_to_be_absent(plexica: Desk) -> None:
    newer = crm("2.0.0")
    newer["api"]["services"].append(service_json(name="crm.orders"))
    plexica.has(crm())
    assert plexica("plugin", "register", plexica.manifest(newer)).status == 0

    refused = plexica("call", "crm.orders", "GET", "/orders", "-t", "acme-corp", "--json")

    assert error_of(refused)["next"] == "see 'plexica services list --tenant acme-corp'"

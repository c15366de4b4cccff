"""Services and dependencies from the command line: lists, questions that are answered by an exit status, watching."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.bootstrap import Broker
from broker.cli.watching import line
from contracts.dependencies import CreateTenantRequest
from contracts.manifest import Dependency
from contracts.registry import (
    DependencyAnnouncement,
    PluginAnnouncement,
    PresenceAnnouncement,
    ServiceAnnouncement,
    ServiceRecord,
    TenantAnnouncement,
)
from contracts.wire import WireModel
from plugin_runtime.transport.memory import MemoryTransport
from tests.acceptance.plugins import make_crm
from tests.unit.broker.cli.desk import Desk
from tests.unit.broker.cli.test_operating import analytics, crm, error_of
from tests.waiting import eventually

RECORD = ServiceRecord(
    id="crm.contacts@1.4.0",
    plugin_id="plugin-crm",
    service_name="crm.contacts",
    version="1.4.0",
    status="DEGRADED",
    instances=2,
)
NEED = Dependency(plugin_id="plugin-crm", service_name="crm.contacts", version="^1.0.0")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


# Services


def test_services_are_listed_with_their_status(plexica: Desk) -> None:
    listed = plexica("services", "list", "-t", "acme-corp", plugins=[make_crm()])
    as_json = plexica("services", "list", "-t", "acme-corp", "--json", plugins=[make_crm()])

    assert listed.lines == [
        ["SERVICE", "VERSION", "STATUS", "INSTANCES", "PLUGIN"],
        ["crm.contacts", "1.0.0", "HEALTHY", "1", "plugin-crm"],
    ]
    assert as_json.json["count"] == 1
    assert as_json.json["services"][0]["endpoints"][0]["path"] == "/contacts"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--plugin", "plugin-crm"], 1),
        (["--plugin", "plugin-b"], 0),
        (["--status", "healthy"], 1),
        (["--status", "DEGRADED"], 0),
    ],
)
def test_services_are_chosen_by_plugin_and_status(plexica: Desk, words: list[str], count: int) -> None:
    listed = plexica("services", "list", "-t", "acme-corp", "--json", *words, plugins=[make_crm()])

    assert listed.json["count"] == count


def test_a_service_is_discovered_with_its_endpoints(plexica: Desk) -> None:
    found = plexica(
        "services", "discover", "crm.contacts", "--range", "^1.0.0", "-t", "acme-corp", plugins=[make_crm()]
    )

    assert found.out.splitlines()[0] == "crm.contacts@1.0.0 of plugin-crm, HEALTHY, 1 instance"
    assert found.lines[2] == ["GET", "/contacts"]


def test_what_is_not_discovered_is_exit_status_1(plexica: Desk) -> None:
    mismatch = plexica("services", "discover", "crm.contacts", "--range", "^2", "-t", "acme-corp", plugins=[make_crm()])
    absent = plexica("services", "discover", "crm.deals", "-t", "acme-corp", "--json")

    assert (mismatch.status, absent.status) == (1, 1)
    assert mismatch.err.startswith("VERSION_MISMATCH: Service crm.contacts has no version in ^2; installed: 1.0.0")
    assert error_of(absent)["code"] == "SERVICE_NOT_FOUND"


def test_no_service_in_a_tenant_names_what_could_be_installed(plexica: Desk) -> None:
    plexica.has(crm(), installed=False)

    listed = plexica("services", "list", "-t", "acme-corp")
    filtered = plexica("services", "list", "-t", "acme-corp", "--status", "HEALTHY")

    assert listed.out == (
        "no service is registered in acme-corp\n"
        "plugin-crm is known but not installed there: plexica install plugin-crm -t acme-corp\n"
    )
    assert filtered.out == "no such service is registered in acme-corp\n"


def test_a_circle_has_no_install_order(plexica: Desk) -> None:
    need = {"version": "^1.0.0", "required": True}
    one = {
        "id": "plugin-a",
        "name": "A",
        "version": "1.0.0",
        "api": {"dependencies": [{"pluginId": "plugin-b", **need}]},
    }
    two = {
        "id": "plugin-b",
        "name": "B",
        "version": "1.0.0",
        "api": {"dependencies": [{"pluginId": "plugin-a", **need}]},
    }
    plexica.has(one, two, installed=False)

    resolved = plexica("deps", "resolve", "plugin-a", "-t", "acme-corp")

    assert resolved.status == 1
    assert resolved.out.splitlines()[-1] == "  no order: circular"
    assert "install order" not in resolved.out


def test_every_column_of_dependents_has_a_name(plexica: Desk) -> None:
    plexica.has(crm(), analytics())

    listed = plexica("deps", "dependents", "plugin-crm")

    assert listed.lines[0] == ["PLUGIN", "VERSION", "NEEDS", "RANGE", "KIND", "REASON"]


# Watching


async def make_tenants(broker: Broker, transport: MemoryTransport) -> None:
    """Create tenants, once somebody listens."""
    await eventually(lambda: any(item.exchange == "plexica.registry" for item in transport._vhost.bindings()))
    for name in ("acme-corp", "globex"):
        await broker.subjects._tenants.create(CreateTenantRequest(id=name).id)


def test_changes_are_told_as_they_come(plexica: Desk) -> None:
    watched = plexica("services", "watch", "--count", "2", beside=make_tenants)

    assert watched.status == 0
    assert [words[1:] for words in watched.lines] == [
        ["created", "tenant", "acme-corp"],
        ["created", "tenant", "globex"],
    ]
    assert watched.err == "listening to # (Ctrl-C ends)\n"


def test_with_json_each_change_is_one_line(plexica: Desk) -> None:
    watched = plexica("services", "watch", "globex.#", "--count", "1", "--json", beside=make_tenants)

    [told] = [json.loads(text) for text in watched.out.splitlines()]
    assert watched.err == ""
    assert (told["key"], told["change"], told["tenant"]) == ("globex.tenant.created", "created", "globex")
    assert datetime.fromisoformat(told["time"]).tzinfo is not None


def test_a_watch_for_so_long_ends_well_and_one_that_missed_its_count_does_not(plexica: Desk) -> None:
    assert plexica("services", "watch", "--for", "0.05").status == 0
    assert plexica("services", "watch", "--for", "0.05", "--count", "1").status == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            ServiceAnnouncement(change="registered", revision=1, service=RECORD),
            "registered   crm.contacts 1.4.0  DEGRADED (2)",
        ),
        (
            ServiceAnnouncement(
                change="status", revision=1, service=RECORD.model_copy(update={"degraded_in": ("acme-corp", "globex")})
            ),
            "status       crm.contacts 1.4.0  DEGRADED (2), DEGRADED in 2 tenants",
        ),
        (
            ServiceAnnouncement(change="deregistered", revision=1, service=RECORD),
            "deregistered crm.contacts 1.4.0  DEGRADED (2)",
        ),
        (
            PresenceAnnouncement(revision=1, service_name="crm.contacts", version="1.4.0"),
            "gone         crm.contacts 1.4.0  its last instance went without a word",
        ),
        (
            DependencyAnnouncement(revision=1, plugin_id="plugin-b", version="1.0.0", dependencies=(NEED,)),
            "declared     plugin-b 1.0.0  needs crm.contacts ^1.0.0",
        ),
        (
            DependencyAnnouncement(revision=1, plugin_id="plugin-b", version="1.0.0", dependencies=()),
            "declared     plugin-b 1.0.0  needs nothing",
        ),
        (
            PluginAnnouncement(
                change="installed", revision=1, tenant="acme-corp", plugin_id="plugin-b", version="1.0.0"
            ),
            "installed    plugin-b 1.0.0  in acme-corp",
        ),
        (TenantAnnouncement(change="removed", revision=1, tenant="acme-corp"), "removed      tenant acme-corp"),
        (CreateTenantRequest(id="a"), "announced    CreateTenantRequest"),
    ],
)
def test_a_change_is_one_line_of_time_change_and_what(body: WireModel, told: str) -> None:
    assert line(NOON, body).plain == f"12:00:00  {told}"


# Dependencies


def test_who_needs_whom_is_told_both_ways(plexica: Desk) -> None:
    plexica.has(crm(), analytics(reason="reports"))

    shown = plexica("deps", "show", "plugin-analytics")
    dependents = plexica("deps", "dependents", "plugin-crm", "--json")

    assert shown.lines[1] == [
        *["plugin-analytics", "1.0.0", "crm.contacts", "of", "plugin-crm", "^1.0.0", "required", "reports"]
    ]
    assert [edge["pluginId"] for edge in dependents.json["edges"]] == ["plugin-analytics"]
    assert plexica("deps", "show", "plugin-crm").out == "plugin-crm needs nothing\n"


def test_recursion_goes_all_the_way(plexica: Desk) -> None:
    forecast = analytics() | {"id": "plugin-forecast"}
    forecast["api"] = {"dependencies": [{"pluginId": "plugin-analytics", "version": "*"}]}
    plexica.has(crm(), analytics(), forecast)

    def askers(*more: str) -> list[Any]:
        answer = plexica("deps", "dependents", "plugin-crm", "--json", *more)
        return [edge["pluginId"] for edge in answer.json["edges"]]

    assert askers() == ["plugin-analytics"]
    assert askers("--recursive") == ["plugin-analytics", "plugin-forecast"]


def test_a_resolution_says_yes_or_no_by_its_exit_status(plexica: Desk) -> None:
    plexica.has(crm(), analytics("^2.0.0"), installed=False)

    bad = plexica("deps", "resolve", "plugin-analytics", "-t", "acme-corp")
    good = plexica("deps", "resolve", "plugin-crm", "-t", "acme-corp", "--json")

    assert (bad.status, good.status) == (1, 0)
    assert bad.out.splitlines()[0] == "plugin-analytics cannot be installed"
    assert "  Missing dependency: plugin-crm (required by plugin-analytics)" in bad.out
    assert "    plugin-analytics@1.0.0 requires crm.contacts ^2.0.0 of plugin-crm" in bad.out
    assert (good.json["valid"], good.json["installOrder"]) == (True, ["plugin-crm"])


def test_whether_a_plugin_may_go_is_an_exit_status(plexica: Desk) -> None:
    plexica.has(crm(), analytics())

    kept = plexica("deps", "can-uninstall", "plugin-crm", "-t", "acme-corp")
    free = plexica("deps", "can-uninstall", "plugin-analytics", "-t", "acme-corp", "--json")

    assert (kept.status, free.status) == (1, 0)
    assert kept.lines[1] == ["plugin-analytics", "Required", "dependency"]
    assert free.json == {"canUninstall": True, "blockedBy": []}


def test_what_an_upgrade_would_break_is_told_beforehand(plexica: Desk) -> None:
    plexica.has(crm(), analytics())
    plexica("plugin", "register", plexica.manifest(crm("2.0.0")))

    bad = plexica("deps", "what-if", "plugin-crm", "^2.0.0", "--json")
    good = plexica("deps", "what-if", "plugin-crm", "^1.0.0")

    assert (bad.status, good.status) == (1, 0)
    assert [(item["tenant"], item["breaks"]) for item in bad.json["tenants"]] == [("acme-corp", ["plugin-analytics"])]
    assert good.lines[-1] == ["plugin-crm", "1.0.0", "fits", "everywhere"]

"""Tenants, plugins and installations from the command line: what is printed, and the exit status."""

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.factories import Json, dependency_json, manifest_json, service_json
from tests.unit.broker.cli.desk import Answer, Desk


def crm(version: str = "1.0.0") -> Json:
    return manifest_json(version=version, api={"services": [service_json(version=version)]})


def analytics(range_: str = "^1.0.0", **fields: Any) -> Json:
    need = dependency_json(pluginId="plugin-crm", serviceName="crm.contacts", version=range_, **fields)
    return {"id": "plugin-analytics", "name": "Analytics", "version": "1.0.0", "api": {"dependencies": [need]}}


def error_of(answer: Answer) -> Json:
    found: Json = json.loads(answer.err)["error"]
    return found


# Tenants


def test_a_tenant_is_created_listed_and_removed(plexica: Desk) -> None:
    created = plexica("tenant", "create", "acme-corp")
    again = plexica("tenant", "create", "acme-corp")
    listed = plexica("tenant", "list")
    removed = plexica("tenant", "remove", "acme-corp", "--yes")

    assert [created.out, created.status, again.status, removed.status] == ["tenant acme-corp is there\n", 0, 0, 0]
    assert listed.out == "TENANT\nacme-corp\n"
    assert plexica("tenant", "list", "--json").json == {"tenants": []}


def test_a_removal_asks_first_and_takes_no_for_an_answer(plexica: Desk) -> None:
    plexica("tenant", "create", "acme-corp")

    asked = plexica("tenant", "remove", "acme-corp", keys="n\n")

    assert asked.status == 1
    assert "Remove tenant acme-corp and all its data?" in asked.err
    assert plexica("tenant", "list", "--json").json == {"tenants": ["acme-corp"]}


def test_a_removal_that_nobody_answers_is_not_done_and_names_the_option(plexica: Desk) -> None:
    plexica("tenant", "create", "acme-corp")

    asked = plexica("tenant", "remove", "acme-corp")

    assert asked.status == 1
    assert asked.err.splitlines()[-1] == (
        "nobody answered, and nothing was done: to do it without being asked, add --yes"
    )
    assert plexica("tenant", "list", "--json").json == {"tenants": ["acme-corp"]}


def test_a_tenant_with_plugins_goes_by_force_only(plexica: Desk) -> None:
    plexica.has(crm())

    refused = plexica("tenant", "remove", "acme-corp", "--yes")
    forced = plexica("tenant", "remove", "acme-corp", "--yes", "--force")

    assert (refused.status, forced.status) == (1, 0)
    assert refused.err.startswith("STILL_REQUIRED: ")


# Plugins


def test_a_plugin_is_registered_shown_and_removed(plexica: Desk) -> None:
    registered = plexica("plugin", "register", plexica.manifest(crm()))
    listed = plexica("plugin", "list")
    shown = plexica("plugin", "show", "plugin-crm", "--json")
    removed = plexica("plugin", "remove", "plugin-crm", "--json")

    assert registered.out == "plugin-crm 1.0.0 is known\n"
    assert listed.lines == [["PLUGIN", "VERSION", "NAME"], ["plugin-crm", "1.0.0", "CRM"]]
    assert (shown.json["id"], shown.json["api"]["services"][0]["name"]) == ("plugin-crm", "crm.contacts")
    assert removed.json == {"pluginId": "plugin-crm", "versions": ["1.0.0"]}
    assert plexica("plugin", "list").out.startswith("no plugin is known")


def test_several_plugins_are_registered_at_once_and_again(plexica: Desk) -> None:
    files = [plexica.manifest(crm()), plexica.manifest(analytics(), "analytics.json")]

    registered = plexica("plugin", "register", *files)
    as_json = plexica("plugin", "register", *files, "--json")

    assert registered.out == "plugin-crm 1.0.0 is known\nplugin-analytics 1.0.0 is known\n"
    assert [item["id"] for item in as_json.json["plugins"]] == ["plugin-crm", "plugin-analytics"]


def test_one_broken_manifest_keeps_all_from_being_registered(plexica: Desk) -> None:
    refused = plexica("plugin", "register", plexica.manifest(crm()), plexica.manifest({}, "broken.json"))

    assert refused.status == 1
    assert "broken.json has " in refused.err
    assert plexica("plugin", "list", "--json").json == {"plugins": []}


def test_one_version_of_a_plugin_is_shown_and_removed(plexica: Desk) -> None:
    plexica.has(crm("1.0.0"), crm("2.0.0"), installed=False)

    shown = [plexica("plugin", "show", "plugin-crm", *rest) for rest in ([], ["--version", "1.0.0"])]
    removed = plexica("plugin", "remove", "plugin-crm", "--version", "1.0.0", "--json")

    assert [answer.out.splitlines()[0] for answer in shown] == ["plugin-crm 2.0.0: CRM", "plugin-crm 1.0.0: CRM"]
    assert removed.json["versions"] == ["1.0.0"]


def test_a_plugin_that_is_installed_is_removed_by_force_only(plexica: Desk) -> None:
    plexica.has(crm())

    refused = plexica("plugin", "remove", "plugin-crm")
    forced = plexica("plugin", "remove", "plugin-crm", "--force")

    assert (refused.status, forced.status) == (1, 0)
    assert refused.err.startswith("STILL_REQUIRED: ")


def test_a_broken_manifest_is_not_registered(plexica: Desk) -> None:
    refused = plexica("plugin", "register", plexica.manifest(manifest_json(version="1", name="")))
    as_json = plexica("plugin", "register", plexica.manifest(manifest_json(version="1", name="")), "--json")

    assert refused.status == 1
    assert refused.err.startswith("INVALID_MANIFEST: ")
    assert len(refused.err.splitlines()) == 1
    assert [item["path"] for item in error_of(as_json)["details"]["errors"]] == ["name", "version"]


def test_an_unknown_plugin_is_told_with_what_to_do(plexica: Desk) -> None:
    refused = plexica("plugin", "show", "plugin-crm")

    assert refused.status == 1
    assert refused.err.startswith("PLUGIN_NOT_FOUND: Plugin plugin-crm is not known")
    assert "plexica plugin register plugin.json" in refused.err


# Installations


def test_a_plugin_is_installed_and_taken_out(plexica: Desk) -> None:
    plexica.has(crm(), installed=False)

    installed = plexica("install", "plugin-crm", "^1.0.0", "-t", "acme-corp", "--json")
    listed = plexica("installations", "-t", "acme-corp")
    gone = plexica("uninstall", "plugin-crm", "-t", "acme-corp")
    again = plexica("uninstall", "plugin-crm", "-t", "acme-corp")

    assert installed.json.items() >= {"tenant": "acme-corp", "pluginId": "plugin-crm", "version": "1.0.0"}.items()
    assert listed.lines == [["PLUGIN", "VERSION", "REMARK"], ["plugin-crm", "1.0.0"]]
    assert (gone.status, gone.out) == (0, "plugin-crm 1.0.0 is taken out of acme-corp\n")
    assert (again.status, again.out) == (0, "plugin-crm is not in acme-corp\n")


def test_what_would_break_is_refused_and_may_be_forced(plexica: Desk) -> None:
    plexica.has(crm(), installed=False)
    plexica("plugin", "register", plexica.manifest(analytics()))

    refused = plexica("install", "plugin-analytics", "-t", "acme-corp")
    forced = plexica("install", "plugin-analytics", "-t", "acme-corp", "--force")

    assert refused.status == 1
    assert refused.err.startswith("UNRESOLVABLE: Missing dependency: plugin-crm (required by plugin-analytics) (see ")
    assert "'plexica deps resolve plugin-analytics --tenant acme-corp', or override" in refused.err
    assert forced.status == 0


def test_a_required_plugin_stays_unless_forced(plexica: Desk) -> None:
    plexica.has(crm(), analytics())

    refused = plexica("uninstall", "plugin-crm", "-t", "acme-corp", "--json")
    forced = plexica("uninstall", "plugin-crm", "-t", "acme-corp", "--force", "--remove-data")

    assert refused.status == 1
    assert error_of(refused)["code"] == "STILL_REQUIRED"
    assert error_of(refused)["next"].startswith("see 'plexica deps dependents plugin-crm', or")
    assert [item["pluginId"] for item in error_of(refused)["details"]["blockedBy"]] == ["plugin-analytics"]
    assert forced.status == 0
    with closing(sqlite3.connect(plexica.folder / "broker.db")) as store:
        assert store.execute("SELECT operation, caller FROM overrides").fetchall() == [("uninstall", "plugin-plexica")]


def test_an_upgrade_says_what_it_replaced(plexica: Desk) -> None:
    plexica.has(crm())
    plexica("plugin", "register", plexica.manifest(crm("1.1.0")))

    dry = plexica("upgrade", "plugin-crm", "-t", "acme-corp", "--dry-run")
    done = plexica("upgrade", "plugin-crm", "-t", "acme-corp")

    assert (dry.status, done.status) == (0, 0)
    assert dry.lines[1] == ["acme-corp", "1.0.0", "yes", "-"]
    assert done.out.startswith("plugin-crm 1.1.0 is installed in acme-corp, was 1.0.0\n")


def test_an_upgrade_that_breaks_others_is_refused_and_its_dry_run_says_no(plexica: Desk) -> None:
    plexica.has(crm(), analytics())
    plexica("plugin", "register", plexica.manifest(crm("2.0.0")))

    dry = plexica("upgrade", "plugin-crm", "^2.0.0", "-t", "acme-corp", "--dry-run")
    refused = plexica("upgrade", "plugin-crm", "^2.0.0", "-t", "acme-corp")
    forced = plexica("upgrade", "plugin-crm", "^2.0.0", "-t", "acme-corp", "--force")

    broken = "Version mismatch: crm.contacts@2.0.0 does not satisfy ^1.0.0"
    assert (dry.status, refused.status, forced.status) == (1, 1, 0)
    assert broken in dry.out
    assert refused.err.startswith(f"UNRESOLVABLE: {broken}")
    assert f"broken: {broken}" in forced.out
    listed = plexica("installations", "-t", "acme-corp").lines
    assert ["plugin-crm", "1.0.0", "superseded,", "bound", "until", "nobody", "needs", "it"] in listed


# What all commands share


@pytest.mark.parametrize(
    "words",
    [
        ["tenant", "create", "Acme Corp"],
        ["tenant", "create"],
        ["install", "crm"],
        ["install", "plugin-crm", "latest"],
        ["install", "plugin-crm", "-t", "_"],
        ["services", "discover", "crm"],
        ["services", "list", "--status", "WELL"],
        ["services", "watch", "crm..x"],
        ["services", "watch", "--count", "0"],
        ["plugin", "show", "plugin-crm", "--version", "one"],
        ["deps", "what-if", "plugin-crm"],
        ["tenant", "list", "--timeout", "0"],
        ["tenant", "list", "--prefix", "a b"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_status_2_and_asks_nobody(plexica: Desk, words: list[str]) -> None:
    answer = plexica(*words)

    assert answer.status == 2
    assert answer.out == ""
    assert not (plexica.folder / "broker.db").exists()


def test_an_unknown_tenant_is_one_line_that_says_what_to_do(plexica: Desk) -> None:
    refused = plexica("installations", "-t", "nobody")

    assert refused.status == 1
    assert refused.out == ""
    assert refused.err == (
        "TENANT_NOT_FOUND: Tenant 'nobody' not found: plexica tenant create nobody (see 'plexica tenant list')\n"
    )


def test_with_json_an_error_is_json_on_standard_error(plexica: Desk) -> None:
    refused = plexica("installations", "-t", "nobody", "--json")

    assert refused.status == 1
    assert refused.out == ""
    assert (error_of(refused)["code"], error_of(refused)["message"]) == (
        "TENANT_NOT_FOUND",
        "Tenant 'nobody' not found: plexica tenant create nobody",
    )
    assert error_of(refused)["next"].startswith("see 'plexica tenant list'")


def test_the_tenant_may_come_from_the_environment(plexica: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    plexica.has(crm())
    monkeypatch.setenv("PLEXICA_TENANT", "acme-corp")

    assert plexica("installations").lines[1] == ["plugin-crm", "1.0.0"]


def test_a_command_without_a_tenant_is_not_disturbed_by_the_default_one(plexica: Desk) -> None:
    plexica.has(crm(), analytics())

    assert plexica("deps", "show", "plugin-analytics").status == 0


def test_one_version_of_a_plugin_is_taken_out(plexica: Desk) -> None:
    plexica.has(crm("1.0.0"), crm("2.0.0"))

    gone = plexica("uninstall", "plugin-crm", "1.0.0", "-t", "acme-corp")
    again = plexica("uninstall", "plugin-crm", "1.0.0", "-t", "acme-corp")

    assert gone.out == "plugin-crm 1.0.0 is taken out of acme-corp\n"
    assert again.out == "plugin-crm 1.0.0 is not in acme-corp\n"
    assert plexica("installations", "-t", "acme-corp").lines[1:] == [["plugin-crm", "2.0.0"]]

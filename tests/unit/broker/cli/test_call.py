"""``plexica call``: what is asked of a plugin, what is shown of its answer, and what is told when there is none."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from broker.bootstrap import Broker
from broker.cli.call import milliseconds, phrase, result_json, status_line
from broker.cli.output import Out
from contracts.calls import CallMetadata, CallResult
from contracts.codec import encode
from contracts.errors import RateLimitedError
from contracts.ids import new_id
from contracts.names import SYSTEM_PLUGIN
from contracts.registry import PresenceAnnouncement
from plugin_runtime import Call, Plugin, Refusal, Reply
from plugin_runtime.transport.base import Message
from plugin_runtime.transport.memory import MemoryTransport
from tests.acceptance.plugins import make_plugin
from tests.unit.broker.cli.desk import Answer, Desk
from tests.unit.broker.cli.test_operating import crm, error_of

SECRET = {"method": "GET", "path": "/secret", "permissions": ["plugin.crm.contacts.read"]}


def make_mirror() -> Plugin:
    """A CRM that answers what it was asked."""
    endpoints = [{"method": method, "path": "/contacts"} for method in ("GET", "POST", "DELETE")]
    slow = {"method": "GET", "path": "/slow"}
    services = [{"name": "crm.contacts", "version": "1.0.0", "endpoints": [*endpoints, SECRET, slow]}]
    document = {"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"services": services}}
    mirror = Plugin.from_manifest(document)
    contacts = mirror.service("crm.contacts")

    @contacts.get("/contacts")
    async def asked(call: Call) -> dict[str, Any]:
        return {"tenant": call.tenant.id, "caller": call.caller, "query": call.query.to_json(), "x": dict(call.headers)}

    @contacts.post("/contacts")
    async def kept(call: Call) -> Reply:
        return Reply(call.body, status=201, headers={"location": "/contacts/1"})

    @contacts.delete("/contacts")
    async def refused(_call: Call) -> None:
        raise Refusal(409, "Contacts are in use", by=["deals"])

    @contacts.get("/secret")
    async def secret(_call: Call) -> str:
        return "\x1b[31m\u202eheld\U000e0001"

    @contacts.get("/slow")
    async def slowly(_call: Call) -> Reply:
        await asyncio.sleep(60)
        return Reply(status=204)

    return mirror


def ask(plexica: Desk, *words: str, keys: str = "") -> Answer:
    """Call ``crm.contacts``."""
    return plexica("call", "crm.contacts", *words, "-t", "acme-corp", plugins=[make_mirror()], keys=keys)


# What is asked


def test_a_call_carries_what_was_given_and_is_made_by_the_operator(plexica: Desk) -> None:
    asked = ask(plexica, "get", "/contacts", "-q", "tag=a", "--query", "tag=b=c", "-q", "empty=", "-H", "X-Trace=7")

    assert asked.json == {
        "tenant": "acme-corp",
        "caller": "plugin-plexica",
        "query": {"tag": ["a", "b=c"], "empty": [""]},
        "x": {"x-trace": "7"},
    }


@pytest.mark.parametrize("source", ["word", "file", "stdin"])
def test_a_body_comes_from_the_line_a_file_or_standard_input(plexica: Desk, source: str) -> None:
    document = {"name": "Ada", "tags": [1, None, "ä"]}
    text = json.dumps(document)
    place = plexica.folder / "contact.json"
    place.write_text(text)
    word = {"word": text, "file": f"@{place}", "stdin": "-"}[source]

    created = ask(plexica, "POST", "/contacts", "--body", word, keys=text)

    assert (created.status, created.json) == (0, document)


def test_an_administrator_needs_no_permission(plexica: Desk) -> None:
    assert ask(plexica, "GET", "/secret").status == 0


def test_services_of_the_broker_can_be_called_too(plexica: Desk) -> None:
    plexica.has(crm())

    asked = plexica("call", "system.dependencies", "GET", "/installations", "-t", "acme-corp")

    assert [item["pluginId"] for item in asked.json["installations"]] == ["plugin-crm"]


# What is shown


def test_the_data_is_alone_on_standard_output_and_the_rest_told_beside_it(plexica: Desk) -> None:
    created = ask(plexica, "POST", "/contacts", "--body", '{"name": "Ada"}')

    status, header = created.err.splitlines()
    assert created.out == '{\n  "name": "Ada"\n}\n'
    assert status.startswith("201 Created  crm.contacts 1.0.0  instance ")
    assert status.endswith(" ms")
    assert header == "location: /contacts/1"


def test_a_status_of_400_or_more_is_shown_and_is_exit_status_1(plexica: Desk) -> None:
    refused = ask(plexica, "DELETE", "/contacts")

    assert refused.status == 1
    assert refused.json == {"error": "Contacts are in use", "by": ["deals"]}
    assert refused.err.startswith("409 Conflict  crm.contacts 1.0.0")


def test_for_machines_the_whole_answer_is_one_object(plexica: Desk) -> None:
    refused = ask(plexica, "DELETE", "/contacts", "--json")

    assert refused.status == 1
    assert refused.err == ""
    assert refused.json["status"] == 409
    assert refused.json["data"]["by"] == ["deals"]
    assert refused.json["headers"] == {}
    assert refused.json["metadata"].items() >= {"plugin": "plugin-crm", "version": "1.0.0"}.items()
    assert 0 < refused.json["durationSeconds"] < 60


def test_what_a_plugin_answers_commands_no_terminal(plexica: Desk) -> None:
    shown = ask(plexica, "GET", "/secret")

    assert shown.out == '"\\u001b[31m\\u202eheld\\udb40\\udc01"\n'
    assert shown.json == "\x1b[31m\u202eheld\U000e0001"


def test_data_is_coloured_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    out = Out(as_json=False)
    out.json_text({"a": 1})
    plain = capsys.readouterr().out
    out.console = Console(force_terminal=True, color_system="standard")
    out.json_text({"a": 1})

    assert plain == '{\n  "a": 1\n}\n'
    assert "\x1b[" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "style"), [(201, "green"), (304, "cyan"), (404, "yellow"), (503, "red")])
def test_a_status_has_the_colour_of_its_kind(status: int, style: str) -> None:
    line = status_line(result(status))

    assert any(style in str(span.style) for span in line.spans)


def test_a_status_that_http_does_not_know_has_no_words() -> None:
    assert phrase(299) == ""
    assert status_line(result(299)).plain.startswith("299  crm.contacts")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.00042, "0.4 ms"), (0.0994, "99.4 ms"), (0.5, "500 ms"), (2.5, "2.50 s")]
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, shown: str) -> None:
    assert milliseconds(seconds) == shown


def test_how_long_a_call_took_is_told_once_to_machines() -> None:
    told = result_json(result(200))

    assert told["durationSeconds"] == 0.1
    assert "durationSeconds" not in told["metadata"]


def result(status: int) -> CallResult:
    metadata = CallMetadata(
        plugin="plugin-crm", service="crm.contacts", version="1.0.0", instance="7f3a", duration_seconds=0.1
    )
    return CallResult(status=status, headers={}, data=None, metadata=metadata)


# What is told when there is no answer


@pytest.mark.parametrize(
    ("service", "words", "told"),
    [
        ("crm.contacts", ["GET", "/nowhere"], "ENDPOINT_NOT_FOUND: Endpoint GET /nowhere not found in crm.contacts"),
        ("crm.contact", ["GET", "/"], "SERVICE_NOT_FOUND: Service crm.contact not found or unavailable; did you mean"),
        (
            "crm.contacts",
            ["GET", "/contacts", "--range", "^2"],
            "VERSION_MISMATCH: Service crm.contacts has no version",
        ),
        ("crm.contacts", ["GET", "/slow", "--timeout", "0.2"], "CALL_TIMEOUT: API call timeout after "),
    ],
)
def test_an_error_is_one_line_and_exit_status_1(plexica: Desk, service: str, words: list[str], told: str) -> None:
    refused = plexica("call", service, *words, "-t", "acme-corp", plugins=[make_mirror()])

    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith(told)
    assert len(refused.err.splitlines()) == 1


def test_an_unknown_endpoint_names_the_command_that_shows_what_there_is(plexica: Desk) -> None:
    refused = ask(plexica, "GET", "/nowhere")

    assert refused.err.endswith("(see 'plexica services discover crm.contacts --tenant acme-corp')\n")


def test_a_service_without_an_instance_says_that_it_is_installed(plexica: Desk) -> None:
    plexica.has(crm())

    refused = plexica("call", "crm.contacts", "GET", "/contacts", "-t", "acme-corp", "--json")

    assert refused.status == 1
    assert error_of(refused)["code"] == "SERVICE_NOT_FOUND"
    assert error_of(refused)["next"] == "1.0.0 is installed, but no instance of it serves calls: start the plugin"


def test_an_instance_that_goes_ends_the_wait_at_once(plexica: Desk) -> None:
    running = asyncio.Event()
    mirror = make_plugin("crm", "POST /slow")

    @mirror.service("crm.contacts").post("/slow")
    async def slowly(_call: Call) -> None:
        running.set()
        await asyncio.sleep(60)

    async def tell_of_its_death(_broker: Broker, operator: MemoryTransport) -> None:
        await running.wait()
        system = MemoryTransport(operator._vhost, identity=SYSTEM_PLUGIN)
        await system.open()
        gone = PresenceAnnouncement(revision=99, service_name="crm.contacts", version="1.0.0")
        message = Message(body=encode(gone.to_json()), type="presence", message_id=new_id())
        await system.publish(message, exchange="plexica.registry", routing_key="_.presence.crm.contacts")
        await system.close()

    left = plexica(
        "call", "crm.contacts", "POST", "/slow", "-t", "acme-corp", plugins=[mirror], beside=tell_of_its_death
    )

    assert left.status == 1
    assert left.err.startswith("OUTCOME_UNKNOWN: The last instance of crm.contacts 1.0.0 went away while it may have")


def test_how_long_to_wait_is_told_where_the_error_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    Out(as_json=False).error(RateLimitedError("60 calls a minute", retryAfter=1.5))

    assert capsys.readouterr().err == "RATE_LIMITED: 60 calls a minute (try again in 1.5 s)\n"


# Wrong use


@pytest.mark.parametrize(
    "words",
    [
        ["crm", "GET", "/contacts"],
        ["crm.contacts", "FETCH", "/contacts"],
        ["crm.contacts", "GET", "contacts"],
        ["crm.contacts", "GET", "/contacts?limit=1"],
        ["crm.contacts", "GET", "/contacts/../x"],
        ["crm.contacts", "GET"],
        ["crm.contacts", "GET", "/contacts", "--query", "limit"],
        ["crm.contacts", "GET", "/contacts", "--header", "=1"],
        ["crm.contacts", "POST", "/contacts", "--body", "{oops"],
        ["crm.contacts", "POST", "/contacts", "--body", "@nowhere.json"],
        ["crm.contacts", "GET", "/contacts", "--timeout", "0"],
        ["crm.contacts", "GET", "/contacts", "--timeout", "inf"],
        ["crm.contacts", "GET", "/contacts", "--range", "latest"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_status_2_and_asks_nobody(
    plexica: Desk, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    answer = plexica("call", *words)

    assert (answer.status, answer.out) == (2, "")
    assert not (plexica.folder / "broker.db").exists()

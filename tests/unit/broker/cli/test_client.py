"""``plexica client generate``: from the registry, from a file, and what is said where neither helps."""

from pathlib import Path

import pytest

from tests.acceptance.test_typed_use import make_typed_crm
from tests.factories import endpoint_json, manifest_json, service_json
from tests.unit.broker.cli.desk import Desk
from tests.unit.broker.client_sources import loaded

SCHEMA = {"title": "Contact", "type": "object", "properties": {"name": {"type": "string"}}}
SERVICES = [service_json(endpoints=[endpoint_json(response=SCHEMA), endpoint_json(method="POST")])]
DOCUMENT = manifest_json(api={"services": SERVICES})


def generated(plexica: Desk, *words: str) -> tuple[str, str, int]:
    answer = plexica("client", "generate", *words)
    return answer.out, answer.err, answer.status


def test_client_is_written_from_the_handlers_of_a_running_plugin(plexica: Desk, tmp_path: Path) -> None:
    place = tmp_path / "contacts_client.py"
    words = ("client", "generate", "crm.contacts", "--range", "^1.0.0", "-t", "acme-corp", "-o", str(place))

    answer = plexica(*words, plugins=[make_typed_crm()])

    assert (answer.out, answer.err, answer.status) == (f"{place}: a client of crm.contacts 1.0.0\n", "", 0)
    assert loaded(place.read_text()).Contact(name="Ada", id=1).tags == []


def test_client_is_written_from_a_manifest_without_a_broker(plexica: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXICA_URL", "amqp://nowhere.invalid/")
    source, said, status = generated(plexica, "crm.contacts", "--manifest", plexica.manifest(DOCUMENT))

    assert loaded(source).Contact(name="Ada").name == "Ada"
    assert said == "without a schema of the answer, so its type is Any: POST /contacts\n"
    assert status == 0


def test_a_program_gets_the_source_or_the_file_as_json(plexica: Desk, tmp_path: Path) -> None:
    words = ("client", "generate", "crm.contacts", "-m", plexica.manifest(DOCUMENT), "--json")
    place = tmp_path / "client.py"

    told = plexica(*words).json
    written = plexica(*words, "-o", str(place))

    assert (told["service"], told["version"]) == ("crm.contacts", "1.0.0")
    assert (written.json, written.err) == ({"service": "crm.contacts", "version": "1.0.0", "file": str(place)}, "")
    assert place.read_text() == told["source"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("crm.contact",), "SERVICE_NOT_FOUND: plugin-crm 1.0.0 offers no crm.contact; did you mean 'crm.contacts'?"),
        (("crm.contacts", "--range", "^2"), "offers crm.contacts@1.0.0, which is not in ^2"),
        (("crm.contacts", "-o", "/nowhere/client.py"), "START: /nowhere/client.py cannot be written"),
    ],
)
def test_what_cannot_be_written_is_told(plexica: Desk, words: tuple[str, ...], said: str) -> None:
    source, error, status = generated(plexica, *words, "-m", plexica.manifest(DOCUMENT))

    assert (source, status) == ("", 1)
    assert said in error


def test_a_file_that_is_no_manifest_is_told(plexica: Desk) -> None:
    source, error, status = generated(plexica, "crm.contacts", "-m", plexica.manifest({"id": "crm"}))

    assert (source, status) == ("", 1)
    assert error.startswith("INVALID_MANIFEST: ")


def test_a_service_that_nobody_offers_is_told(plexica: Desk) -> None:
    plexica("tenant", "create", "acme-corp")
    _, error, status = generated(plexica, "crm.contacts", "-t", "acme-corp")

    assert (status, error.partition(":")[0]) == (1, "SERVICE_NOT_FOUND")


def test_discover_shows_the_schemas_to_programs(plexica: Desk) -> None:
    found = plexica("services", "discover", "crm.contacts", "-t", "acme-corp", "--json", plugins=[make_typed_crm()])

    assert found.json["endpoints"][0]["query"]["properties"]["limit"]["minimum"] == 1


def test_the_manifest_that_the_broker_shows_gives_the_same_file_as_the_registry(plexica: Desk) -> None:
    shown = plexica("plugin", "show", "plugin-crm", "--json", plugins=[make_typed_crm()]).json

    from_manifest = generated(plexica, "crm.contacts", "-m", plexica.manifest(shown))
    asked = plexica("client", "generate", "crm.contacts", "-t", "acme-corp", plugins=[make_typed_crm()])

    assert from_manifest == (asked.out, asked.err, 0)

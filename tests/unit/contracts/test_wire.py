"""Bodies are strict, camelCase, and say in plain words what is wrong with them."""

from typing import Any

import pytest

from contracts.errors import InvalidRequestError
from contracts.registry import Heartbeat, RegisterRequest, ServiceRegistration
from contracts.shared_data import SetRequest
from contracts.wire import describe
from tests.factories import manifest_json


def message_of(model: type[Any], body: object) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        model.parse(body)
    return caught.value.message


def test_a_body_is_camel_case_on_the_wire() -> None:
    heartbeat = Heartbeat.parse({"instanceId": "7f3a", "load": 2})

    assert heartbeat == Heartbeat(instance_id="7f3a", load=2)
    assert heartbeat.to_json() == {"instanceId": "7f3a", "status": "HEALTHY", "load": 2}


def test_a_body_is_frozen() -> None:
    heartbeat = Heartbeat(instance_id="7f3a")

    with pytest.raises(ValueError, match="frozen"):
        heartbeat.load = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "the body must be a JSON object, found null"),
        ([], "the body must be a JSON object, found an array"),
        ({}, "instanceId: is required"),
        ({"instanceId": 5}, "instanceId: must be text, found number 5"),
        ({"instanceId": "a", "load": "2"}, "load: must be a whole number, found text '2'"),
        ({"instanceId": "a", "load": True}, "load: must be a whole number, found true"),
        ({"instanceId": "a", "load": -1}, "load: must be at least 0, found number -1"),
        ({"instanceId": "a", "status": "UP"}, "status: must be 'HEALTHY' or 'DEGRADED', found text 'UP'"),
        ({"instanceId": "a", "lod": 1}, "lod: unknown key; did you mean 'load'?"),
        ({"instance_id": "a"}, "instanceId: is required; instance_id: unknown key; did you mean 'instanceId'?"),
    ],
)
def test_a_wrong_body_is_refused_in_a_sentence(body: object, message: str) -> None:
    assert message_of(Heartbeat, body) == message


def test_every_wrong_field_is_listed_in_the_details() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Heartbeat.parse({"load": -1})

    assert caught.value.details == {
        "errors": [
            {"path": "instanceId", "message": "is required"},
            {"path": "load", "message": "must be at least 0, found number -1"},
        ]
    }


@pytest.mark.parametrize("ttl", [0, -1, "60", float("nan"), float("inf"), True])
def test_a_ttl_that_is_no_positive_number_is_refused(ttl: Any) -> None:
    assert message_of(SetRequest, {"value": 1, "ttl": ttl}).startswith("ttl: must be ")


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}])
def test_any_json_value_is_a_value(value: Any) -> None:
    assert SetRequest.parse({"value": value, "ttl": 0.5}).value == value


def test_a_value_must_be_said_even_where_it_may_be_null() -> None:
    assert message_of(SetRequest, {}) == "value: is required"


def test_an_error_deep_inside_has_a_dotted_path_and_stands_alone() -> None:
    body = {"instanceId": "a", "serviceName": "crm.contacts", "endpoints": [{"method": "GET", "path": "x"}]}

    assert message_of(ServiceRegistration, body) == "endpoints.0.path: path 'x' must start with '/'"


def test_an_embedded_manifest_is_read_by_the_same_rules() -> None:
    body = {"protocol": 1, "runtimeVersion": "0.1.0", "instanceId": "a", "manifest": manifest_json(id="crm", api={})}

    assert message_of(RegisterRequest, body).startswith("manifest.id: plugin id 'crm' is not valid")
    assert RegisterRequest.parse(body | {"manifest": manifest_json()}).manifest.id == "plugin-crm"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1.5, "number 1.5"),
        ("x", "text 'x'"),
        ("x" * 60, f"text '{'x' * 60}'"),
        ("x" * 61, f"text '{'x' * 57}...'"),
        ([1], "an array"),
        ((), "an array"),
        ({}, "an object"),
        (b"x", "b'x'"),
    ],
)
def test_a_value_is_described_by_its_json_type(value: object, words: str) -> None:
    assert describe(value) == words

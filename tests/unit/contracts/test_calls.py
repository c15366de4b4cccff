"""A call's request, query and reply, to the wire and back."""

import re
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from contracts.calls import METHODS, REPEATABLE_METHODS, CallReply, CallRequest, Query
from contracts.errors import InvalidRequestError, StillRequiredError
from tests.factories import make_request


def test_only_methods_that_may_run_twice_are_repeatable() -> None:
    assert {"POST", "PATCH"} == METHODS - REPEATABLE_METHODS


def test_a_query_gives_the_first_value_and_all_values() -> None:
    query = Query({"tag": ["vip", "new"], "limit": ["10"], "none": []})

    assert query["tag"] == "vip"
    assert query.all("tag") == ["vip", "new"]
    assert query.all("none") == query.all("unknown") == []
    assert dict(query) == {"tag": "vip", "limit": "10"}
    assert query.get("unknown") is None
    with pytest.raises(KeyError):
        query["unknown"]


def test_a_query_cannot_be_changed_through_what_it_gave_or_got() -> None:
    source = {"tag": ["vip"]}
    query = Query(source)

    source["tag"].append("x")
    query.all("tag").append("y")
    query.to_json()["tag"].append("z")

    assert query.to_json() == {"tag": ["vip"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", ["a"]),
        ("", [""]),
        (10, ["10"]),
        (0, ["0"]),
        (1.5, ["1.5"]),
        (True, ["true"]),
        (False, ["false"]),
        (["a", 1, True], ["a", "1", "true"]),
        (("a", "b"), ["a", "b"]),
        ([], []),
        (None, []),
    ],
)
def test_a_query_says_values_as_text(value: Any, expected: list[str]) -> None:
    assert Query.of({"key": value}).all("key") == expected


class Filters(BaseModel):
    """A query as a model."""

    since: date
    stage: Literal["lead"] | None = None
    tag: set[str] = {"vip"}
    is_open: Annotated[bool, Field(alias="open")] = False


def test_a_query_of_a_model_has_its_fields_under_their_names_on_the_wire() -> None:
    query = Query.of(Filters(since=date(2026, 1, 31), open=True))

    assert query.to_json() == {"since": ["2026-01-31"], "tag": ["vip"], "open": ["true"]}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"a": {"b": 1}}, r"^query\.a must be text, a number, true, false or a list of these, found an object$"),
        ({"a": ["x", None]}, r"^query\.a must be text, .*, found null$"),
        ({"a": object()}, r"^query\.a cannot be written as JSON: "),
        (["a"], r"^query must be an object, found an array$"),
    ],
)
def test_a_query_that_cannot_be_text_is_refused(values: Any, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        Query.of(values)


def test_a_query_of_nothing_is_empty_and_of_a_query_is_itself() -> None:
    query = Query({"a": ["1"]})

    assert len(Query.of(None)) == 0
    assert Query.of(query) is query


@pytest.mark.parametrize("body", [None, 0, False, "", [], {"a": [1]}])
def test_a_request_comes_back_from_the_wire_as_it_was(body: Any) -> None:
    request = make_request(method="PUT", query=Query({"a": ["1", "2"]}), headers={"x-note": "y"}, body=body)

    assert CallRequest.from_json(request.to_json()) == request


def test_a_request_needs_no_more_than_method_and_path() -> None:
    request = CallRequest.from_json({"method": "GET", "path": "/"})

    assert (len(request.query), request.headers, request.body) == (0, {}, None)


def test_names_of_headers_are_read_in_lower_case() -> None:
    request = CallRequest.from_json({"method": "GET", "path": "/", "headers": {"X-Note": "Y"}})

    assert request.headers == {"x-note": "Y"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "a call must be a JSON object, found null"),
        ([], "a call must be a JSON object, found an array"),
        ({"path": "/"}, "method must be GET, POST, PUT, PATCH or DELETE, found null"),
        ({"method": "get", "path": "/"}, "found text 'get'"),
        ({"method": ["GET"], "path": "/"}, "found an array"),
        ({"method": {}, "path": "/"}, "found an object"),
        ({"method": "GET"}, "path must be text, found null"),
        ({"method": "GET", "path": 5}, "path must be text, found number 5"),
        ({"method": "GET", "path": "/", "query": []}, "query must be an object of arrays of text, found an array"),
        (
            {"method": "GET", "path": "/", "query": {"a": "1"}},
            "query: text 'a' must be an array of text, found text '1'",
        ),
        ({"method": "GET", "path": "/", "query": {"a": [1]}}, "query: text 'a' must hold text alone, found number 1"),
        ({"method": "GET", "path": "/", "headers": {"a": 1}}, "headers must be an object of text, found an object"),
        ({"method": "GET", "path": "/", "headers": "a"}, "headers must be an object of text, found text 'a'"),
    ],
)
def test_a_request_of_another_form_is_refused(document: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(message)):
        CallRequest.from_json(document)


@pytest.mark.parametrize("data", [None, 0, False, "", [], {"id": "cnt_1"}])
def test_a_reply_comes_back_from_the_wire_as_it_was(data: Any) -> None:
    reply = CallReply(status=201, headers={"x-total-count": "4"}, data=data)

    assert CallReply.from_json(reply.to_json()) == reply


def test_a_coded_error_travels_as_code_message_and_details() -> None:
    reply = CallReply.of_error(StillRequiredError("plugin-crm is still required", blockedBy=["plugin-analytics"]))

    assert reply.to_json() == {
        "status": 409,
        "error": {
            "code": "STILL_REQUIRED",
            "message": "plugin-crm is still required",
            "details": {"blockedBy": ["plugin-analytics"]},
        },
    }
    assert CallReply.from_json(reply.to_json()) == reply


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "a reply must be an object with a status, found null"),
        ({}, "a reply must be an object with a status, found an object"),
        ({"status": "200"}, "a reply must be an object with a status"),
        ({"status": 500, "error": "boom"}, "a reply's error must be an object with a code, found text 'boom'"),
        ({"status": 500, "error": {}}, "a reply's error must be an object with a code"),
        ({"status": 200, "headers": []}, "headers must be an object of text"),
    ],
)
def test_a_reply_of_another_form_is_refused(document: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=re.escape(message)):
        CallReply.from_json(document)

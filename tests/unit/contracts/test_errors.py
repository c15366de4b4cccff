"""The closed table of codes: one class and one status each, and the way over the wire and back."""

import pytest

from contracts import errors
from contracts.calls import CallReply
from contracts.errors import CODES, CodedError, InvalidManifestError, RemoteError, did_you_mean, error_from_wire

STATUSES = {
    "TENANT_NOT_FOUND": 404,
    "PLUGIN_NOT_FOUND": 404,
    "SERVICE_NOT_FOUND": 404,
    "PLUGIN_MISMATCH": 400,
    "ENDPOINT_NOT_FOUND": 404,
    "VERSION_MISMATCH": 409,
    "NAME_TAKEN": 409,
    "UNRESOLVABLE": 409,
    "STILL_REQUIRED": 409,
    "STALE_REVISION": 409,
    "NOT_OWNER": 403,
    "QUOTA_EXCEEDED": 429,
    "SERVICE_UNAVAILABLE": 503,
    "OVERLOADED": 503,
    "RATE_LIMITED": 429,
    "CALL_TIMEOUT": 504,
    "OUTCOME_UNKNOWN": 502,
    "INVALID_REQUEST": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "UNDECLARED_DEPENDENCY": 403,
    "INCOMPATIBLE_RUNTIME": 426,
    "REMOTE": 500,
}


def test_the_table_holds_the_promised_codes_and_statuses() -> None:
    assert {code: error.status for code, error in CODES.items()} == STATUSES


@pytest.mark.parametrize(("code", "error"), CODES.items())
def test_a_class_is_named_as_its_code(code: str, error: type[CodedError]) -> None:
    assert error.__name__ == "".join(word.capitalize() for word in code.split("_")) + "Error"
    assert error.code == code
    assert getattr(errors, error.__name__) is error


@pytest.mark.parametrize("error", [error for code, error in CODES.items() if code != "REMOTE"])
def test_an_error_comes_back_from_the_wire_as_it_was(error: type[CodedError]) -> None:
    raised = error("what was found and expected", available=["GET /contacts"], retryAfter=1.5)
    reply = CallReply.from_json(CallReply.of_error(raised).to_json())
    assert reply.error is not None
    received = error_from_wire(**reply.error, status=reply.status)

    assert type(received) is error
    assert (received.message, str(received)) == (raised.message, raised.message)
    assert (received.details, received.status) == (raised.details, raised.status)


@pytest.mark.parametrize("code", ["REMOTE", "NO_SUCH_CODE", ""])
def test_a_code_outside_the_table_is_a_remote_error_that_keeps_its_status(code: str) -> None:
    received = error_from_wire(code, "boom", {"type": "KeyError"}, 418)

    assert isinstance(received, RemoteError)
    assert (received.status, received.data, received.message) == (418, {"type": "KeyError"}, "boom")


def test_details_are_data_of_each_error_alone() -> None:
    one, other = RemoteError("one"), RemoteError("other")
    one.details["a"] = 1

    assert other.details == {}


def test_a_detail_may_have_any_name_on_the_way_back() -> None:
    received = error_from_wire("INVALID_REQUEST", "outer", {"message": "inner", "self": 1}, 400)

    assert (received.message, received.details) == ("outer", {"message": "inner", "self": 1})


def test_an_invalid_manifest_lists_path_and_message_of_each_error() -> None:
    error = InvalidManifestError("plugin.json", [("api.services.0.name", "is required"), ("", "cannot be read")])

    assert str(error) == "plugin.json has 2 errors:\n  api.services.0.name: is required\n  cannot be read"


@pytest.mark.parametrize(
    ("found", "hint"), [("servces", "; did you mean 'services'?"), ("zzz", ""), ("", ""), ("deps", "")]
)
def test_only_a_near_word_is_offered(found: str, hint: str) -> None:
    assert did_you_mean(found, ["services", "events"]) == hint

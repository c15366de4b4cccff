"""What endpoints ask of a call before they delegate."""

import pytest

from broker.requests import check_form, known_query_keys
from broker.system import system_plugin
from contracts.calls import Query
from contracts.errors import InvalidRequestError
from contracts.registry import TENANTS_SERVICE

KNOWN = ("force", "recursive")


def test_the_manifest_says_which_query_keys_an_endpoint_knows() -> None:
    service = system_plugin().manifest.service(TENANTS_SERVICE)
    assert service is not None

    assert known_query_keys(service, "DELETE", "/tenants/:id") == ("force",)
    assert known_query_keys(service, "GET", "/tenants") == ()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            {"forse": "true"},
            r"^query: unknown key text 'forse'; did you mean 'force'\?; expected force, recursive$",
        ),
        ({"a\nb": "x"}, r"unknown key text 'a\\nb'; expected"),
        ({"force": ["true", "false"]}, r"^force must be given once, found 2 values$"),
    ],
)
def test_what_an_endpoint_would_ignore_is_refused(query: dict[str, str | list[str]], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        check_form("GET", Query.of(query), None, KNOWN)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_where_none_is_expected_is_refused(method: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{method} takes no body, found an object$"):
        check_form(method, Query(), {"force": True}, KNOWN)


def test_what_is_known_passes() -> None:
    check_form("DELETE", Query.of({"force": True}), None, KNOWN)
    check_form("PUT", Query(), {"id": "acme-corp"}, ())

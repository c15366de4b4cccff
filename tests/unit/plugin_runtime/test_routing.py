"""Method and path to endpoint."""

import pytest

from contracts.errors import EndpointNotFoundError, InvalidRequestError
from plugin_runtime.calls.paths import decode_path
from plugin_runtime.calls.routing import Router
from plugin_runtime.marks import EndpointMark


async def handler(call: object) -> None:
    """Never run here."""


def router(*endpoints: tuple[str, str]) -> Router:
    return Router("crm.contacts", [EndpointMark(method, path, handler) for method, path in endpoints])


def test_a_literal_beats_a_parameter_whatever_the_order() -> None:
    found = router(("GET", "/contacts/:id"), ("GET", "/contacts/search"))

    assert found.match("GET", "/contacts/search").mark.path == "/contacts/search"
    assert found.match("GET", "/contacts/42").params == {"id": "42"}


def test_among_equals_the_first_declared_wins() -> None:
    found = router(("GET", "/:a/x"), ("GET", "/:b/x"))

    assert found.match("GET", "/1/x").params == {"a": "1"}


def test_an_earlier_literal_beats_a_later_one() -> None:
    found = router(("GET", "/:id/notes"), ("GET", "/contacts/:note"))

    assert found.match("GET", "/contacts/notes").mark.path == "/contacts/:note"


@pytest.mark.parametrize(
    ("path", "value"),
    [("/contacts/a%2Fb", "a/b"), ("/contacts/%C3%A9", "é"), ("/contacts/a%252Fb", "a%2Fb"), ("/contacts/a+b", "a+b")],
)
def test_a_segment_is_decoded_once_after_the_split(path: str, value: str) -> None:
    assert router(("GET", "/contacts/:id")).match("GET", path).params == {"id": value}


@pytest.mark.parametrize("path", ["/contacts/", "/contacts//", "/contacts", "/contacts/1/2", "/Contacts/1", "/"])
def test_a_parameter_is_one_segment_that_is_not_empty(path: str) -> None:
    with pytest.raises(EndpointNotFoundError):
        router(("GET", "/contacts/:id")).match("GET", path)


def test_what_is_not_there_is_answered_with_what_is() -> None:
    with pytest.raises(EndpointNotFoundError) as caught:
        router(("GET", "/contacts"), ("POST", "/contacts")).match("DELETE", "/contacts")

    assert caught.value.details == {"available": ["GET /contacts", "POST /contacts"]}
    assert caught.value.message == (
        "Endpoint DELETE /contacts not found in crm.contacts; it has GET /contacts, POST /contacts"
    )


@pytest.mark.parametrize(
    "path", ["/a/../b", "/a/./b", "/a/%2e%2E/b", "/..", "/a?x=1", "/a#x", "a", "", "/%ff", "/a/%2e"]
)
def test_a_path_that_tricks_is_an_invalid_request(path: str) -> None:
    with pytest.raises(InvalidRequestError):
        decode_path(path)


def test_the_root_has_no_segments() -> None:
    assert decode_path("/") == []
    assert router(("GET", "/")).match("GET", "/").params == {}


def test_a_literal_is_what_it_says_when_decoded() -> None:
    found = router(("GET", "/%63ontacts"), ("GET", "/%3Aid"), ("GET", "/:name"))

    assert found.match("GET", "/contacts").mark.path == "/%63ontacts"
    assert found.match("GET", "/%3aid").mark.path == "/%3Aid"
    assert found.match("GET", "/id").params == {"name": "id"}

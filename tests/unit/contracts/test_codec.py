"""JSON to bytes and back, and nothing that is not JSON."""

import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import codec
from contracts.codec import decode, encode
from contracts.errors import InvalidRequestError, MalformedMessageError
from contracts.registry import Heartbeat

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(SCALARS | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))


@pytest.fixture(params=["orjson", "json"], autouse=True)
def _writer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra ``speed``, and without."""
    if request.param == "json":
        monkeypatch.setattr(codec, "_orjson", None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_every_json_value_comes_back_as_it_was(value: Any) -> None:
    assert decode(encode(value)) == value


@dataclass
class Contact:
    name: str
    born: date
    score: float | None = None


class Grade(Enum):
    GOOD = "good"


@pytest.mark.parametrize(
    "value",
    [
        {1: "one", None: 2, 0.5: 4},
        [Contact("Zoë", date(2000, 2, 29)), Contact("Al", date(1999, 1, 1), 0.1)],
        [uuid.UUID(int=7), Decimal("1.50"), Grade.GOOD, {"a"}, (1, 2), b"bytes", datetime(2026, 1, 5)],  # noqa: DTZ001
        [2**64, -(2**63) - 1, 1e16, 1e-7, -0.0, "null", None],
    ],
)
def test_orjson_writes_what_is_read_the_same(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written = encode(value)
    monkeypatch.setattr(codec, "_orjson", None)

    assert decode(written) == decode(encode(value))


def test_text_is_written_as_utf8_without_spaces() -> None:
    assert encode({"name": "Zoë", "tags": [1, None]}) == '{"name":"Zoë","tags":[1,null]}'.encode()


def test_models_dates_and_uuids_are_written_too() -> None:
    value = {
        "beat": Heartbeat(instance_id="a"),
        "at": datetime(2026, 1, 5, tzinfo=UTC),
        "id": uuid.UUID(int=0),
    }

    assert decode(encode(value)) == {
        "beat": {"instanceId": "a", "status": "HEALTHY", "load": 0},
        "at": "2026-01-05T00:00:00Z",
        "id": "00000000-0000-0000-0000-000000000000",
    }


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object(), {(1, 2): 3}, circle(), "\ud800", {"a": {print}}]
)
def test_what_is_not_json_is_not_written(value: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"^the value cannot be written as JSON: "):
        encode(value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"\xff",
        b"1 2",
        b"[" * 100_000,
        '"a"'.encode("utf-16-le"),
        '"a"'.encode("utf-16"),
        b"\xef\xbb\xbf1",
    ],
)
def test_what_is_not_utf8_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedMessageError, match=r"^the body is not JSON: "):
        decode(body)


def test_a_malformed_body_is_quoted_by_its_beginning_only() -> None:
    with pytest.raises(MalformedMessageError) as caught:
        decode(b"<html>" + b"x" * 1000)

    assert str(caught.value).endswith("it begins with '<html>" + "x" * 34 + "'")

"""JSON bodies to bytes and back, and the names of our headers."""

import json
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_jsonable_python

from contracts.errors import InvalidRequestError, MalformedMessageError
from contracts.text import printable

CONTENT_TYPE = "application/json"

TENANT_HEADER = "x-tenant-id"
CALLER_HEADER = "x-caller-plugin-id"
GRANT_HEADER = "x-grant"
REQUEST_HEADER = "x-request-id"
CHAIN_HEADER = "x-call-chain"
BUDGET_HEADER = "x-budget-ms"
DEADLINE_HEADER = "x-deadline"
INSTANCE_HEADER = "x-instance-id"
EVENT_HEADER = "x-event-id"
ATTEMPT_HEADER = "x-attempt"
ORIGINAL_KEY_HEADER = "x-original-routing-key"
ORIGINAL_EXCHANGE_HEADER = "x-original-exchange"
ORIGINAL_PUBLISHER_HEADER = "x-original-publisher"
ORIGINAL_TYPE_HEADER = "x-original-type"
ERROR_HEADER = "x-error"
ERROR_TYPE_HEADER = "x-error-type"

_QUOTED_BYTES = 40
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""How half of a character stands in JSON; whole ones are two halves, and stand so too where a writer escapes them."""

_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=to_jsonable_python)


try:
    import orjson
except ModuleNotFoundError:
    _orjson = None
else:
    # What the others would write differently is left to pydantic, as below.
    _OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
    _orjson = partial(orjson.dumps, default=to_jsonable_python, option=_OPTIONS)


def encode(value: Any) -> bytes:
    """A JSON value, or what pydantic can turn into one (models, dataclasses, dates, UUIDs), as UTF-8.

    Raises:
        InvalidRequestError: It holds something that JSON cannot: NaN, a set of functions, a circle.
    """
    try:
        if _orjson is not None and (fast := _encoded_fast(_orjson, value)) is not None:
            return fast
        return _ENCODER.encode(value).encode()
    except (TypeError, ValueError, RecursionError, PydanticSerializationError) as error:
        raise InvalidRequestError(f"the value cannot be written as JSON: {error}") from error


def _encoded_fast(dumps: Callable[[Any], bytes], value: Any) -> bytes | None:
    """What orjson writes (extra ``speed``); None where it refuses, or wrote null, which may have been NaN."""
    try:
        fast = dumps(value)
    except (TypeError, ValueError, RecursionError):
        return None
    return None if b"null" in fast else fast


def decode(body: bytes) -> Any:
    """The JSON value of a body.

    Raises:
        MalformedMessageError: It is not UTF-8 JSON, or holds half a character; the message says where, and how the
            body begins.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        # Wrong, or only nested deeper than that reader goes: Python's own is slower, but says it better.
        return _decode_slowly(body)


def _decode_slowly(body: bytes) -> Any:
    try:
        # Decoded here: json.loads would guess UTF-16 and UTF-32 from bytes, which RFC 8259, 8.1 rules out.
        value = json.loads(str(body, "utf-8"), parse_constant=_refuse_constant)
        if _SURROGATE.search(body):
            _refuse_lone_surrogates(value)
    except (ValueError, RecursionError) as error:
        start = printable(bytes(body[:_QUOTED_BYTES]).decode("utf-8", "replace"), _QUOTED_BYTES)
        raise MalformedMessageError(f"the body is not JSON: {error}; it begins with '{start}'") from error
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON (RFC 8259, 6)")


def _refuse_lone_surrogates(value: Any) -> None:
    """Python reads them (RFC 8259, 8.2), but nobody can write them as UTF-8: neither a store nor a reply."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"{half} is half a character (RFC 8259, 8.2)") from error

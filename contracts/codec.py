"""JSON bodies to bytes and back, and the names of our headers."""

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from contracts.errors import InvalidRequestError, MalformedMessageError

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


def encode(value: Any) -> bytes:
    """A JSON value, or what pydantic can turn into one (models, dataclasses, dates, UUIDs), as UTF-8.

    Raises:
        InvalidRequestError: It holds something that JSON cannot: NaN, a set of functions, a circle.
    """
    try:
        return json.dumps(
            value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=to_jsonable_python
        ).encode()
    except (TypeError, ValueError, RecursionError, PydanticSerializationError) as error:
        raise InvalidRequestError(f"the value cannot be written as JSON: {error}") from error


def decode(body: bytes) -> Any:
    """The JSON value of a body.

    Raises:
        MalformedMessageError: It is not UTF-8 JSON; the message says where, and how the body begins.
    """
    try:
        # Decoded here: json.loads would guess UTF-16 and UTF-32 from bytes, which RFC 8259, 8.1 rules out.
        return json.loads(str(body, "utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        start = bytes(body[:_QUOTED_BYTES]).decode("utf-8", "replace")
        raise MalformedMessageError(f"the body is not JSON: {error}; it begins with '{start}'") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON (RFC 8259, 6)")

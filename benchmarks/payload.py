"""What every call carries: 221 bytes of JSON, as a CRM would send, encoded the same way by every peer in Python."""

import json
import os
from typing import Any

from benchmarks.speed import is_fast

CONTACT: dict[str, Any] = {
    "id": "cnt_000000042",
    "name": "Jane Smith",
    "company": "Acme Corporation",
    "email": "jane.smith@acme-corp.example",
    "tags": ["customer", "newsletter"],
    "owner": {"id": 17, "team": "sales-emea"},
    "score": 87.5,
    "notes": "call back in May",
}
"""Its values are of all kinds; tests/unit/benchmarks counts the bytes."""

BODY = "BENCH_BODY"
"""The variable by which calls carry a body of so many bytes instead."""

if is_fast():
    import orjson

    dumps, loads = orjson.dumps, orjson.loads
else:
    loads = json.loads

    def dumps(value: Any) -> bytes:
        """Compact JSON, as `json` writes it."""
        return json.dumps(value, separators=(",", ":")).encode()


def of_size(size: int) -> Any:
    """A value that takes so many bytes as JSON; None, which is no body at all, for none.

    Raises:
        ValueError: No value of this kind is as small.
    """
    if not size:
        return None
    room = size - len(dumps({"text": ""}))
    if room < 0:
        raise ValueError(f"a body of {size} bytes is too small to be made: give 0, or {size - room} at least")
    return {"text": "x" * room}


def sent() -> Any:
    """What this process sends with every call."""
    return of_size(int(os.environ[BODY])) if BODY in os.environ else CONTACT

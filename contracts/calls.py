"""A call and its reply: what is asked of an endpoint, and what comes back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import PydanticSerializationError, to_jsonable_python

from contracts.errors import CodedError, InvalidRequestError, error_from_wire
from contracts.limits import LONGEST_MESSAGE
from contracts.text import printable
from contracts.wire import describe

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
REPEATABLE_METHODS = frozenset({"GET", "PUT", "DELETE"})
"""Methods that may run twice without harm (RFC 9110, 9.2.2); POST and PATCH may not."""

DEFAULT_TIMEOUT_SECONDS = 30.0
LONGEST_TIMEOUT_SECONDS = 3600.0
"""So long a call may be waited for. RabbitMQ closes the channel of whoever asks for more than 49 days."""

MAX_BODY_BYTES = 8 * 1024 * 1024
FIRST_ERROR_STATUS = 400

QueryValue = str | int | float | bool


class Query(Mapping[str, str]):
    """The query of a call: text values, repeated keys kept.

    ``query["limit"]`` is the first value, ``query.all("tag")`` every value in the order sent.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, list[str]] | None = None) -> None:
        self._values = {key: list(items) for key, items in (values or {}).items() if items}

    def __getitem__(self, key: str) -> str:
        return self._values[key][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Query({self._values!r})"

    def all(self, key: str) -> list[str]:
        """Every value sent under the key; an empty list for a key that was not sent."""
        return list(self._values.get(key, ()))

    def to_json(self) -> dict[str, list[str]]:
        """The query as it crosses the wire."""
        return {key: list(items) for key, items in self._values.items()}

    @classmethod
    def of(cls, values: Any) -> "Query":
        """The query a caller means: numbers as text, true and false as such; None leaves a key out.

        Args:
            values: A `Query`, a mapping, or a model or dataclass, which stands for its fields under their names on the
                wire; dates, UUIDs and enums are written as in JSON.

        Raises:
            InvalidRequestError: A value is neither text, number, true, false, nor a list of these; named as
                ``query.{key}``.
        """
        if isinstance(values, Query):
            return values
        given = {} if values is None else values if isinstance(values, Mapping) else _jsonable("query", values)
        if not isinstance(given, Mapping):
            raise InvalidRequestError(f"query must be an object, found {describe(given)}")
        return cls({key: _texts(f"query.{key}", value) for key, value in given.items()})


def _texts(place: str, value: Any) -> list[str]:
    plain = value if type(value) in _PLAIN else _jsonable(place, value)
    items = plain if isinstance(plain, list) else [] if plain is None else [plain]
    for item in items:
        if not isinstance(item, QueryValue):
            expected = "text, a number, true, false or a list of these"
            raise InvalidRequestError(f"{place} must be {expected}, found {describe(item)}")
    return [_text(item) for item in items]


_PLAIN = frozenset({str, int, float, bool})


def _jsonable(place: str, value: Any) -> Any:
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise InvalidRequestError(f"{place} cannot be written as JSON: {error}") from error


def _text(value: QueryValue) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """What a caller asks of a service. The path is as a URL's path: percent-encoded, without query."""

    method: str
    path: str
    query: Query = field(default_factory=Query)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def to_json(self) -> dict[str, Any]:
        """The request as it crosses the wire; what is empty is left out."""
        document: dict[str, Any] = {"method": self.method, "path": self.path}
        if self.query:
            document["query"] = self.query.to_json()
        if self.headers:
            document["headers"] = dict(self.headers)
        if self.body is not None:
            document["body"] = self.body
        return document

    @classmethod
    def from_json(cls, document: Any) -> "CallRequest":
        """Read a request.

        Raises:
            InvalidRequestError: A field is missing or of the wrong type; the message names it.
        """
        if not isinstance(document, dict):
            raise InvalidRequestError(f"a call must be a JSON object, found {describe(document)}")
        method, path = document.get("method"), document.get("path")
        if not isinstance(method, str) or method not in METHODS:
            raise InvalidRequestError(f"method must be GET, POST, PUT, PATCH or DELETE, found {describe(method)}")
        if not isinstance(path, str):
            raise InvalidRequestError(f"path must be text, found {describe(path)}")
        return cls(
            method=method,
            path=path,
            query=Query(_query(document.get("query"))),
            headers=_headers(document.get("headers")),
            body=document.get("body"),
        )


def _query(value: Any) -> dict[str, list[str]]:
    found = {} if value is None else value
    if not isinstance(found, dict):
        raise InvalidRequestError(f"query must be an object of arrays of text, found {describe(value)}")
    for key, items in found.items():
        if not isinstance(items, list):
            raise InvalidRequestError(f"query: {describe(key)} must be an array of text, found {describe(items)}")
        for item in items:
            if not isinstance(item, str):
                raise InvalidRequestError(f"query: {describe(key)} must hold text alone, found {describe(item)}")
    return found


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The headers that a caller gives; `InvalidRequestError` names the first that is no text."""
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidRequestError(f"headers: {describe(name)} must be text, found {describe(value)}")
    return dict(headers or {})


def _headers(value: Any) -> dict[str, str]:
    found = {} if value is None else value
    if isinstance(found, dict) and all(isinstance(item, str) for item in found.values()):
        return {key.lower(): item for key, item in found.items()}
    raise InvalidRequestError(f"headers must be an object of text, found {describe(value)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReply:
    """What a callee answers: a handler's status and data, or a coded error of the bus.

    Attributes:
        error: The coded error as ``{"code", "message", "details"}``; None when a handler answered, whatever its status.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Any = None
    error: Mapping[str, Any] | None = None

    @classmethod
    def of_error(cls, error: CodedError) -> "CallReply":
        """The reply that carries a coded error."""
        return cls(
            status=error.status,
            error={
                "code": error.code,
                "message": printable(error.message, LONGEST_MESSAGE),
                "details": error.details,
            },
        )

    def to_error(self) -> CodedError | None:
        """The coded error that the reply carries, None if a handler answered."""
        if self.error is None:
            return None
        details = self.error.get("details") or {}
        return error_from_wire(str(self.error["code"]), str(self.error.get("message", "")), details, self.status)

    def to_json(self) -> dict[str, Any]:
        """The reply as it crosses the wire."""
        document: dict[str, Any] = {"status": self.status}
        if self.headers:
            document["headers"] = dict(self.headers)
        if self.error is not None:
            return {**document, "error": self.error}
        return {**document, "data": self.data}

    @classmethod
    def from_json(cls, document: Any) -> "CallReply":
        """Read a reply; `InvalidRequestError` if it has not the form of one."""
        if not isinstance(document, dict) or not isinstance(document.get("status"), int):
            raise InvalidRequestError(f"a reply must be an object with a status, found {describe(document)}")
        error = document.get("error")
        if error is not None and not (isinstance(error, dict) and isinstance(error.get("code"), str)):
            raise InvalidRequestError(f"a reply's error must be an object with a code, found {describe(error)}")
        if error is not None and not isinstance(error.get("details"), dict | None):
            found = describe(error.get("details"))
            raise InvalidRequestError(f"a reply's error must have an object of details, found {found}")
        return cls(
            status=document["status"],
            headers=_headers(document.get("headers")),
            data=document.get("data"),
            error=error,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMetadata:
    """Who answered a call, and how long the caller waited.

    Attributes:
        cached: The answer is one that was kept; nothing was sent.
        age_seconds: How long it was kept by then; 0 for an answer that came just now.
    """

    plugin: str
    service: str
    version: str
    instance: str
    duration_seconds: float
    cached: bool = False
    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """The whole answer to a call: the handler's status, headers and data, and who gave it."""

    status: int
    headers: Mapping[str, str]
    data: Any
    metadata: CallMetadata


MessageType = Literal["call", "reply", "cancel", "event", "data.set", "data.deleted", "data.expired"]

"""A handler with types: its arguments are made from the call before it runs, its answer is checked when it has.

Everything that can be built is built when the handler is defined. A handler without types is left as it is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, SchemaError, from_json, to_json

from contracts.calls import FIRST_ERROR_STATUS
from contracts.errors import InvalidRequestError
from contracts.wire import explain, refused, told
from plugin_runtime.incoming import Call, Reply
from plugin_runtime.typed.annotations import BODY, QUERY, REPLY, Annotations, annotations_of
from plugin_runtime.typed.json_values import Problems, UnfitValueError, name_of, read_json, read_text
from plugin_runtime.typed.schemas import Schema, array_keys, is_object, request_schema, response_schema

Handler = Callable[..., Awaitable[Any]]
_REFUSED = (PydanticUserError, SchemaError, TypeError, NameError, AttributeError, RecursionError, ValueError)
"""What pydantic raises of a type that it cannot handle."""


NOTHING: Schema = {"type": "null"}


class UnfitCall(Exception):  # noqa: N818 - the caller's mistake, and no fault of the handler that it did not reach
    """A call does not fit its handler, which was not run; ``reason`` is what the caller is told."""

    def __init__(self, reason: InvalidRequestError) -> None:
        self.reason = reason
        super().__init__(reason.message)


class UnfitAnswerError(ValueError):
    """A handler's answer does not fit the type that the handler declares."""


@dataclass(frozen=True, slots=True)
class _Typed:
    """A type, ready to be used."""

    annotation: Any
    adapter: TypeAdapter[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerTypes:
    """The types of one handler, ready to be used.

    Attributes:
        annotations: What the handler's author wrote.
    """

    annotations: Annotations
    _path: Mapping[str, _Typed]
    _body: _Typed | None = None
    _query: _Typed | None = None
    _reply: _Typed | None = None
    _arrays: Callable[[str], bool] = lambda _: False

    @classmethod
    def of(cls, handler: Handler, path_params: Sequence[str]) -> "HandlerTypes":
        """What a handler declares.

        Raises:
            ValueError: An annotation is missing, is not known at run time, or is none that pydantic can handle.
        """
        found = annotations_of(handler, path_params)
        path = {name: _typed(name, annotation) for name, annotation in found.path.items()}
        body = None if found.body is None else _typed(BODY, found.body)
        reply = None if found.reply is None else _typed(REPLY, found.reply)
        types = cls(annotations=found, _path=path, _body=body, _reply=reply)
        if found.query is None:
            return types
        query = _typed(QUERY, found.query)
        schema = _schema(QUERY, query, request_schema)
        if not is_object(schema):
            raise ValueError("'query' must be a type with keys, such as a pydantic model")
        return replace(types, _query=query, _arrays=array_keys(schema))

    def schemas(self) -> dict[str, Schema]:
        """The JSON Schemas by their keys in the manifest's endpoint; what is not declared is left out.

        They are made here: only who registers needs them.

        Raises:
            ValueError: A type has none.
        """
        parts = (
            ("request", BODY, self._body, request_schema),
            ("query", QUERY, self._query, request_schema),
            ("response", REPLY, self._reply, response_schema),
        )
        found = {key: _schema(name, typed, make) for key, name, typed, make in parts if typed is not None}
        return {**found, "response": dict(NOTHING)} if self.annotations.answers_nothing else found

    def around(self, handler: Handler) -> Handler:
        """The handler as the server runs it, with the call and the path's texts; itself where it declares nothing."""
        takes_call_alone = not self._path and not self.annotations.takes
        if takes_call_alone and self._reply is None:
            return handler

        @wraps(handler)
        async def run(call: Call, **params: str) -> Any:
            arguments = params if takes_call_alone else self.arguments(call, params)
            return self.answer(await handler(call, **arguments))

        return run

    def arguments(self, call: Call, params: Mapping[str, str]) -> dict[str, Any]:
        """What the handler takes beside the call.

        Raises:
            UnfitCall: Something does not fit its type; everything that does not is told at once.
        """
        problems: Problems = []
        found: dict[str, Any] = dict(params)
        for name, typed in self._path.items():
            try:
                found[name] = read_text(typed.adapter, params[name], typed.annotation, f"path.{name}")
            except UnfitValueError as error:
                problems += error.problems
        for name, is_empty, read in (
            (QUERY, len(call.query) == 0, self._read_query),
            (BODY, call.body is None, self._read_body),
        ):
            if name not in self.annotations.takes or (is_empty and name in self.annotations.optional):
                continue
            try:
                found[name] = read(call)
            except UnfitValueError as error:
                problems += error.problems
        if problems:
            raise UnfitCall(refused(problems))
        return found

    def answer(self, answer: Any) -> Any:
        """The handler's answer as JSON values; of a `Reply` that is no error the data.

        Raises:
            UnfitAnswerError: It does not fit; the message names every place.
        """
        if self._reply is None:
            return answer
        if not isinstance(answer, Reply):
            return self._written(self._reply, answer)
        is_error = isinstance(answer.status, int) and answer.status >= FIRST_ERROR_STATUS
        return answer if is_error else replace(answer, data=self._written(self._reply, answer.data))

    def _read_body(self, call: Call) -> Any:
        if self._body is None:
            return call.body
        return read_json(self._body.adapter, call.body, self._body.annotation, BODY)

    def _read_query(self, call: Call) -> Any:
        if self._query is None:
            return call.query
        values = {
            key: items if len(items) > 1 or self._arrays(key) else items[0]
            for key, items in call.query.to_json().items()
        }
        return read_text(self._query.adapter, values, self._query.annotation, QUERY)

    def _written(self, reply: _Typed, data: Any) -> Any:
        try:
            valid = reply.adapter.validate_python(data, from_attributes=True, by_alias=True, by_name=True)
            return reply.adapter.dump_python(valid, mode="json", by_alias=True, warnings="error")
        except ValidationError as error:
            problems = told(explain(error, reply.annotation, "reply"))
            text = f"the handler's answer is no {name_of(reply.annotation)}: {problems}"
            raise UnfitAnswerError(text) from error
        except PydanticSerializationError as error:
            text = f"the handler's answer cannot be written as {name_of(reply.annotation)}: {error}"
            raise UnfitAnswerError(text) from error


def _typed(name: str, annotation: Any) -> _Typed:
    try:
        return _Typed(annotation, TypeAdapter(annotation))
    except _REFUSED as error:
        raise _unusable(name, annotation, error) from error


def _schema(name: str, typed: _Typed, make: Callable[[TypeAdapter[Any]], Schema]) -> Schema:
    try:
        # Once out and in again: what is registered is what a reader of the registry gets.
        made: Schema = from_json(to_json(make(typed.adapter)))
    except (*_REFUSED, PydanticSerializationError) as error:
        raise _unusable(name, typed.annotation, error) from error
    return made


def _unusable(name: str, annotation: Any, error: Exception) -> ValueError:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return ValueError(f"the annotation {name_of(annotation)} of '{name}' is none that pydantic can handle: {said}")

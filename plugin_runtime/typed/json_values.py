"""JSON values and texts against types: by pydantic's rules for JSON, told by dotted paths."""

from collections.abc import Mapping
from functools import lru_cache
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from contracts.wire import explain

MOST_TYPES = 512
"""How many types of replies are kept ready; a program that makes new ones all the time fills no memory."""

Problems = list[tuple[str, str]]


class UnfitValueError(ValueError):
    """A value does not fit its type; ``problems`` are dotted paths with what is wrong there."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        super().__init__(problems)


def read_json(adapter: TypeAdapter[Any], value: Any, annotation: Any, place: str) -> Any:
    """A decoded JSON value as its type.

    It is written and read again, since pydantic reads dates, UUIDs, enums and tuples from JSON even where a model is
    strict, and from Python's own values not.

    Raises:
        UnfitValueError: It does not fit.
    """
    try:
        return adapter.validate_json(to_json(value))
    except PydanticSerializationError as error:
        raise UnfitValueError([(place, "is nested too deep")]) from error
    except ValidationError as error:
        if error.errors(include_input=False, include_url=False)[0]["type"] == "json_invalid":
            raise UnfitValueError([(place, "is nested too deep")]) from error
        raise UnfitValueError(explain(error, annotation, place)) from error


def read_text(adapter: TypeAdapter[Any], value: str | Mapping[str, Any], annotation: Any, place: str) -> Any:
    """Text, or texts under their keys, as their type: numbers, dates and the like are read, whatever a model says.

    Raises:
        UnfitValueError: It does not fit.
    """
    try:
        return adapter.validate_python(value, strict=False)
    except ValidationError as error:
        raise UnfitValueError(explain(error, annotation, place)) from error


def adapter_of(annotation: Any) -> TypeAdapter[Any]:
    """The adapter of a type, made once where the type can be remembered; an adapter is its own."""
    if isinstance(annotation, TypeAdapter):
        return annotation
    try:
        hash(annotation)
    except TypeError:
        return TypeAdapter(annotation)
    return _remembered(annotation)


def name_of(annotation: Any) -> str:
    """A type as an error names it: ``Contact``, ``list[Contact]``."""
    if isinstance(annotation, TypeAdapter):
        return name_of(annotation._type)  # noqa: SLF001 - what it was made of; there is no public way
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    inner = ", ".join(name_of(argument) for argument in get_args(annotation))
    origin = get_origin(annotation)
    return f"{origin.__name__}[{inner}]" if isinstance(origin, type) and origin is not UnionType else str(annotation)


@lru_cache(maxsize=MOST_TYPES)
def _remembered(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)

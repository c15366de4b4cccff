"""The base of every JSON body: frozen, strict, camelCase on the wire, and its errors as dotted paths."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from contracts.errors import InvalidRequestError, did_you_mean, nearest
from contracts.limits import DEEPEST_BODY, MOST_PROBLEMS, is_deeper
from contracts.names import (
    check_event_key,
    check_instance,
    check_key,
    check_namespace,
    check_pattern,
    check_plugin_id,
    check_service_name,
    check_subscription,
    check_tenant,
)
from contracts.text import printable
from contracts.versions import check_range, check_service_version, check_version

LONGEST_QUOTE = 60

Item = TypeVar("Item")

Many = Annotated[tuple[Item, ...], Field(strict=False)]
"""A JSON array; its items stay strict."""

TenantId = Annotated[str, AfterValidator(check_tenant)]
PluginId = Annotated[str, AfterValidator(check_plugin_id)]
ServiceName = Annotated[str, AfterValidator(check_service_name)]
InstanceId = Annotated[str, AfterValidator(check_instance)]
SubscriptionName = Annotated[str, AfterValidator(check_subscription)]
EventKey = Annotated[str, AfterValidator(check_event_key)]
Pattern = Annotated[str, AfterValidator(check_pattern)]
Namespace = Annotated[str, AfterValidator(check_namespace)]
DataKey = Annotated[str, AfterValidator(check_key)]
Version = Annotated[str, AfterValidator(check_version)]
ServiceVersion = Annotated[str, AfterValidator(check_service_version)]
VersionRange = Annotated[str, AfterValidator(check_range)]


class WireModel(BaseModel):
    """A body as it crosses the wire: unknown fields, wrong types and coercions are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        strict=True,
    )

    @classmethod
    def parse(cls, body: object) -> Self:
        """Read a decoded JSON body.

        Raises:
            InvalidRequestError: The message names each field by its dotted path; details: ``errors``.
        """
        if not isinstance(body, dict):
            raise InvalidRequestError(f"the body must be a JSON object, found {describe(body)}")
        if is_deeper(body, DEEPEST_BODY):
            raise InvalidRequestError(f"the body must not be nested deeper than {DEEPEST_BODY} levels")
        try:
            return cls.model_validate(body, by_alias=True, by_name=False)
        except ValidationError as error:
            raise refused(explain(error, cls)) from error

    def to_json(self) -> dict[str, Any]:
        """The body as JSON values, in camelCase."""
        return self.model_dump(mode="json", by_alias=True)


def describe(value: object) -> str:
    """A JSON value as an error message names it: its JSON type and, where short, itself.

    >>> describe("x"), describe(None), describe([1, 2])
    ("text 'x'", 'null', 'an array')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"text '{printable(value, LONGEST_QUOTE)}'"
    if isinstance(value, int | float):
        return f"number {printable(str(value), LONGEST_QUOTE)}"
    if isinstance(value, list | tuple | dict):
        return "an object" if isinstance(value, dict) else "an array"
    return printable(repr(value), LONGEST_QUOTE)


def explain(error: ValidationError, annotation: Any, place: str | None = None) -> list[tuple[str, str]]:
    """Pydantic's errors as ``(dotted path, sentence)``, naming what was found and, for unknown keys, what was meant.

    Args:
        error: What pydantic found.
        annotation: What was expected: a model, or a type that holds some.
        place: What every path begins with.
    """
    found = error.errors(include_url=False)
    places = [item["loc"] for item in found]
    before = () if place is None else (place,)
    return [
        (".".join(printable(str(part), LONGEST_QUOTE) for part in (*before, *item["loc"], *path)), sentence)
        for item in found
        if not (item["type"] == "too_short" and _has_inner(item["loc"], places))
        for path, sentence in _sentences(item, annotation)
    ]


def told(problems: Sequence[tuple[str, str]]) -> str:
    """Problems at their dotted paths as one line; of very many only the first."""
    text = "; ".join(f"{path}: {message}" for path, message in problems[:MOST_PROBLEMS])
    return text + (f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else "")


def refused(problems: Sequence[tuple[str, str]]) -> InvalidRequestError:
    """The refusal of a request with these problems; details: ``errors``, at most `MOST_PROBLEMS`."""
    details = [{"path": path, "message": message} for path, message in problems[:MOST_PROBLEMS]]
    return InvalidRequestError(told(problems), errors=details)


def broken(problems: Iterable[tuple[str, str]]) -> PydanticCustomError:
    """What a validator raises that found several rules broken, each at a dotted path below the value it judges."""
    found = list(problems)
    text = "; ".join(f"{path}: {message}" for path, message in found)
    return PydanticCustomError(_BROKEN, "{text}", {"text": text, "problems": found})


def _sentences(item: Any, annotation: Any) -> list[tuple[tuple[str, ...], str]]:
    if item["type"] == _BROKEN:
        return [(tuple(filter(None, [path])), message) for path, message in item["ctx"]["problems"]]
    return [((), _sentence(item, annotation))]


def _has_inner(place: tuple[int | str, ...], places: list[tuple[int | str, ...]]) -> bool:
    """Whether an error lies inside: pydantic drops a bad item and then finds the array too short."""
    return any(len(other) > len(place) and other[: len(place)] == place for other in places)


_BROKEN = "broken_rules"

_PLAIN: dict[str, str] = {
    "missing": "is required",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "tuple_type": "must be an array",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dataclass_type": "must be an object",
    "date_parsing": "must be a date such as 2026-01-31",
    "date_from_datetime_parsing": "must be a date such as 2026-01-31",
    "datetime_parsing": "must be a moment such as 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "must be a moment such as 2026-01-31T12:00:00Z",
    "uuid_parsing": "must be a UUID",
}
_LIMITS: dict[str, Callable[[dict[str, Any]], str]] = {
    "string_too_long": lambda limits: f"must have at most {_counted(limits['max_length'], 'character')}",
    "string_too_short": lambda limits: f"must have at least {_counted(limits['min_length'], 'character')}",
    "too_short": lambda limits: f"must have at least {_counted(limits['min_length'], 'item')}",
    "too_long": lambda limits: f"must have at most {_counted(limits['max_length'], 'item')}",
    "greater_than": lambda limits: f"must be greater than {_bound(limits['gt'])}",
    "greater_than_equal": lambda limits: f"must be at least {_bound(limits['ge'])}",
    "less_than": lambda limits: f"must be less than {_bound(limits['lt'])}",
    "less_than_equal": lambda limits: f"must be at most {_bound(limits['le'])}",
    "literal_error": lambda limits: f"must be {limits['expected']}",
    "enum": lambda limits: f"must be {limits['expected']}",
}


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _bound(limit: Any) -> str:
    return f"{limit:g}" if isinstance(limit, int | float) else str(limit)


def _sentence(found: Any, annotation: Any) -> str:
    kind = found["type"]
    if kind in {"extra_forbidden", "unexpected_keyword_argument"}:
        return "unknown key" + did_you_mean(str(found["loc"][-1]), _keys_at(annotation, found["loc"][:-1]))
    if kind == "missing":
        return _PLAIN[kind] + _meant_for(found, _model_at(annotation, found["loc"][:-1]))
    if kind == "value_error":
        return str(found["ctx"]["error"])
    limits = _LIMITS.get(kind)
    text = limits(found["ctx"]) if limits else _PLAIN.get(kind, found["msg"])
    if kind in {"string_too_long", "too_long", "too_short"}:
        return f"{text}, found {len(found['input'])}"
    return f"{text}, found {describe(found['input'])}"


def _meant_for(missing: Any, model: type[BaseModel] | None) -> str:
    """The key that was probably meant for a missing one; where unknown keys are errors, those say it themselves."""
    if model is None or model.model_config.get("extra") != "allow" or not isinstance(missing["input"], dict):
        return ""
    known = {key for key, _ in _fields(model)}
    unknown = [str(key) for key in missing["input"] if key not in known]
    near = nearest(str(missing["loc"][-1]), unknown)
    return f"; was '{printable(near, LONGEST_QUOTE)}' meant for it?" if near else ""


def _keys_at(annotation: Any, place: tuple[int | str, ...]) -> list[str]:
    """The keys known at a place in the document."""
    model = _model_at(annotation, place)
    return [] if model is None else [key for key, _ in _fields(model)]


def _model_at(annotation: Any, place: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model of a place in the document, found by walking down; None where no model is expected at all."""
    model = next(_models_in(annotation), None)
    for part in place:
        if model is not None and isinstance(part, str):
            annotation = next((info.annotation for key, info in _fields(model) if key == part), None)
            model = next(_models_in(annotation), model)
    return model


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        yield info.alias or name, info


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)

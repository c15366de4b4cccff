"""JSON Schemas of types, and what else can be read from them. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import DecimalSchema

Schema = dict[str, Any]

_REF = "#/$defs/"
_REMARKS = frozenset({"title", "description", "examples", "$schema", "$id", "$comment"})
"""Keywords that say nothing of a value (JSON Schema Validation, 9)."""
_NAMED = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
"""Keywords under which keys are names, and no keywords."""


class _Generator(GenerateJsonSchema):
    """Pydantic's schemas; the text of a decimal number has the format ``decimal``, by which clients know it."""

    def decimal_schema(self, schema: DecimalSchema) -> Schema:
        # Without a format it is the schema of `float | str`, or of any text, and a client would lose digits.
        made = super().decimal_schema(schema)
        for part in made.get("anyOf", [made]):
            if part.get("type") == "string":
                part["format"] = "decimal"
        return made


def request_schema(adapter: TypeAdapter[Any]) -> Schema:
    """What a caller may send: the names of the wire, references resolved within the schema by ``$defs``."""
    return adapter.json_schema(by_alias=True, mode="validation", schema_generator=_Generator)


def response_schema(adapter: TypeAdapter[Any]) -> Schema:
    """What a handler answers, likewise."""
    return adapter.json_schema(by_alias=True, mode="serialization", schema_generator=_Generator)


def is_object(schema: Schema) -> bool:
    """Whether every value of the schema is an object, or null."""
    shapes = _shapes(schema, schema)
    return bool(shapes) and all(shape.get("type") in {"object", "null"} for shape in shapes)


def array_keys(schema: Schema) -> Callable[[str], bool]:
    """Which keys of an object want an array: a query's single value stands in one then, too."""
    wanted: dict[str, bool] = {}
    others = False
    for shape in _shapes(schema, schema):
        wanted |= {key: _wants_array(part, schema) for key, part in shape.get("properties", {}).items()}
        rest = shape.get("additionalProperties")
        others = others or (isinstance(rest, dict) and _wants_array(rest, schema))
    return lambda key: bool(wanted.get(key, others))


def differs(one: Schema, other: Schema) -> bool:
    """Whether two schemas say something else of values; titles, descriptions and examples do not count."""
    return bool(_bare(one) != _bare(other))


def _wants_array(part: Schema, whole: Schema) -> bool:
    kinds = {str(shape.get("type")) for shape in _shapes(part, whole)}
    return kinds - {"null"} == {"array"}


def _shapes(part: Any, whole: Schema, depth: int = 0) -> list[Schema]:
    """What a schema may be, with references and unions followed."""
    if not isinstance(part, dict) or depth > len(whole.get("$defs", {})) + 1:
        return []
    ref = part.get("$ref")
    if isinstance(ref, str) and ref.startswith(_REF):
        return _shapes(whole.get("$defs", {}).get(ref.removeprefix(_REF)), whole, depth + 1)
    for union in ("anyOf", "oneOf"):
        if union in part:
            return [shape for member in part[union] for shape in _shapes(member, whole, depth + 1)]
    return [part]


def _bare(part: Any, *, is_named: bool = False) -> Any:
    if isinstance(part, list | tuple):
        return [_bare(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    return {
        key: _bare(item, is_named=not is_named and key in _NAMED)
        for key, item in part.items()
        if is_named or key not in _REMARKS
    }

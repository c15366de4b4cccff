"""JSON Schemas as Python types: annotations, and the models that they name. Pure.

What pydantic writes is read whole; of anything else as much as has a counterpart, and the rest is ``Any``. A type says
what a value is; limits such as a largest length are left to who checks them, the callee. Keys that others might add are
no error, so that a client outlives a service's next minor version.
"""

import ast
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from broker.client_source.decimals import DECIMAL, decimal_default, is_decimal, without_numbers
from broker.client_source.names import Names, pascal_case, snake_case
from broker.client_source.text import literal

Schema = Mapping[str, Any]
Members = list[str]

ANY, NONE = "Any", "None"
LONGEST_ANNOTATION = 2000
LONGEST_INLINE = 60
"""Longer choices get a name."""

BASE = "Model"
BUILTINS = ("bool", "dict", "float", "int", "list", "object", "str", "super", "tuple", "type")
IMPORTED = ("Annotated", "Any", "BaseModel", "ConfigDict", "Field", "Literal", "Mapping", "ServiceClient")
MORE_IMPORTED = (DECIMAL, "TenantClient", "TypeAdapter", "UUID", "dt", "quote")
FIELD_WORDS = frozenset({*BUILTINS, *MORE_IMPORTED, *dir(BaseModel)})
TYPE_WORDS = frozenset({*IMPORTED, *MORE_IMPORTED, BASE, "PathValue", "None", "True", "False", "SERVICE", "VERSION"})

_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": NONE}
_FORMATS = {
    "date-time": "dt.datetime",
    "date": "dt.date",
    "time": "dt.time",
    "duration": "dt.timedelta",
    "uuid": "UUID",
}
_REF = "#/$defs/"


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field of a model; ``default`` is source, None where the key is required."""

    name: str
    key: str
    annotation: str
    default: str | None
    description: str


@dataclass(frozen=True, slots=True)
class ModelType:
    """A model, which `Types.of` found; ``is_open`` where it keeps keys that it does not know."""

    name: str
    description: str
    is_open: bool
    fields: tuple[FieldType, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A name for one of several values; ``values`` is source."""

    name: str
    values: str


class Types:
    """Reads schemas one after the other; what is the same under the same name in two of them becomes one model.

    Attributes:
        models: Every model found so far, one that others need before them, unless they need each other.
        choices: Every named choice, in the order in which they were met.
    """

    def __init__(self, names: Names) -> None:
        self.models: list[ModelType] = []
        self.choices: list[Choice] = []
        self._names = names
        self._known: dict[tuple[str, str], str] = {}

    def of(self, schema: Schema, hint: str) -> str:
        """The annotation of a schema; ``hint`` names what in it has no name of its own."""
        title = _text(schema, "title") if _is_model(schema) else ""
        return _Reader(self, schema).annotation(schema, title or hint)

    def named(self, hint: str, content: str, fallback: str) -> tuple[str, bool]:
        """The name of what this content is under the hint, and whether it had one already."""
        wanted = pascal_case(hint, fallback)
        key = (wanted, content)
        is_known = key in self._known
        if not is_known:
            self._known[key] = self._names.take(wanted)
        return self._known[key], is_known


class _Reader:
    """Reads one schema, whose ``$defs`` its references mean."""

    def __init__(self, types: Types, root: Schema) -> None:
        defs = root.get("$defs")
        self._defs: Schema = defs if isinstance(defs, Mapping) else {}
        self._types = types
        self._refs: dict[str, Members] = {}
        self._reading: set[str] = set()

    def annotation(self, schema: Any, hint: str) -> str:
        """The type of one place in the schema."""
        return joined(self._members(schema, hint))

    def _members(self, schema: Any, hint: str) -> Members:
        """The types of which a value has one; none of them is a union itself."""
        found = self._read(schema, hint) if isinstance(schema, Mapping) else [ANY]
        return found if len(joined(found)) <= LONGEST_ANNOTATION else [ANY]

    def _read(self, schema: Schema, hint: str) -> Members:
        if isinstance(ref := schema.get("$ref"), str):
            return self._referred(ref)
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(values, list):
            return [self._choice(values, hint)]
        kind = schema.get("type")
        alternatives = _alternatives(schema)
        if alternatives is None and isinstance(kind, list):
            alternatives = [{**schema, "type": one} for one in kind]
        if alternatives is not None:
            return [part for one in without_numbers(alternatives) for part in self._members(one, hint)] or [ANY]
        return [self._typed(kind, schema, hint)]

    def _typed(self, kind: Any, schema: Schema, hint: str) -> str:
        if kind == "array":
            return self._array(schema, hint)
        if kind == "object":
            return self._object(schema, hint)
        if is_decimal(schema):
            return DECIMAL
        said = schema.get("format")
        if kind == "string" and isinstance(said, str):
            return _FORMATS.get(said, "str")
        return _PLAIN.get(kind, ANY) if isinstance(kind, str) else ANY

    def _referred(self, ref: str) -> Members:
        name = ref.removeprefix(_REF).replace("~1", "/").replace("~0", "~")
        meant = self._defs.get(name) if ref.startswith(_REF) else None
        if name not in self._refs:
            if not isinstance(meant, Mapping) or name in self._reading:
                return [ANY]
            self._reading.add(name)
            if _is_model(meant):
                self._model(meant, name, ref=name)
            else:
                self._refs[name] = self._members(meant, name)
        return self._refs[name]

    def _choice(self, values: list[Any], hint: str) -> str:
        if not values or not all(value is None or isinstance(value, str | bool | int) for value in values):
            return ANY
        found = f"Literal[{', '.join(dict.fromkeys(literal(value) for value in values))}]"
        if len(found) <= LONGEST_INLINE:
            return found
        name, is_known = self._types.named(hint, found, "Choice")
        if not is_known:
            self._types.choices.append(Choice(name, found))
        return name

    def _array(self, schema: Schema, hint: str) -> str:
        items = schema.get("prefixItems")
        if isinstance(items, list) and items and schema.get("minItems") == schema.get("maxItems") == len(items):
            return f"tuple[{', '.join(self.annotation(item, hint) for item in items)}]"
        return f"list[{ANY if items else self.annotation(schema.get('items'), f'{hint} item')}]"

    def _object(self, schema: Schema, hint: str) -> str:
        if _is_model(schema):
            return self._model(schema, hint)
        return f"dict[str, {self.annotation(schema.get('additionalProperties'), f'{hint} value')}]"

    def _model(self, schema: Schema, hint: str, *, ref: str | None = None) -> str:
        name, is_known = self._types.named(hint, self._canonical(schema), BASE)
        if ref is not None:
            self._refs[ref] = [name]  # before its fields, which may refer to it
        if is_known:
            return name
        is_open = schema.get("additionalProperties") not in (None, False)
        required = schema.get("required")
        needed = required if isinstance(required, list) else []
        names = Names(FIELD_WORDS)
        fields = [
            self._field(names, key, part, hint, is_required=key in needed) for key, part in schema["properties"].items()
        ]
        self._types.models.append(ModelType(name, _text(schema, "description"), is_open, tuple(fields)))
        return name

    def _field(self, names: Names, key: str, part: Any, hint: str, *, is_required: bool) -> FieldType:
        members = self._members(part, f"{hint} {key}")
        default = None if is_required else self._default(part, members)
        if not is_required and default is None:
            members, default = [*members, NONE], NONE
        description = _text(part, "description") if isinstance(part, Mapping) else ""
        return FieldType(names.take(snake_case(key, "field")), key, joined(members), default, description)

    def _default(self, part: Any, members: Members) -> str | None:
        """The source of a default that is of the type as it stands; None where there is none such."""
        if not isinstance(part, Mapping) or "default" not in part or ANY in members:
            return None
        value = part["default"]
        if value is None:
            return NONE if NONE in members else None
        if isinstance(value, list | dict):
            starts = "list[" if isinstance(value, list) else "dict["
            return literal(value) if not value and any(item.startswith(starts) for item in members) else None
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if DECIMAL in members and (number := decimal_default(value)) is not None:
            return f"{DECIMAL}({literal(str(number))})"
        kinds = {type(value).__name__, "float"} if type(value) is int else {type(value).__name__}
        written = literal(value)
        choices = {item.name: item.values for item in self._types.choices}
        is_chosen = any(written in _chosen(choices.get(item, item)) for item in members)
        return written if kinds & set(members) or is_chosen else None

    def _canonical(self, schema: Schema) -> str:
        """The schema with all that it refers to, as text: equal texts mean equal models."""
        own = {key: part for key, part in schema.items() if key != "$defs"}
        found: dict[str, Any] = {}
        waiting = list(_refs_in(own))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self._defs.get(name)
                waiting += _refs_in(found[name])
        return json.dumps([own, found], sort_keys=True)


def joined(members: Members) -> str:
    """The union of types, None last."""
    found = list(dict.fromkeys(members))
    if ANY in found:
        return ANY
    return " | ".join([*(part for part in found if part != NONE), *(part for part in found if part == NONE)])


def _alternatives(schema: Schema) -> list[Any] | None:
    """The schemas of which a value fits one; of several that it must fit all, there is no counterpart in Python."""
    for union in ("anyOf", "oneOf"):
        if isinstance(members := schema.get(union), list) and members:
            return members
    every = schema.get("allOf")
    if isinstance(every, list) and every:
        return every if len(every) == 1 else [True]
    return None


def _is_model(schema: Schema) -> bool:
    return schema.get("type") == "object" and isinstance(schema.get("properties"), Mapping)


def _refs_in(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if isinstance(ref := part.get("$ref"), str):
            yield ref.removeprefix(_REF)
        part = list(part.values())
    for inner in part if isinstance(part, list) else ():
        yield from _refs_in(inner)


def _chosen(annotation: str) -> list[str]:
    """The values of a ``Literal``, each as it is written."""
    if not annotation.startswith("Literal["):
        return []
    return [literal(value) for value in ast.literal_eval(annotation.removeprefix("Literal"))]


def _text(schema: Schema, key: str) -> str:
    found = schema.get(key)
    return found if isinstance(found, str) else ""

"""The JSON Schema (2020-12) of ``plugin.json``, made from the models so that editors complete and check it.

Whatever `PluginManifest.load` takes, the schema takes. It refuses less: what spans a list (duplicates) or compares two
places (who owns a name, a dependency on itself) cannot be said in a schema.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from contracts.manifest import Endpoint, PluginManifest, event_entry
from contracts.manifest_values import (
    CONTROLS,
    PERMISSION,
    check_access,
    check_base_url,
    check_name,
    check_path,
    check_permission,
    check_text,
)
from contracts.names import (
    KEY_WORDS,
    LONGEST_PLUGIN,
    LONGEST_RESOURCE,
    PATTERN_WORDS,
    PLUGIN_PREFIX,
    check_namespace,
    check_pattern,
    check_plugin_id,
    check_service_name,
)
from contracts.versions import (
    LONGEST_RANGE,
    LONGEST_VERSION,
    SEMVER,
    check_range,
    check_service_version,
    check_version,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_LONGEST_NAME = LONGEST_PLUGIN - len(PLUGIN_PREFIX)
_WORDS = r"[a-z0-9]+(-[a-z0-9]+)*"
_SEGMENT = r"(?!(\.|%2[eE]){1,2}(/|$))(:[A-Za-z_][A-Za-z0-9_]*|([A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})+)"

# Npm's grammar of ranges ("Range Grammar" in node-semver's README) as far as an editor needs it, and written so that no
# text makes a backtracking matcher slow: a version begins with a digit, x or *, and what stands between two does not.
_RANGE = r"^[\s<>=~^|v]*([0-9xX*][0-9A-Za-z.*+-]*([\s<>=~^|][\s<>=~^|v-]*|$))*$"

_HOST = r"([^/?#@:\[\]]+|\[[^\]/?#@]*\])"
_PORT = "0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_URL = rf"^(?=[^\s{CONTROLS}]*$)[hH][tT][tT][pP][sS]?://([^/?#]*@)?{_HOST}(:({_PORT})?)?([/?#].*)?$"


def _ecma(pattern: re.Pattern[str]) -> str:
    r"""A pattern of ours as JSON Schema writes it (ECMA-262): anchored, no ``\Z``, no named group."""
    return "^" + re.sub(r"\(\?P<\w+>", "(", pattern.pattern.replace(r"\Z", "$"))


_PLUGIN_ID = {"pattern": f"^plugin-{_WORDS}$", "maxLength": LONGEST_PLUGIN, "examples": ["plugin-crm"]}
_VERSION = {"pattern": _ecma(SEMVER), "maxLength": LONGEST_VERSION, "examples": ["1.0.0", "2.0.0-beta.1"]}

CHECKS: Mapping[Callable[..., object], JsonSchemaValue] = {
    check_plugin_id: _PLUGIN_ID,
    check_version: _VERSION,
    check_service_version: {**_VERSION, "pattern": rf"^(?!.*\+){_ecma(SEMVER)[1:]}", "examples": ["1.0.0"]},
    check_range: {
        "pattern": _RANGE,
        "maxLength": LONGEST_RANGE,
        "examples": ["^1.0.0", "~1.2.3", ">=1.0.0 <3.0.0", "1.x || 2.x"],
    },
    check_service_name: {
        "pattern": rf"^(?=[^.]{{1,{_LONGEST_NAME}}}\.[^.]{{1,{LONGEST_RESOURCE}}}$){_WORDS}\.{_WORDS}$",
        "examples": ["crm.contacts"],
    },
    check_permission: {"pattern": _ecma(PERMISSION), "examples": ["plugin.crm.contacts.read"]},
    check_name: {"pattern": rf"^[^\s{CONTROLS}]([^{CONTROLS}]*[^\s{CONTROLS}])?$", "examples": ["CRM"]},
    check_text: {"pattern": rf"^([\n\t]|[^{CONTROLS}])*$"},
    check_path: {"pattern": f"^(/|(/{_SEGMENT})+)$", "examples": ["/contacts", "/contacts/:id"]},
    check_base_url: {"pattern": _URL, "examples": ["http://localhost:3100"]},
    check_pattern: {"pattern": _ecma(PATTERN_WORDS), "maxLength": 200, "examples": ["crm.events.contact.created"]},
    check_namespace: {"pattern": _ecma(KEY_WORDS), "maxLength": 80, "examples": ["crm.cache"]},
}
"""What a schema can say of each check of ours; pydantic knows nothing of what a function refuses."""

_BEFORE: Mapping[Callable[..., object], Callable[[JsonSchemaValue], JsonSchemaValue]] = {
    event_entry: lambda whole: {"anyOf": [{"type": "string", **CHECKS[check_pattern]}, whole]},
    check_access: lambda _: {
        "anyOf": [
            {"enum": ["owner", "any"]},
            {"type": "array", "items": {"type": "string", **_PLUGIN_ID}},
        ]
    },
}
"""What a validator that runs before the model makes of the model's own schema."""

_MORE: Mapping[type[BaseModel], JsonSchemaValue] = {
    # metadata.cacheTTL is for GET only
    Endpoint: {
        "if": {
            "required": ["metadata"],
            "properties": {"metadata": {"required": ["cacheTTL"], "properties": {"cacheTTL": {"type": "number"}}}},
        },
        "then": {"properties": {"method": {"const": "GET"}}},
    },
}
"""Rules that span fields, as far as a schema can say them."""

_KEPT = {
    "$schema": {"type": "string", "description": "Where this schema is, for editors."},
    "author": {"description": "Who wrote it. Kept as it is."},
    "category": {"description": "Kept as it is."},
    "config": {"description": "The plugin's own configuration. Kept as it is."},
    "homepage": {"description": "Kept as it is."},
    "license": {"description": "Kept as it is."},
    "metadata": {"description": "Whatever else there is to say. Kept as it is."},
    "permissions": {"description": "Permissions that the plugin defines. Kept as it is."},
}
"""Keys of a manifest that the bus does not act on, for an editor to offer."""

_EXAMPLE = {
    "id": "plugin-crm",
    "name": "CRM",
    "version": "1.0.0",
    "api": {
        "services": [
            {
                "name": "crm.contacts",
                "version": "1.0.0",
                "endpoints": [{"method": "GET", "path": "/contacts/:id", "description": "Get a contact"}],
            }
        ]
    },
}


def manifest_schema() -> dict[str, Any]:
    """The JSON Schema of a manifest."""
    made = PluginManifest.model_json_schema(by_alias=True, schema_generator=_Generator)
    made["properties"] = {**made["properties"], **_KEPT}
    return {"$schema": DIALECT, "title": "plugin.json of Plexica Bus", **made, "examples": [_EXAMPLE]}


class _Generator(GenerateJsonSchema):
    """Pydantic's own, told what our checks mean, and where descriptions are written."""

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        """A value that one of our checks judges."""
        return {**super().function_after_schema(schema), **CHECKS.get(schema["function"]["function"], {})}

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """A value that is read in more than one form."""
        made = super().function_before_schema(schema)
        widen = _BEFORE.get(schema["function"]["function"])
        return widen(made) if widen else made

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """An optional value: its own type or null, on one level, as editors show it best."""
        inner = self.generate_inner(schema["schema"])
        if isinstance(inner.get("type"), str) and "enum" not in inner:
            return {**inner, "type": [inner["type"], "null"]}
        return super().nullable_schema(schema)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Only a default that says something: not null, nor an empty part."""
        made = super().default_schema(schema)
        if not isinstance(made.get("default"), str | bool):
            made.pop("default", None)
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Pydantic's titles only repeat the keys."""
        del schema
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """A part of the manifest, described by its docstring."""
        made, model = super().model_schema(schema), schema["cls"]
        made.pop("title", None)
        text, fields = _described(model)
        made["description"] = text
        for name, sentence in fields.items():
            made["properties"][model.model_fields[name].alias or name]["description"] = sentence
        return {**made, **_MORE.get(model, {})}


def _described(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """What a model's docstring says of it, and of each of its attributes (Google layout)."""
    text, _, attributes = inspect.cleandoc(model.__doc__ or "").replace("``", "`").partition("\n\nAttributes:\n")
    found: dict[str, str] = {}
    for line in attributes.splitlines():
        name, colon, sentence = line.strip().partition(": ")
        if colon and name in model.model_fields:
            found[name] = sentence
        elif found:
            found[list(found)[-1]] += f" {line.strip()}"
    return " ".join(text.split()), found

"""Services to write clients of: one as pydantic describes it, one by an author who means harm."""

import sys
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from broker.client_source.source import Offer, client_source
from contracts.manifest import PluginManifest
from plugin_runtime.typed.schemas import request_schema, response_schema
from tests.factories import Json, make_manifest, service_json

EVIL = 'x"""\n"""\nimport os\nos.abort()\n"""\\'
"""What would end a docstring, a text and a comment, and abort the process."""


class Stage(Enum):
    LEAD = "lead"
    CLOSED_WON = "closed-won"
    CLOSED_LOST = "closed-lost"
    NEGOTIATION = "in negotiation with the customer"


class Person(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    kind: Literal["person"] = "person"
    full_name: Annotated[str, Field(description="First name and last name.")]
    born_on: date | None = None
    friends: list["Person"] = []


class Company(BaseModel):
    kind: Literal["company"] = "company"
    size: int | float = 1
    site: tuple[int, int] | None = None


class Deal(BaseModel):
    """A deal, and who is in it."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    stage: Stage = Stage.LEAD
    parties: list[Annotated[Person | Company, Field(discriminator="kind")]]
    at: datetime
    length: timedelta = timedelta(0)
    notes: dict[str, list[str]] = {}
    day: Annotated[date | None, Field(alias="date")] = None
    copy_: Annotated[bool, Field(alias="copy")] = False
    worth: Annotated[Decimal | None, Field(ge=0, decimal_places=2)] = None
    share: Decimal = Decimal("0.10")


class Found(BaseModel):
    deals: list[Deal]
    next: str | None


def endpoint(method: str, path: str, **schemas: Any) -> Json:
    """An endpoint with the schemas of types."""
    made = {
        key: (response_schema if key == "response" else request_schema)(TypeAdapter(found))
        for key, found in schemas.items()
    }
    return {"method": method, "path": path, **made}


class Query(BaseModel):
    since: date
    stage: list[Stage] = []
    limit: Annotated[int, Field(description="How many at most.")] = 100


DEALS = [
    endpoint("GET", "/deals", query=Query, response=Found) | {"description": "Find deals"},
    endpoint("POST", "/deals", request=Deal, response=Deal)
    | {"permissions": ["plugin.crm.deals.write"], "metadata": {"rateLimit": 60}},
    endpoint("GET", "/deals/:id/:class", response=Deal | None) | {"metadata": {"cacheTTL": 30}},
    endpoint("PUT", "/deals/:id", request=list[Person | int], response=dict[str, Person]),
    endpoint("DELETE", "/deals/:id", response=None),
    endpoint("PATCH", "/deals/:id"),
    endpoint("GET", "/", query=dict[str, str], response=Stage),
]

NAMES = (
    *(
        "class",
        "None",
        "def",
        "self",
        "timeout",
        "body",
        "query",
        "list",
        "dict",
        "dt",
        "date",
        "copy",
        "print",
        "type",
    ),
    *("model_config", "model_dump", "__init__", "_private", "a b", "a-b", "a_b", "aB", "2nd", "", "\u00e9t\u00e9"),
    *("\u202e", EVIL, "UUID", "Any", "quote"),
)


def pair(of: str) -> Json:
    """Two values of another type: sixty such types in a row are more than a file can hold."""
    return {"type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"$ref": f"#/$defs/{of}"}] * 2}


HOSTILE: Json = {
    "$defs": {
        **{name: {"type": "object", "properties": {"x": {"$ref": f"#/$defs/{name}"}}} for name in NAMES},
        "Choice": {"enum": [EVIL, "a", None, 1, True, "\u202e", "{x}", *NAMES]},
        "Loop": {"anyOf": [{"$ref": "#/$defs/Loop"}, {"type": "array", "items": {"$ref": "#/$defs/Loop"}}]},
        **{f"Bomb{number}": pair(f"Bomb{number + 1}") for number in range(60)},
        "Bomb60": {"type": "string"},
    },
    "title": EVIL,
    "description": EVIL,
    "type": "object",
    "customTypePath": "os.abort",
    "properties": {
        **{name: {"$ref": f"#/$defs/{name}", "description": EVIL} for name in NAMES},
        "choice": {"$ref": "#/$defs/Choice", "default": EVIL},
        "loop": {"$ref": "#/$defs/Loop"},
        "bomb": {"$ref": "#/$defs/Bomb0"},
        "evil": {"type": "string", "default": EVIL},
        "file": {"$ref": "file:///etc/passwd"},
        "nowhere": {"$ref": "#/$defs/Nowhere"},
        "odd": {"type": ["string", "null", "odd"], "format": EVIL},
        "inline": {"type": "object", "properties": {"deep": {"type": "object", "properties": {EVIL: {"const": EVIL}}}}},
        "all": {"allOf": [{"type": "string"}, {"type": "integer"}]},
        "floats": {"enum": [1.5]},
        "wrong": "no schema",
        "worse": {"type": {"a": 1}, "enum": "x", "anyOf": {}, "properties": [], "required": 5},
    },
    "required": ["choice", "list", EVIL],
}  # fmt: skip
HOSTILE_ENDPOINTS = [
    {"method": method, "path": path, "description": EVIL, "query": HOSTILE, "request": HOSTILE, "response": HOSTILE}
    for method, path in (
        ("POST", "/a-b"),
        ("POST", "/a_b"),
        ("POST", "/aB"),
        ("GET", "/'$(x)'/:class/:Class/:self"),
        ("GET", "/%22%0A/:query"),
    )
]


def offer(*endpoints: Json, service: str = "crm.deals", description: str | None = None) -> Offer:
    """A service with these endpoints."""
    listed = service_json(name=service, endpoints=list(endpoints), description=description)
    found = manifest(listed).api.services[0]
    return Offer("plugin-crm", found.name, found.version, found.endpoints, found.metadata)


def manifest(*services: Json) -> PluginManifest:
    return make_manifest(api={"services": list(services)})


def loaded(source: str, name: str = "generated_client") -> ModuleType:
    """The module of a source, as it would be imported."""
    module = module_from_spec(spec_from_loader(name, loader=None))  # type: ignore[arg-type]
    sys.modules[name] = module
    exec(compile(source, f"{name}.py", "exec"), module.__dict__)  # noqa: S102 - what is written is tested
    return module


def client_of(*endpoints: Json) -> ModuleType:
    return loaded(client_source(offer(*endpoints)))

"""The methods of a typed client: one for each endpoint, named after its method and path. Pure.

``GET /contacts/:id/notes`` becomes ``get_contacts_by_id_notes``, ``POST /contacts`` becomes ``post_contacts``, and
``GET /`` becomes ``get_root``; the second of a name ends in ``_2``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from broker.client_source.names import Names, snake_case
from broker.client_source.types import ANY, FIELD_WORDS, NONE, Schema, Types, joined
from contracts.manifest import Endpoint, Metadata

BODILESS = frozenset({"GET"})
METHOD_WORDS = frozenset({"self", "body", "query", "timeout", "retries", "headers", "fresh"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a method; ``key`` is what it is called on the wire, ``is_required`` of one without default."""

    name: str
    key: str
    annotation: str
    is_required: bool
    description: str = ""


@dataclass(frozen=True, slots=True)
class Method:
    """One endpoint as a method.

    Attributes:
        path: The segments of the path's template: whether it is a parameter, and its name, or the literal.
        params: The parameters in the path.
        query: The parameters of the query; None where its keys are not known.
        body: The type of the body; None where the method takes none.
        reply: The type of what it returns.
    """

    name: str
    endpoint: Endpoint
    metadata: Metadata
    path: tuple[tuple[bool, str], ...]
    params: tuple[Parameter, ...]
    query: tuple[Parameter, ...] | None
    body: str | None
    is_body_required: bool
    reply: str


def methods_of(endpoints: Sequence[Endpoint], metadata: Metadata, types: Types) -> list[Method]:
    """The methods, in the order of the endpoints; ``metadata`` is the service's."""
    names = Names(FIELD_WORDS)
    return [_method(names.take(method_name(item)), item, metadata, types) for item in endpoints]


def method_name(endpoint: Endpoint) -> str:
    """What an endpoint's method is called, unless that is taken."""
    words = [f"by {part[1:]}" if part.startswith(":") else unquote(part) for part in _segments(endpoint.path)]
    return snake_case(" ".join([endpoint.method.lower(), *(words or ["root"])]), "call")


def _method(name: str, endpoint: Endpoint, service: Metadata, types: Types) -> Method:
    names = Names(METHOD_WORDS | FIELD_WORDS)
    path: list[tuple[bool, str]] = []
    params: list[Parameter] = []
    for part in _segments(endpoint.path):
        if part.startswith(":"):
            params.append(Parameter(names.take(snake_case(part[1:], "value")), part[1:], "PathValue", is_required=True))
            path.append((True, params[-1].name))
        else:
            path.append((False, part))
    takes_body = endpoint.request is not None or endpoint.method not in {"GET", "DELETE"}
    body = ANY if endpoint.request is None else types.of(endpoint.request, f"{name} body")
    own = endpoint.metadata
    return Method(
        name=name,
        endpoint=endpoint,
        metadata=Metadata(
            rate_limit=service.rate_limit if own.rate_limit is None else own.rate_limit,
            cache_ttl=service.cache_ttl if own.cache_ttl is None and endpoint.method == "GET" else own.cache_ttl,
        ),
        path=tuple(path),
        params=tuple(params),
        query=_query(endpoint.query, names, f"{name} query", types),
        body=body if takes_body and endpoint.method not in BODILESS else None,
        is_body_required=not _takes_none(body),
        reply=ANY if endpoint.response is None else types.of(endpoint.response, f"{name} reply"),
    )


def _query(schema: Schema | None, names: Names, hint: str, types: Types) -> tuple[Parameter, ...] | None:
    """The keys of a query; None where the schema lists none."""
    if schema is None:
        return None
    whole = _resolved(schema)
    properties = whole.get("properties")
    if not isinstance(properties, dict):
        return None
    listed = whole.get("required")
    required = listed if isinstance(listed, list) else []
    defs = schema.get("$defs", {})
    found = []
    for key, part in properties.items():
        inner = {**part, "$defs": defs} if isinstance(part, dict) else {}
        annotation = types.of(inner, f"{hint} {key}")
        is_required = key in required
        description = inner.get("description")
        found.append(
            Parameter(
                names.take(snake_case(key, "value")),
                key,
                annotation if is_required or _takes_none(annotation) else joined([annotation, NONE]),
                is_required=is_required,
                description=description if isinstance(description, str) else "",
            )
        )
    return tuple(found)


def _takes_none(annotation: str) -> bool:
    return annotation in {ANY, NONE} or annotation.endswith(f" | {NONE}")


def _resolved(schema: Schema) -> Schema:
    ref, defs = schema.get("$ref"), schema.get("$defs")
    if not isinstance(ref, str) or not isinstance(defs, dict):
        return schema
    found = defs.get(ref.removeprefix("#/$defs/"))
    return found if isinstance(found, dict) else schema


def _segments(path: str) -> list[str]:
    return [] if path == "/" else path[1:].split("/")

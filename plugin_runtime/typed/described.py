"""A manifest with the JSON Schemas of its handlers, as the registry gets it. Pure."""

from collections.abc import Callable, Iterator, Mapping

from contracts.codec import encode
from contracts.errors import InvalidEndpointError
from contracts.limits import LARGEST_MANIFEST_BYTES
from contracts.manifest import Endpoint, PluginManifest, Service
from plugin_runtime.typed.schemas import Schema, differs

SchemasOf = Callable[[str, Endpoint], Mapping[str, Schema]]
"""The schemas of the handler of a service's endpoint, by their keys in the manifest."""

KEYS = ("request", "query", "response")
MOST_NAMED = 3


def described(manifest: PluginManifest, schemas_of: SchemasOf) -> PluginManifest:
    """The manifest with the schemas of its handlers where it says none itself.

    Raises:
        InvalidEndpointError: It is larger with them than a manifest may be; the message names the largest.
    """
    added: dict[str, Schema] = {}
    services = tuple(_with_schemas(service, schemas_of, added) for service in manifest.api.services)
    if not added:
        return manifest
    made = manifest.model_copy(update={"api": manifest.api.model_copy(update={"services": services})})
    size = len(encode(made.to_json()))
    if size > LARGEST_MANIFEST_BYTES:
        raise InvalidEndpointError(
            f"{manifest.id}: with the JSON Schemas of its handlers the manifest has {size} bytes, at most "
            f"{LARGEST_MANIFEST_BYTES} are allowed; the largest are {', '.join(_largest(added))}: simplify these "
            "types, or write a short 'request', 'response' or 'query' into the manifest"
        )
    return made


def differing(manifest: PluginManifest, schemas_of: SchemasOf) -> Iterator[tuple[str, str]]:
    """Yield each endpoint, with the key, whose schema in the manifest says something else than its handler does."""
    for service in manifest.api.services:
        for endpoint in service.endpoints:
            said = {key: schema for key in KEYS if (schema := getattr(endpoint, key)) is not None}
            found = schemas_of(service.name, endpoint) if said else {}
            for key in (key for key in said if key in found):
                if differs(said[key], found[key]):
                    yield f"{service.name} {endpoint.method} {endpoint.path}", key


def _with_schemas(service: Service, schemas_of: SchemasOf, added: dict[str, Schema]) -> Service:
    endpoints = []
    for endpoint in service.endpoints:
        found = schemas_of(service.name, endpoint)
        missing = {key: schema for key, schema in found.items() if getattr(endpoint, key) is None}
        added |= {f"{service.name} {endpoint.method} {endpoint.path} {key}": item for key, item in missing.items()}
        endpoints.append(endpoint.model_copy(update=missing) if missing else endpoint)
    return service.model_copy(update={"endpoints": tuple(endpoints)})


def _largest(added: Mapping[str, Schema]) -> list[str]:
    sizes = sorted(((len(encode(schema)), place) for place, schema in added.items()), reverse=True)
    return [f"{place} ({size} bytes)" for size, place in sizes[:MOST_NAMED]]

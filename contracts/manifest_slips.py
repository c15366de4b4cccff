"""What a manifest allows and its author probably did not mean: worth a warning, never an error. Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from contracts.errors import did_you_mean
from contracts.manifest import Api, Metadata, PluginManifest
from contracts.names import covers

Problem = tuple[str, str]
"""A dotted path, and what is odd there."""


def probable_slips(manifest: PluginManifest) -> Iterator[Problem]:
    """Keys that are kept, and mean nothing to the bus, but look like some that would."""
    parts = {info.alias or name for name, info in Api.model_fields.items()}
    for key in manifest.model_extra or {}:
        if key in parts:
            yield key, f"is not acted on here; did you mean 'api.{key}'?"
        elif hint := did_you_mean(key, _keys_of(PluginManifest)):
            yield key, f"is not acted on{hint}"
    for index, service in enumerate(manifest.api.services):
        yield from _slips_in(service.metadata, f"api.services.{index}.metadata")
        for position, endpoint in enumerate(service.endpoints):
            yield from _slips_in(endpoint.metadata, f"api.services.{index}.endpoints.{position}.metadata")


def _slips_in(metadata: Metadata, place: str) -> Iterator[Problem]:
    for key in metadata.model_extra or {}:
        if hint := did_you_mean(key, _keys_of(Metadata)):
            yield f"{place}.{key}", f"is not acted on{hint}"


def _keys_of(model: type[PluginManifest] | type[Metadata]) -> list[str]:
    fields: Mapping[str, Any] = model.model_fields
    return [info.alias or name for name, info in fields.items()]


def undeclared(found: str, declared: Collection[str], place: str) -> str | None:
    """Why an event key or a pattern is odd beside the patterns that a manifest declares; None where it is not.

    A manifest that declares nothing at ``place`` says nothing about it.
    """
    if not declared or any(covers(pattern, found) for pattern in declared):
        return None
    return f"no pattern of {place} admits '{found}'{did_you_mean(found, declared)}"

"""What ``plexica plugin check`` finds in manifests: errors, and keys that are probably meant to be others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from broker.cli.output import Out, counted
from contracts.errors import InvalidManifestError, did_you_mean
from contracts.manifest import Api, Metadata, PluginManifest
from contracts.names import RESERVED_PLUGINS

Problem = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in one file; the manifest is None where it has errors."""

    file: Path
    manifest: PluginManifest | None
    errors: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()

    def to_json(self) -> dict[str, Any]:
        """The finding as programs read it."""
        return {
            "file": str(self.file),
            "valid": self.manifest is not None,
            "errors": [{"path": path, "message": text} for path, text in self.errors],
            "warnings": [{"path": path, "message": text} for path, text in self.warnings],
        }


def check_files(files: Sequence[Path], out: Out) -> bool:
    """Check manifests and print what was found; whether all are valid."""
    found = [checked(file) for file in files]
    if out.as_json:
        out.json_lines([item.to_json() for item in found])
    else:
        for item in found:
            _show(item, out)
    return all(item.manifest is not None for item in found)


def checked(file: Path) -> Checked:
    """Check one manifest."""
    try:
        manifest = PluginManifest.load(file)
    except InvalidManifestError as error:
        return Checked(file, None, errors=error.errors)
    if manifest.id in RESERVED_PLUGINS:
        return Checked(file, None, errors=[("id", f"'{manifest.id}' is reserved for the bus itself")])
    return Checked(file, manifest, warnings=list(probable_slips(manifest)))


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


def _show(found: Checked, out: Out) -> None:
    if found.manifest is not None:
        services = counted(len(found.manifest.api.services), "service")
        out.say(f"{found.file}: {found.manifest.id} {found.manifest.version} is valid: {services}")
    else:
        out.note(Text(f"{found.file} has {counted(len(found.errors), 'error')}:", "bold"))
    for path, text in found.errors:
        out.note(Text.assemble("  ", (f"{path}: " if path else "", "red"), text))
    for path, text in found.warnings:
        out.note(Text.assemble("  ", (f"{path}: ", "yellow"), text))

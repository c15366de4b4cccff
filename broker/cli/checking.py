"""What ``plexica plugin check`` finds in manifests: errors, and keys that are probably meant to be others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from broker.cli.output import Out, counted
from contracts.errors import InvalidManifestError
from contracts.manifest import PluginManifest
from contracts.manifest_slips import Problem, probable_slips
from contracts.names import RESERVED_PLUGINS


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

"""What is said: the messages and names of the bus. No I/O, no asyncio."""

from contracts.errors import CodedError, InvalidManifestError, PlexicaError
from contracts.events import DataChange
from contracts.manifest import PluginManifest
from contracts.names import matches
from contracts.versions import satisfies

__all__ = [
    "CodedError",
    "DataChange",
    "InvalidManifestError",
    "PlexicaError",
    "PluginManifest",
    "matches",
    "satisfies",
]

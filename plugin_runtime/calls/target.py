"""Where a call goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """The service version that a call goes to, and the plugin that answers it."""

    plugin: str
    service: str
    version: str

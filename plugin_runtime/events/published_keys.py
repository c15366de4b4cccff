"""Keys of published events that the manifest does not declare: logged, never refused."""

from collections.abc import Sequence

import structlog

from contracts.manifest import EventDeclaration
from contracts.manifest_slips import undeclared

log = structlog.get_logger()

MOST_KEYS = 1000
"""How many keys are looked at, so that keys made of data fill no memory."""


class PublishedKeys:
    """Looks at the keys of events that a plugin publishes, at each of the first thousand once.

    Args:
        plugin: Who publishes.
        declared: Its manifest's ``api.events.publishes``; without any there is nothing to look for.
    """

    def __init__(self, plugin: str, declared: Sequence[EventDeclaration]) -> None:
        self._plugin = plugin
        self._declared = tuple(item.pattern for item in declared)
        self._seen: set[str] = set()

    def look_at(self, key: str) -> None:
        """Log a key that no declared pattern admits."""
        if key in self._seen or len(self._seen) >= MOST_KEYS:
            return
        self._seen.add(key)
        reason = undeclared(key, self._declared, "api.events.publishes")
        if reason is not None:
            log.warning("event.undeclared", plugin=self._plugin, key=key, reason=reason)

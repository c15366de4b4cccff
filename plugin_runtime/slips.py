"""Warnings of what an author probably did not mean, as a plugin starts and as it publishes: logged, never refused."""

from collections.abc import Sequence

import structlog

from contracts.manifest import EventDeclaration
from contracts.manifest_slips import probable_slips, undeclared
from plugin_runtime.definition import Definition

log = structlog.get_logger()

MOST_KEYS = 1000
"""How many keys are looked at, so that keys made of data fill no memory."""


def tell_slips(definition: Definition) -> None:
    """Log what is odd in a manifest, and each subscription to events that the manifest does not declare."""
    manifest = definition.manifest
    for path, text in probable_slips(manifest):
        log.warning("manifest.probable_slip", plugin=manifest.id, key=path, reason=text)
    declared = _patterns(manifest.api.events.subscribes)
    for mark in definition.marks:
        reason = undeclared(mark.pattern, declared, "api.events.subscribes") if mark.source == "events" else None
        if reason is not None:
            log.warning("subscription.undeclared", plugin=manifest.id, subscription=mark.name, reason=reason)


class PublishedKeys:
    """Looks at the keys of events that a plugin publishes, at each of the first thousand once.

    Args:
        plugin: Who publishes.
        declared: Its manifest's ``api.events.publishes``; without any there is nothing to look for.
    """

    def __init__(self, plugin: str, declared: Sequence[EventDeclaration]) -> None:
        self._plugin = plugin
        self._declared = _patterns(declared)
        self._seen: set[str] = set()

    def look_at(self, key: str) -> None:
        """Log a key that no declared pattern admits."""
        if key in self._seen or len(self._seen) >= MOST_KEYS:
            return
        self._seen.add(key)
        reason = undeclared(key, self._declared, "api.events.publishes")
        if reason is not None:
            log.warning("event.undeclared", plugin=self._plugin, key=key, reason=reason)


def _patterns(declared: Sequence[EventDeclaration]) -> tuple[str, ...]:
    return tuple(item.pattern for item in declared)

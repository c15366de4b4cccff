"""Warnings of what an author probably did not mean, as a plugin starts: logged, never refused."""

import structlog

from contracts.manifest_slips import probable_slips, undeclared
from plugin_runtime.definition import Definition
from plugin_runtime.typed.described import differing

log = structlog.get_logger()

DIFFERS = "the manifest's schema is registered, the handler checks another: leave the manifest's out, or make it equal"


def tell_slips(definition: Definition) -> None:
    """Log what is odd in a manifest: keys, schemas that its handlers do not keep, undeclared subscriptions."""
    manifest = definition.manifest
    for endpoint, key in differing(manifest, definition.schemas_of):
        log.warning("endpoint.schema_differs", plugin=manifest.id, endpoint=endpoint, key=key, reason=DIFFERS)
    for path, text in probable_slips(manifest):
        log.warning("manifest.probable_slip", plugin=manifest.id, key=path, reason=text)
    declared = tuple(item.pattern for item in manifest.api.events.subscribes)
    for mark in definition.marks:
        reason = undeclared(mark.pattern, declared, "api.events.subscribes") if mark.source == "events" else None
        if reason is not None:
            log.warning("subscription.undeclared", plugin=manifest.id, subscription=mark.name, reason=reason)

"""What only this instance hears: announcements of the registry, watched data, broadcasts, calls taken back."""

import asyncio
from collections.abc import Callable, Iterable

import structlog
from pydantic import ValidationError

from contracts.codec import decode
from contracts.errors import CodedError, MalformedMessageError
from contracts.events import DataChange
from contracts.manifest import Dependency, PluginManifest
from contracts.registry import (
    ANNOUNCEMENTS,
    Announcement,
    DependencyAnnouncement,
    KeysAnnouncement,
    PluginAnnouncement,
    PresenceAnnouncement,
    ServiceAnnouncement,
    ServiceRecord,
)
from contracts.topology import Topology
from plugin_runtime.data.watch import Watchers
from plugin_runtime.events.consumer import EventConsumer
from plugin_runtime.identity import judge_announcement, judge_cancel, judge_change
from plugin_runtime.installations import Installations
from plugin_runtime.keys import KeyRing
from plugin_runtime.marks import SubscriptionMark
from plugin_runtime.registry_view import RegistryView
from plugin_runtime.tasks import TaskSet
from plugin_runtime.transport.base import Delivery

log = structlog.get_logger()

LONGEST_BACKLOG = 10_000
"""How many broadcasts may wait for their handlers; beyond that the newest are dropped, and the log says so."""


class InstanceQueue:
    """Takes the deliveries of ``instance.{plugin}.{instance}`` and hands each to whom it concerns."""

    def __init__(
        self,
        topology: Topology,
        manifest: PluginManifest,
        *,
        keys: KeyRing,
        view: RegistryView,
        installations: Installations,
        events: EventConsumer,
        broadcasts: list[SubscriptionMark],
        on_presence: Callable[[PresenceAnnouncement], None],
        on_announced: Callable[[Announcement], None],
        on_service: Callable[[ServiceRecord], None],
        on_cancel: Callable[[str, str], None],
        on_declared: Callable[[Iterable[Dependency]], None],
        on_gap: Callable[[], None],
        announcement_watchers: Watchers[Announcement],
        data_watchers: Watchers[DataChange],
        concurrency: int,
    ) -> None:
        self._topology = topology
        self._manifest = manifest
        self._keys = keys
        self._view = view
        self._installations = installations
        self._events = events
        self._broadcasts = broadcasts
        self._on_presence = on_presence
        self._on_announced = on_announced
        self._on_service = on_service
        self._on_cancel = on_cancel
        self._on_declared = on_declared
        self._on_gap = on_gap
        self._announcement_watchers = announcement_watchers
        self._data_watchers = data_watchers
        self._work = TaskSet("instance.handle")
        self._room = asyncio.Semaphore(concurrency)

    def on_delivery(self, delivery: Delivery) -> None:
        """Take one delivery; announcements and changes are applied at once and in order, broadcasts run on."""
        kind = self._topology.exchange_kind(delivery.exchange)
        try:
            if kind == "plexica.registry":
                self._announce(delivery)
            elif kind == "plexica.data":
                self._change(delivery)
            elif kind == "plexica.cancel":
                self._cancel(delivery)
        except (CodedError, MalformedMessageError, ValidationError) as error:
            log.warning("instance.refused", exchange=kind, routing_key=delivery.routing_key, reason=str(error))
        self._work.start(self._finish(kind, delivery))

    async def drain(self, grace_seconds: float) -> None:
        """Wait for broadcasts that are being handled."""
        await self._work.drain(grace_seconds)

    async def _finish(self, kind: str, delivery: Delivery) -> None:
        # Acknowledged before it is handled: a broadcast runs at most once, and a slow one must not hold back the
        # announcements behind it.
        await delivery.acknowledge()
        if kind not in {"plexica.events", "plexica.data"} or not self._broadcasts:
            return
        if len(self._work) > LONGEST_BACKLOG:
            log.warning("event.broadcast_dropped", routing_key=delivery.routing_key, backlog=len(self._work))
            return
        async with self._room:
            await self._events.broadcast(self._broadcasts, delivery)

    def _announce(self, delivery: Delivery) -> None:
        judge_announcement(delivery, self._topology)
        model = ANNOUNCEMENTS.get(delivery.message.type)
        if model is None:
            raise MalformedMessageError(f"unknown announcement '{delivery.message.type}'")
        announcement = model.model_validate(decode(delivery.message.body))
        if isinstance(announcement, ServiceAnnouncement):
            # Of its own services a registration shows nothing: the announcements, its own included, are all there is.
            self._on_service(announcement.service)
        # What a registration showed already is told to watchers, but is older than what is known.
        if announcement.revision > self._view.revision:
            self._apply(announcement)
        self._announcement_watchers.publish(delivery.routing_key, announcement)

    def _apply(self, announcement: Announcement) -> None:
        if not self._view.apply(announcement):
            log.warning("registry.announcement_missed", revision=announcement.revision)
            self._on_gap()
        self._on_announced(announcement)
        if isinstance(announcement, PresenceAnnouncement):
            self._on_presence(announcement)
        elif isinstance(announcement, PluginAnnouncement):
            self._installations.apply(announcement)
        elif isinstance(announcement, DependencyAnnouncement) and self._is_mine(announcement):
            self._on_declared(announcement.dependencies)
        elif isinstance(announcement, KeysAnnouncement):
            self._keys.replace(announcement.keys)

    def _is_mine(self, declared: DependencyAnnouncement) -> bool:
        return (declared.plugin_id, declared.version) == (self._manifest.id, self._manifest.version)

    def _cancel(self, delivery: Delivery) -> None:
        caller = judge_cancel(delivery, self._topology, myself=self._manifest.id)
        if delivery.message.correlation_id is not None:
            self._on_cancel(caller, delivery.message.correlation_id)

    def _change(self, delivery: Delivery) -> None:
        judge_change(delivery, self._topology)
        change = DataChange.model_validate(decode(delivery.message.body))
        self._data_watchers.publish(delivery.routing_key, change)

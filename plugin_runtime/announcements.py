"""What only this instance hears: announcements of the registry, watched data, broadcasts."""

from collections.abc import Callable

import structlog
from pydantic import ValidationError

from contracts.codec import decode
from contracts.errors import CodedError, MalformedMessageError
from contracts.events import DataChange
from contracts.manifest import PluginManifest
from contracts.registry import ANNOUNCEMENTS, Announcement, PluginAnnouncement, PresenceAnnouncement
from contracts.topology import Topology
from plugin_runtime.data.watch import Watchers
from plugin_runtime.discovery import RegistryView
from plugin_runtime.events.consumer import EventConsumer
from plugin_runtime.identity import judge_announcement, judge_event
from plugin_runtime.marks import SubscriptionMark
from plugin_runtime.tasks import TaskSet
from plugin_runtime.tenant import TenantSet
from plugin_runtime.transport.base import Delivery

log = structlog.get_logger()


class InstanceQueue:
    """Takes the deliveries of ``instance.{plugin}.{instance}`` and hands each to whom it concerns."""

    def __init__(
        self,
        topology: Topology,
        manifest: PluginManifest,
        *,
        view: RegistryView,
        tenants: TenantSet,
        events: EventConsumer,
        broadcasts: list[SubscriptionMark],
        on_presence: Callable[[PresenceAnnouncement], None],
        announcement_watchers: Watchers[Announcement],
        data_watchers: Watchers[DataChange],
    ) -> None:
        self._topology = topology
        self._manifest = manifest
        self._view = view
        self._tenants = tenants
        self._events = events
        self._broadcasts = broadcasts
        self._on_presence = on_presence
        self._announcement_watchers = announcement_watchers
        self._data_watchers = data_watchers
        self._work = TaskSet("instance.handle")

    def on_delivery(self, delivery: Delivery) -> None:
        """Take one delivery; announcements and changes are applied at once and in order, broadcasts run on."""
        kind = self._topology.exchange_kind(delivery.exchange)
        try:
            if kind == "plexica.registry":
                self._announce(delivery)
            elif kind == "plexica.data":
                self._change(delivery)
        except (CodedError, MalformedMessageError, ValidationError) as error:
            log.warning("instance.refused", exchange=kind, routing_key=delivery.routing_key, reason=str(error))
        self._work.start(self._finish(kind, delivery))

    async def drain(self, grace_seconds: float) -> None:
        """Wait for broadcasts that are being handled."""
        await self._work.drain(grace_seconds)

    async def _finish(self, kind: str, delivery: Delivery) -> None:
        if kind in {"plexica.events", "plexica.data"} and self._broadcasts:
            await self._events.broadcast(self._broadcasts, delivery)
        await delivery.acknowledge()

    def _announce(self, delivery: Delivery) -> None:
        judge_announcement(delivery, self._topology)
        model = ANNOUNCEMENTS.get(delivery.message.type)
        if model is None:
            raise MalformedMessageError(f"unknown announcement '{delivery.message.type}'")
        announcement = model.model_validate(decode(delivery.message.body))
        self._view.apply(announcement)
        if isinstance(announcement, PresenceAnnouncement):
            self._on_presence(announcement)
        elif isinstance(announcement, PluginAnnouncement):
            self._installed(announcement)
        self._announcement_watchers.publish(delivery.routing_key, announcement)

    def _installed(self, announcement: PluginAnnouncement) -> None:
        is_mine = announcement.plugin_id == self._manifest.id and announcement.version == self._manifest.version
        if is_mine and announcement.change == "uninstalled":
            self._tenants.discard(announcement.tenant)
        elif is_mine:
            self._tenants.add(announcement.tenant)

    def _change(self, delivery: Delivery) -> None:
        judge_event(delivery, self._topology, myself=self._manifest.id)
        change = DataChange.model_validate(decode(delivery.message.body))
        self._data_watchers.publish(delivery.routing_key, change)

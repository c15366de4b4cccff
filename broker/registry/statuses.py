"""Statuses of services: each transition is announced once, in the transaction that brings it about."""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from broker.registry import store
from broker.registry.announcements import Announcements
from broker.registry.catalogue import Catalogue
from broker.registry.rules import ServiceKey
from broker.storage.database import Transaction
from contracts.registry import ServiceStatus

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Transition:
    """A service version changed its status."""

    service: ServiceKey
    before: ServiceStatus
    after: ServiceStatus


class Statuses:
    """Compares what is with what was announced."""

    def __init__(self, catalogue: Catalogue, announcements: Announcements) -> None:
        self._catalogue = catalogue
        self._announcements = announcements

    async def settle(self, transaction: Transaction, plugins: Iterable[str]) -> list[Transition]:
        """Announce every status that changed since it was announced last, for the services of these plugins."""
        found: list[Transition] = []
        for plugin in sorted(set(plugins)):
            for service in await store.served_by(transaction, plugin):
                transition = await self._settle(transaction, service)
                if transition is not None:
                    found.append(transition)
        return found

    async def deregistered(self, transaction: Transaction, service: ServiceKey, instance_id: str) -> None:
        """Announce that an instance serves a service version no more; the status it leaves counts as announced."""
        record = await self._catalogue.record(transaction, service)
        if record is None:
            return
        await store.set_status(transaction, service, record.status if record.last_seen_at is not None else None)
        await self._announcements.service(transaction, "deregistered", record, instance_id)

    async def _settle(self, transaction: Transaction, service: ServiceKey) -> Transition | None:
        before = await store.status(transaction, service)
        record = await self._catalogue.record(transaction, service)
        if record is None or before is None or record.status == before:
            return None
        await store.set_status(transaction, service, record.status)
        await self._announcements.service(transaction, "status", record)
        _log.info("service.status_changed", service=record.id, before=before, after=record.status)
        return Transition(service, before, record.status)

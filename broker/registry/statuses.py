"""How services stand: each transition is announced once, in the transaction that brings it about."""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from broker.registry import store
from broker.registry.announcements import Announcements
from broker.registry.catalogue import Catalogue
from broker.registry.rules import ServiceKey, Standing
from broker.storage.database import Transaction
from contracts.registry import ServiceRecord, ServiceStatus

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Transition:
    """A service version changed its status, or only the tenants in which it is degraded."""

    service: ServiceKey
    before: ServiceStatus
    after: ServiceStatus

    @property
    def is_departure(self) -> bool:
        """Whether nobody serves it any more, and somebody did."""
        return self.before != self.after == "UNAVAILABLE"


def standing_of(record: ServiceRecord) -> Standing:
    """What a record tells everybody of how its service version is."""
    return Standing(record.status, record.degraded_in)


class Statuses:
    """Compares what is with what was announced."""

    def __init__(self, catalogue: Catalogue, announcements: Announcements) -> None:
        self._catalogue = catalogue
        self._announcements = announcements

    async def settle(self, transaction: Transaction, plugins: Iterable[str]) -> list[Transition]:
        """Announce every service version of these plugins that stands otherwise than was announced last."""
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
        standing = standing_of(record) if record.last_seen_at is not None else None
        await store.set_standing(transaction, service, standing)
        await self._announcements.service(transaction, "deregistered", record, instance_id)

    async def _settle(self, transaction: Transaction, service: ServiceKey) -> Transition | None:
        before = await store.standing(transaction, service)
        record = await self._catalogue.record(transaction, service)
        if record is None or before is None or standing_of(record) == before:
            return None
        await store.set_standing(transaction, service, standing_of(record))
        await self._announcements.service(transaction, "status", record)
        _log.info(
            "service.status_changed",
            service=record.id,
            before=before.status,
            after=record.status,
            degraded_in=record.degraded_in,
        )
        return Transition(service, before.status, record.status)

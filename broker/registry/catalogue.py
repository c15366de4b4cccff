"""The registry as it is read: services as tenants see them, and as announcements tell them."""

from collections.abc import Mapping

from broker.registry import store
from broker.registry.rules import ServiceKey, service_status
from broker.storage.database import Row, Source
from contracts.discovery import choose
from contracts.errors import ServiceNotFoundError, did_you_mean
from contracts.manifest import Service
from contracts.registry import ServiceRecord, ServiceStatus
from contracts.versions import ordered


class Catalogue:
    """Reads services.

    Args:
        heard: When each instance was last heard, in seconds since the epoch; newer than its row.
    """

    def __init__(self, heard: Mapping[str, float]) -> None:
        self._heard = heard

    async def installed(
        self, source: Source, tenant: str, *, name: str | None = None, plugin: str | None = None
    ) -> list[ServiceRecord]:
        """Every service version installed in a tenant, served or not, sorted by name, then version.

        It is as well as its instances; at best DEGRADED where every installed plugin version that offers it lacks a
        required dependency. What is missing in another tenant does not matter.
        """
        rows = await store.services_in(source, tenant, name=name, plugin=plugin)
        instances = await store.serving(source, name=name, plugin=plugin)
        found: dict[str, dict[str, list[Row]]] = {}
        for row in rows:
            found.setdefault(row["name"], {}).setdefault(row["version"], []).append(row)
        return [
            self._in_tenant(tenant, found[service][version], instances.get((service, version), []))
            for service in sorted(found)
            for version in ordered(found[service])
        ]

    async def registered(
        self,
        source: Source,
        tenant: str,
        *,
        plugin: str | None = None,
        status: ServiceStatus | None = None,
    ) -> list[ServiceRecord]:
        """Those installed service versions that some instance serves, or served until it went without a word."""
        found = await self.installed(source, tenant, plugin=plugin)
        return [
            record
            for record in found
            if record.last_seen_at is not None and (status is None or record.status == status)
        ]

    async def discover(self, source: Source, tenant: str, name: str, range_: str) -> ServiceRecord:
        """The version that `choose` chooses; a service that is not installed is answered with the name it may mean.

        Raises:
            ServiceNotFoundError: It is not installed in the tenant, or nobody serves a version in the range.
            VersionMismatchError: It is installed, but no version is in the range.
        """
        records = await self.installed(source, tenant, name=name)
        if not records:
            names = sorted({record.service_name for record in await self.installed(source, tenant)})
            raise ServiceNotFoundError(
                f"Service {name} not found or unavailable{did_you_mean(name, names)}",
                service=name,
                range=range_,
                versions=[],
                available=names,
            )
        return choose(name, records, range_)

    async def record(self, source: Source, service: ServiceKey) -> ServiceRecord | None:
        """A service version as everybody is told of it, or None if no plugin version offers it."""
        rows = await store.services_anywhere(source, service)
        if not rows:
            return None
        instances = await store.serving(source, name=service[0], plugin=None)
        return self._record(rows, instances.get(service, []), await store.degraded_in(source, service))

    def _in_tenant(self, tenant: str, offers: list[Row], instances: list[Row]) -> ServiceRecord:
        is_lacking = all(row["is_lacking"] for row in offers)
        return self._record(offers, instances, (tenant,) if is_lacking else ()).in_tenant(tenant)

    def _record(self, offers: list[Row], instances: list[Row], degraded_in: tuple[str, ...]) -> ServiceRecord:
        """Where several plugin versions offer the same service version, the highest one describes it."""
        by_version: dict[str, Row] = {row["plugin_version"]: row for row in offers}
        plugin_versions = ordered(by_version)
        row = by_version[plugin_versions[-1]]
        service = Service.model_validate_json(row["document"])
        statuses: list[ServiceStatus] = [found["state"] for found in instances]
        heard: list[float] = [self._heard.get(found["id"], found["last_heard"]) for found in instances]
        return ServiceRecord(
            id=service.id,
            plugin_id=row["plugin_id"],
            service_name=service.name,
            version=service.version,
            plugin_versions=tuple(plugin_versions),
            status=service_status(statuses),
            degraded_in=degraded_in,
            endpoints=service.endpoints,
            metadata=service.metadata,
            base_url=service.base_url,
            instances=sum(1 for status in statuses if status != "UNAVAILABLE"),
            last_seen_at=max(heard, default=None),
        )

"""The registry as it is read: services as tenants see them, and as announcements tell them."""

from collections.abc import Iterable, Mapping
from typing import Any

from broker.registry.rules import instance_status, service_status
from broker.storage.database import Row, Source
from contracts.errors import ServiceNotFoundError, VersionMismatchError, did_you_mean
from contracts.manifest import Service
from contracts.registry import ServiceRecord, ServiceStatus
from contracts.versions import highest, ordered, satisfies

IN_TENANT = """
SELECT services.* FROM installations
JOIN services ON services.plugin_id = installations.plugin_id AND services.plugin_version = installations.version
WHERE installations.tenant = :tenant
    AND (:name IS NULL OR services.name = :name) AND (:plugin IS NULL OR services.plugin_id = :plugin)
"""
ANYWHERE = "SELECT * FROM services WHERE name = :name AND version = :version"
INSTANCES = """
SELECT served.name, served.version, instances.id, instances.state, instances.last_heard,
    EXISTS (SELECT 1 FROM unmet WHERE unmet.plugin_id = instances.plugin_id
        AND unmet.plugin_version = instances.plugin_version) AS is_lacking
FROM service_instances AS served JOIN instances ON instances.id = served.instance_id
WHERE (:name IS NULL OR served.name = :name) AND (:plugin IS NULL OR instances.plugin_id = :plugin)
"""
LIVELY: tuple[ServiceStatus, ...] = ("HEALTHY", "DEGRADED")
"""What discovery shows, in the order of preference."""

ServiceKey = tuple[str, str]


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
        """Every service version installed in a tenant, served or not, sorted by name, then version."""
        parameters: dict[str, object] = {"tenant": tenant, "name": name, "plugin": plugin}
        rows = await source.rows(IN_TENANT, parameters)
        instances = await self._instances(source, name, plugin)
        found: dict[str, dict[str, list[Row]]] = {}
        for row in rows:
            found.setdefault(row["name"], {}).setdefault(row["version"], []).append(row)
        return [
            self._record(_newest(found[service][version]), instances.get((service, version), []))
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
        """The highest version in the range, HEALTHY before DEGRADED.

        Raises:
            ServiceNotFoundError: It is not installed in the tenant, or nobody serves a version in the range.
            VersionMismatchError: It is installed, but no version is in the range; details: ``versions``.
        """
        records = {record.version: record for record in await self.installed(source, tenant, name=name)}
        if not records:
            names = {record.service_name for record in await self.installed(source, tenant)}
            hint = did_you_mean(name, sorted(names))
            raise ServiceNotFoundError(
                f"Service {name} not found or unavailable{hint}", serviceName=name, available=sorted(names)
            )
        if highest(records, range_) is None:
            there = ordered(records)
            raise VersionMismatchError(
                f"Service {name} has no version in {range_}: installed are {', '.join(there)}",
                serviceName=name,
                range=range_,
                versions=there,
            )
        for status in LIVELY:
            best = highest([version for version, record in records.items() if record.status == status], range_)
            if best is not None:
                return records[best]
        raise ServiceNotFoundError(
            f"Service {name} not found or unavailable",
            serviceName=name,
            unavailable=[version for version in ordered(records) if satisfies(version, range_)],
        )

    async def record(self, source: Source, service: ServiceKey) -> ServiceRecord | None:
        """A service version as it is anywhere, or None if no plugin version offers it."""
        rows = await source.rows(ANYWHERE, {"name": service[0], "version": service[1]})
        if not rows:
            return None
        instances = await self._instances(source, service[0], None)
        return self._record(_newest(rows), instances.get(service, []))

    async def _instances(self, source: Source, name: str | None, plugin: str | None) -> dict[ServiceKey, list[Row]]:
        found: dict[ServiceKey, list[Row]] = {}
        for row in await source.rows(INSTANCES, {"name": name, "plugin": plugin}):
            found.setdefault((row["name"], row["version"]), []).append(row)
        return found

    def _record(self, row: Row, instances: list[Row]) -> ServiceRecord:
        service = Service.model_validate_json(row["document"])
        statuses = [instance_status(found["state"], is_lacking=bool(found["is_lacking"])) for found in instances]
        heard: list[float] = [self._heard.get(found["id"], found["last_heard"]) for found in instances]
        return ServiceRecord(
            id=f"{service.name}@{service.version}",
            plugin_id=row["plugin_id"],
            service_name=service.name,
            version=service.version,
            status=service_status(statuses),
            endpoints=service.endpoints,
            metadata=service.metadata,
            base_url=service.base_url,
            instances=sum(1 for status in statuses if status != "UNAVAILABLE"),
            last_seen_at=max(heard, default=None),
        )


def _newest(rows: Iterable[Any]) -> Row:
    """The row of the highest plugin version, where several offer the same service version."""
    by_version: dict[str, Row] = {row["plugin_version"]: row for row in rows}
    return by_version[ordered(by_version)[-1]]

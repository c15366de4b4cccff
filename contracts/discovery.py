"""Which version of a service a caller gets: one rule for the broker's answer and the runtime's cached view. Pure."""

from collections.abc import Iterable, Sequence

from contracts.errors import ServiceNotFoundError, VersionMismatchError
from contracts.registry import ServiceRecord
from contracts.versions import fitting, highest, ordered


def choose(
    service: str, records: Iterable[ServiceRecord], *ranges: str, plugin_range: str | None = None
) -> ServiceRecord:
    """The highest version in every range, HEALTHY before DEGRADED, UNAVAILABLE never.

    Args:
        service: The service's name, for the errors.
        records: Every version installed in the tenant.
        ranges: npm ranges for the service's version; any version when there is none.
        plugin_range: An npm range for the plugin that offers it: one of the versions at which it does must be in it.

    Raises:
        ServiceNotFoundError: No version is installed, or none in the ranges is served now.
        VersionMismatchError: Versions are installed, but none is in the ranges.

        The details of both are ``service``, ``range`` and ``versions``: what is installed, lowest first. With
        ``plugin_range`` they also carry ``pluginRange``.
    """
    installed = [record for record in records if record.service_name == service]
    offered = [record for record in installed if _is_offered(record, plugin_range)]
    if installed and _highest(offered, ranges) is None:
        raise _mismatch(service, installed, ranges, plugin_range)
    for status in ("HEALTHY", "DEGRADED"):
        found = _highest([record for record in offered if record.status == status], ranges)
        if found is not None:
            return found
    details = _details(service, installed, ranges, plugin_range)
    raise ServiceNotFoundError(f"Service {service} not found or unavailable", **details)


def _highest(records: Iterable[ServiceRecord], ranges: Sequence[str]) -> ServiceRecord | None:
    by_version = {record.version: record for record in records}
    versions = list(by_version)
    for range_ in ranges or ("*",):
        versions = fitting(versions, range_)
    return by_version[versions[-1]] if versions else None


def _is_offered(record: ServiceRecord, plugin_range: str | None) -> bool:
    return plugin_range is None or highest(record.plugin_versions, plugin_range) is not None


def _mismatch(
    service: str, installed: list[ServiceRecord], ranges: Sequence[str], plugin_range: str | None
) -> VersionMismatchError:
    wanted = [f"in {' and '.join(ranges)}"] if ranges else []
    there = ", ".join(_versions(installed))
    if plugin_range is not None:
        plugin = installed[0].plugin_id
        wanted.append(f"from {plugin} in {plugin_range}")
        there += f" from {plugin} {', '.join(ordered({item for found in installed for item in found.plugin_versions}))}"
    text = f"Service {service} has no version {' '.join(wanted)}; installed: {there}"
    return VersionMismatchError(text, **_details(service, installed, ranges, plugin_range))


def _details(
    service: str, installed: list[ServiceRecord], ranges: Sequence[str], plugin_range: str | None
) -> dict[str, object]:
    details: dict[str, object] = {
        "service": service,
        "range": " and ".join(ranges) or "*",
        "versions": _versions(installed),
    }
    return details if plugin_range is None else {**details, "pluginRange": plugin_range}


def _versions(records: Iterable[ServiceRecord]) -> list[str]:
    return ordered(record.version for record in records)

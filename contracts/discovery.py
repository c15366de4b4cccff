"""Which version of a service a caller gets: one rule for the broker's answer and the runtime's cached view. Pure."""

from collections.abc import Iterable

from contracts.errors import ServiceNotFoundError, VersionMismatchError
from contracts.registry import ServiceRecord
from contracts.versions import highest, ordered


def choose(service: str, records: Iterable[ServiceRecord], range_: str) -> ServiceRecord:
    """The highest version in the range, HEALTHY before DEGRADED, UNAVAILABLE never.

    Args:
        service: The service's name, for the errors.
        records: Every version installed in the tenant.
        range_: An npm range.

    Raises:
        ServiceNotFoundError: No version is installed, or none in the range is served now.
        VersionMismatchError: Versions are installed, but none is in the range.

        The details of both are ``service``, ``range`` and ``versions``: what is installed, lowest first.
    """
    installed = {record.version: record for record in records if record.service_name == service}
    versions = ordered(installed)
    details = {"service": service, "range": range_, "versions": versions}
    if installed and highest(installed, range_) is None:
        text = f"Service {service} has no version in {range_}; installed: {', '.join(versions)}"
        raise VersionMismatchError(text, **details)
    for status in ("HEALTHY", "DEGRADED"):
        version = highest((item.version for item in installed.values() if item.status == status), range_)
        if version is not None:
            return installed[version]
    raise ServiceNotFoundError(f"Service {service} not found or unavailable", **details)

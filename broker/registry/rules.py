"""What a service is called, and what its status is, given its instances. Pure."""

from collections.abc import Iterable

from contracts.registry import ServiceStatus

ServiceKey = tuple[str, str]
"""A service's name and version."""

RANK: dict[ServiceStatus, int] = {"HEALTHY": 0, "DEGRADED": 1, "UNAVAILABLE": 2}
"""From best to worst."""


def worse(one: ServiceStatus, other: ServiceStatus) -> ServiceStatus:
    """The worse of two."""
    return max(one, other, key=RANK.__getitem__)


def instance_status(state: ServiceStatus, *, is_lacking: bool) -> ServiceStatus:
    """An instance whose plugin lacks a required dependency is DEGRADED at best."""
    return worse(state, "DEGRADED") if is_lacking else state


def service_status(instances: Iterable[ServiceStatus]) -> ServiceStatus:
    """A service version is as well as its best instance, and UNAVAILABLE without any."""
    return min(instances, key=RANK.__getitem__, default="UNAVAILABLE")

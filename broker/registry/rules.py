"""What a service is called, and what its status is, given its instances. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.registry import ServiceStatus

ServiceKey = tuple[str, str]
"""A service's name and version."""

RANK: dict[ServiceStatus, int] = {"HEALTHY": 0, "DEGRADED": 1, "UNAVAILABLE": 2}
"""From best to worst."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What everybody is told of how a service version is.

    Attributes:
        status: By its instances alone.
        degraded_in: The tenants in which its plugin lacks a required dependency, ascending.
    """

    status: ServiceStatus
    degraded_in: tuple[str, ...] = ()


def worse(one: ServiceStatus, other: ServiceStatus) -> ServiceStatus:
    """The worse of two."""
    return max(one, other, key=RANK.__getitem__)


def service_status(instances: Iterable[ServiceStatus]) -> ServiceStatus:
    """A service version is as well as its best instance, and UNAVAILABLE without any."""
    return min(instances, key=RANK.__getitem__, default="UNAVAILABLE")

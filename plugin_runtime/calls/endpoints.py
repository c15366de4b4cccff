"""What the manifest limits for each endpoint: calls at once, and calls per minute."""

from dataclasses import dataclass

from contracts.errors import RateLimitedError
from contracts.manifest import Service
from plugin_runtime.calls.fair_queue import Lane
from plugin_runtime.calls.rate_limit import RateLimit
from plugin_runtime.identity import Origin


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, and what is counted of its calls.

    Attributes:
        name: Method and path, e.g. ``GET /contacts/:id``.
        lane: The way to it, with its concurrency.
        rate: Its limit per minute; endpoints without one of their own share that of their service.
    """

    name: str
    lane: Lane
    rate: RateLimit | None

    def count(self, origin: Origin, *, now: float, instances: int) -> None:
        """Count a call against the limit per minute.

        Raises:
            RateLimitedError: Its caller used the limit up in that tenant.
        """
        if self.rate is None:
            return
        wait = self.rate.wait_seconds(origin.tenant, origin.publisher, now=now, instances=instances)
        if wait:
            raise RateLimitedError(
                f"{origin.publisher} may call {self.name} {self.rate.per_minute} times a minute in tenant "
                f"{origin.tenant}; the next call passes in {wait:.1f} s",
                limit=self.rate.per_minute,
                retryAfter=round(wait, 3),
            )


def endpoints_of(service: Service) -> dict[tuple[str, str], Endpoint]:
    """The endpoints of a service by method and path; what an endpoint says itself wins over its service's metadata."""
    common = service.metadata
    shared = RateLimit(common.rate_limit) if common.rate_limit else None
    return {
        (item.method, item.path): Endpoint(
            name=f"{item.method} {item.path}",
            lane=Lane(item.metadata.concurrency or common.concurrency),
            rate=RateLimit(item.metadata.rate_limit) if item.metadata.rate_limit else shared,
        )
        for item in service.endpoints
    }

"""Who is alive, given heartbeats and now. Pure.

::

    silent for      0 s ........ 2/3 lease ........ lease
    state           as reported │ DEGRADED         │ UNAVAILABLE, until the next heartbeat

A broker that was away heard nobody: silence counts from its return at the earliest.
"""

from broker.registry.rules import worse
from contracts.registry import InstanceStatus, ServiceStatus

DEGRADED_AFTER = 2 / 3
"""The part of a lease after which a silent instance is DEGRADED."""

FORGET_AFTER_SECONDS = 600.0
"""An instance silent for so long is forgotten: RabbitMQ has deleted its queues by then."""


def silence(last_heard: float, grace_from: float, now: float) -> float:
    """Seconds for which an instance has been silent while the broker listened."""
    return max(0.0, now - max(last_heard, grace_from))


def state_of(reported: InstanceStatus, silent_seconds: float, lease_seconds: float) -> ServiceStatus:
    """What an instance is after so many seconds of silence."""
    if silent_seconds >= lease_seconds:
        return "UNAVAILABLE"
    return "DEGRADED" if silent_seconds >= lease_seconds * DEGRADED_AFTER else reported


def aged(state: ServiceStatus, reported: InstanceStatus, silent_seconds: float, lease_seconds: float) -> ServiceStatus:
    """What becomes of a state by silence alone: it never improves, only a heartbeat can do that."""
    return worse(state, state_of(reported, silent_seconds, lease_seconds))


def is_forgotten(state: ServiceStatus, silent_seconds: float) -> bool:
    """Whether an instance has been gone for so long that its row can go too."""
    return state == "UNAVAILABLE" and silent_seconds >= FORGET_AFTER_SECONDS

"""Deadlines, and what travels on to nested calls and events."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.codec import REQUEST_HEADER
from contracts.ids import new_id
from contracts.tracing import TRACEPARENT, TRACESTATE, read_traceparent

INSTANCE_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock after which nobody waits any more."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline so many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining_seconds(self) -> float:
        """Seconds left; never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def is_spent(self) -> bool:
        """Whether it has passed."""
        return self.remaining_seconds == 0.0

    def earlier(self, other: "Deadline | None") -> "Deadline":
        """The earlier of the two."""
        return self if other is None or self.at <= other.at else other


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What nested calls and events inherit.

    Attributes:
        request_id: One id for everything that one outer request set going.
        chain: The services called so far, outermost first.
        deadline: When the outermost caller stops waiting; None outside a call.
        traceparent: The trace of what is being handled, as W3C Trace Context writes it; None where one begins.
        tracestate: What tracing systems add to it; passed on as it came.
    """

    request_id: str | None = None
    chain: tuple[str, ...] = ()
    deadline: Deadline | None = None
    traceparent: str | None = None
    tracestate: str | None = None

    @classmethod
    def of(
        cls, headers: Mapping[str, object], *, chain: tuple[str, ...] = (), deadline: Deadline | None = None
    ) -> "Context":
        """The context that a message's headers tell."""
        traceparent, tracestate = read_traceparent(headers.get(TRACEPARENT)), headers.get(TRACESTATE)
        return cls(
            request_id=str(headers.get(REQUEST_HEADER) or new_id()),
            chain=chain,
            deadline=deadline,
            traceparent=traceparent,
            tracestate=tracestate if traceparent is not None and isinstance(tracestate, str) else None,
        )


def new_instance() -> str:
    """A name for one running process, short enough to be read in RabbitMQ's management page."""
    return new_id()[:INSTANCE_LENGTH]

"""Whether the broker is heard: while it is not, grants that ended are still taken. Pure."""

import math
from dataclasses import dataclass

from contracts.grants import SILENCE_SECONDS


@dataclass(slots=True)
class Pulse:
    """When the broker was heard last, on the monotonic clock."""

    heard_at: float = -math.inf
    back_at: float = -math.inf

    def beat(self, now: float) -> None:
        """The broker answered."""
        if not math.isinf(self.heard_at) and now - self.heard_at >= SILENCE_SECONDS:
            self.back_at = now
        self.heard_at = now

    def is_silent(self, now: float) -> bool:
        """Whether it is away, or came back a moment ago: plugins renew their grants one after the other then."""
        return now - self.heard_at >= SILENCE_SECONDS or now - self.back_at < SILENCE_SECONDS

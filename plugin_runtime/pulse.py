"""Whether the broker is heard: while it is not, grants that ended are still taken. Pure."""

import math
from dataclasses import dataclass

from contracts.grants import SILENCE_SECONDS

ANSWERS_IN_A_SILENCE = 3


@dataclass(slots=True)
class Pulse:
    """When the broker was heard last, on the monotonic clock.

    Attributes:
        heard_at: Its last answer.
        back_at: Its first answer after a silence.
        silence_seconds: Without an answer for so long it counts as away.
    """

    heard_at: float = -math.inf
    back_at: float = -math.inf
    silence_seconds: float = SILENCE_SECONDS

    def expect(self, answered_every_seconds: float) -> None:
        """Learn how often the broker is asked to answer: two of its answers may be lost before it counts as away."""
        self.silence_seconds = max(SILENCE_SECONDS, ANSWERS_IN_A_SILENCE * answered_every_seconds)

    def beat(self, now: float) -> None:
        """The broker answered."""
        if not math.isinf(self.heard_at) and now - self.heard_at >= self.silence_seconds:
            self.back_at = now
        self.heard_at = now

    def is_silent(self, now: float) -> bool:
        """Whether it is away, or came back a moment ago: plugins renew their grants one after the other then."""
        return now - self.heard_at >= self.silence_seconds or now - self.back_at < self.silence_seconds

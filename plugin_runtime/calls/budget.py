"""How many calls one process may make again: a share of those it makes, so that retries never multiply an overload.

A token bucket. Every call pays in a tenth of a token, and every second a whole one while hardly any is there; making a
call again takes one. So a process whose every call fails makes at most a tenth more of them, and one that calls seldom
may still try again. Pure.
"""

SHARE = 0.1
"""Tokens that a call pays in: calls made again are at most this share of all."""

FLOOR = 10.0
"""With fewer tokens than this, time pays in too; a process begins with so many."""

FLOOR_PER_SECOND = 1.0
MOST = 100.0
"""How many tokens a quiet time may gather."""


class RetryBudget:
    """The tokens of one process.

    Args:
        now: Monotonic seconds at the beginning.
    """

    def __init__(self, now: float) -> None:
        self._tokens = FLOOR
        self._calls = 0
        self._counted_at = now

    def made(self) -> None:
        """A call is made for the first time."""
        self._calls += 1

    def take(self, now: float) -> bool:
        """Take a token to make a call again; False when there is none.

        Args:
            now: Monotonic seconds.
        """
        self._tokens = min(MOST, self._tokens + SHARE * self._calls)
        if self._tokens < FLOOR:
            self._tokens = min(FLOOR, self._tokens + FLOOR_PER_SECOND * (now - self._counted_at))
        self._calls, self._counted_at = 0, now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

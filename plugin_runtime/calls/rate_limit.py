"""Calls per minute for each pair of tenant and caller: the generic cell rate algorithm (ITU-T I.371, annex A). Pure.

A pair may make as many calls at once as its limit, then one each time that a minute's part for one call has passed. All
that is kept of a pair is the moment by which its calls would have come one by one; a pair that is silent for a minute
is forgotten.
"""

from collections import OrderedDict

MINUTE_SECONDS = 60.0
SWEPT_AT_ONCE = 2
"""How many old pairs are looked at with each call: more than come, so that what is idle goes."""


class RateLimit:
    """One limit, of an endpoint or of a service.

    Args:
        per_minute: How many calls a minute, by all instances together.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._level_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        """How many pairs are remembered."""
        return len(self._level_at)

    def wait_seconds(self, tenant: str, caller: str, *, now: float, instances: int = 1) -> float:
        """Count a call that may pass.

        Args:
            tenant: For whom it is made.
            caller: The plugin that makes it.
            now: Seconds on any clock that does not go back.
            instances: How many instances there are; each lets its part of the limit pass, and at least one call.

        Returns:
            0.0 if it passes; else in how many seconds one would, and nothing was counted.
        """
        self._sweep(now)
        pair = (tenant, caller)
        interval = MINUTE_SECONDS * max(1, instances) / self.per_minute
        level_at = max(now, self._level_at.get(pair, now))
        # Sums of such parts are not exact: a call is not refused for a millionth of its part.
        early = level_at - now - max(0.0, MINUTE_SECONDS - interval)
        if early > interval * 1e-6:
            return early
        self._level_at[pair] = level_at + interval
        self._level_at.move_to_end(pair)
        return 0.0

    def _sweep(self, now: float) -> None:
        for _ in range(min(SWEPT_AT_ONCE, len(self._level_at))):
            pair, level_at = next(iter(self._level_at.items()))
            if level_at > now:
                self._level_at.move_to_end(pair)
            else:
                del self._level_at[pair]

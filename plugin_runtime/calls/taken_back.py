"""The calls that were taken back a moment ago: one of them may still be on its way. Pure."""

from collections import OrderedDict

REMEMBERED_SECONDS = 30.0
"""As long as a call waits by default: one that comes later is not waited for either."""

MOST_REMEMBERED = 10_000

CallKey = tuple[str, str]
"""The plugin that called, as RabbitMQ vouches for it, and the call's correlation id."""


class TakenBack:
    """Remembers what was taken back, for some seconds and so many calls."""

    def __init__(self) -> None:
        self._until: OrderedDict[CallKey, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, key: CallKey, *, now: float) -> None:
        """Remember a call; beyond the bound the oldest is forgotten."""
        self._until[key] = now + REMEMBERED_SECONDS
        self._until.move_to_end(key)
        while self._until and (len(self._until) > MOST_REMEMBERED or self._oldest() <= now):
            self._until.popitem(last=False)

    def has(self, key: CallKey, *, now: float) -> bool:
        """Whether a call was taken back."""
        return self._until.get(key, now) > now

    def _oldest(self) -> float:
        return next(iter(self._until.values()))

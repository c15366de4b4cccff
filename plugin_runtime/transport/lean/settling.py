"""Which acknowledgements to write, on one channel: pure, and told what time it is.

One Basic.Ack with ``multiple`` settles every delivery up to its tag, so a run of finished deliveries costs one frame.
But a finished one behind a slow one would hold its place in the prefetch until the slow one is done, and enough of them
would stop the consumer. None waits longer than `LONGEST_WAIT_SECONDS`, nor do more than a quarter of the prefetch:
such are acknowledged singly::

    tags       11 done   12 done   13 in work   14 done   15 done
    written    ack 12 multiple                  ack 14    ack 15

Where a second delivery does no harm, runs wait as long for others to travel with: every write wakes RabbitMQ, which
costs more than all Python around it. Until it is written an acknowledgement would be lost with the connection.
"""

from typing import NamedTuple

LONGEST_WAIT_SECONDS = 0.005


class Acknowledgement(NamedTuple):
    """One Basic.Ack to write."""

    tag: int
    multiple: bool


class Settling:
    """The deliveries of one channel that are not settled on the wire.

    Args:
        prefetch: How many RabbitMQ hands out at most; 0 for any number.
        may_linger: Whether runs may wait too.
    """

    def __init__(self, prefetch: int, *, may_linger: bool = False) -> None:
        self._may_linger = may_linger
        self._most_waiting = prefetch // 4
        # Both in the order in which they were entered: by tag, and by the moment of finishing.
        self._outstanding: dict[int, None] = {}
        self._finished: dict[int, float] = {}

    @property
    def unsettled(self) -> int:
        """How many deliveries nobody has finished yet."""
        return len(self._outstanding) - len(self._finished)

    @property
    def is_urgent(self) -> bool:
        """Whether something may have to be acknowledged before the next moment of `next_due`."""
        return not self._may_linger or self.is_crowded

    @property
    def is_crowded(self) -> bool:
        """Whether more wait to be acknowledged than may."""
        return len(self._finished) > self._most_waiting

    def delivered(self, tag: int) -> None:
        """Enter a delivery; RabbitMQ's tags grow."""
        self._outstanding[tag] = None

    def finished(self, tag: int, now: float) -> bool:
        """Let a delivery be acknowledged with one of the next `due`; False if it is settled already."""
        if tag not in self._outstanding or tag in self._finished:
            return False
        self._finished[tag] = now
        return True

    def rejected(self, tag: int) -> bool:
        """Take out a delivery that is rejected at once; False if it is settled already."""
        if tag not in self._outstanding or tag in self._finished:
            return False
        del self._outstanding[tag]
        return True

    def due(self, now: float, *, all_of_them: bool = False) -> list[Acknowledgement]:
        """Take out what is to be acknowledged now.

        Args:
            now: The present moment, on the clock of `finished`.
            all_of_them: Let none wait, since the channel is about to close.
        """
        first = self.next_due()
        if first is None or (self._may_linger and first > now and not (all_of_them or self.is_crowded)):
            return []
        found = self._contiguous()
        if all_of_them or self.is_crowded:
            late = list(self._finished)
        else:
            late = [tag for tag, moment in self._finished.items() if moment + LONGEST_WAIT_SECONDS <= now]
        for tag in late:
            del self._finished[tag], self._outstanding[tag]
        return found + [Acknowledgement(tag, multiple=False) for tag in late]

    def next_due(self) -> float | None:
        """When the first of those that wait has waited long enough."""
        first = next(iter(self._finished.values()), None)
        return None if first is None else first + LONGEST_WAIT_SECONDS

    def _contiguous(self) -> list[Acknowledgement]:
        """Everything finished before the first that is not."""
        run = []
        for tag in self._outstanding:
            if tag not in self._finished:
                break
            run.append(tag)
        for tag in run:
            del self._finished[tag], self._outstanding[tag]
        return [Acknowledgement(run[-1], multiple=len(run) > 1)] if run else []

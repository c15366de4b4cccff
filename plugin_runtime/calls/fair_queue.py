"""Which of the calls that wait runs next: tenants take turns, and each has room. Pure.

::

    call ──► a place is free ───────────────────────────────────────────────► runs
         └─► its endpoint is at its concurrency ──► lane: tenants take turns ─┐
         └─► every place is taken ────────────────────────────────────────────┴─► ready: tenants take turns ──► runs

A call of an endpoint that is at its own concurrency waits in that endpoint's lane, where it is in nobody's way; it
becomes ready when the endpoint has a place for it. So what is ready can run wherever it stands, and tenants take turns
twice: in the lane, and for the places of the whole plugin.

The room for waiting calls belongs to whoever needs it, up to the last place. Once it is full it is shared out: a
tenant's share is the room divided by the tenants that wait. Who has that much waiting gets no more; who has less gets
the place of the newest call of the tenant that has most. So a tenant within its share always finds room.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Queued(Protocol):
    """What a fair queue holds; the same call is the same object."""

    @property
    def tenant(self) -> str: ...  # noqa: D102
    @property
    def lane(self) -> "Lane": ...  # noqa: D102


Item = TypeVar("Item", bound=Queued)


class Turns(Generic[Item]):
    """Items of which tenants take turns; within a tenant the oldest comes first."""

    def __init__(self) -> None:
        self._tenants: OrderedDict[str, OrderedDict[Item, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._tenants)

    def __contains__(self, item: Item) -> bool:
        return item in self._tenants.get(item.tenant, ())

    def count(self, tenant: str) -> int:
        """How many of a tenant wait."""
        return len(self._tenants.get(tenant, ()))

    def add(self, item: Item) -> None:
        """Let an item wait; a tenant that had none waiting comes after all others."""
        self._tenants.setdefault(item.tenant, OrderedDict())[item] = None

    def next(self) -> Item | None:
        """The oldest item of the tenant whose turn it is, which then comes last."""
        if not self._tenants:
            return None
        tenant, items = next(iter(self._tenants.items()))
        item, _ = items.popitem(last=False)
        if items:
            self._tenants.move_to_end(tenant)
        else:
            del self._tenants[tenant]
        return item

    def remove(self, item: Item) -> None:
        """Take an item out that waits."""
        items = self._tenants[item.tenant]
        del items[item]
        if not items:
            del self._tenants[item.tenant]


@dataclass(eq=False, slots=True)
class Lane:
    """The way to one endpoint.

    Attributes:
        concurrency: How many calls may run at once; None if only the plugin's own limit counts.
        taken: How many run, or are ready to.
    """

    concurrency: int | None = None
    taken: int = 0
    waiting: Turns[Queued] = field(default_factory=Turns)

    @property
    def is_taken(self) -> bool:
        """Whether no more may run now."""
        return self.concurrency is not None and self.taken >= self.concurrency


class FairQueue(Generic[Item]):
    """The places of a plugin, and the calls that wait for one.

    Whenever a place may have come free (`finish`, `drop`), take what is `next` until it is None.

    Args:
        concurrency: How many calls run at once.
        room: How many calls may wait.
    """

    def __init__(self, *, concurrency: int, room: int) -> None:
        self._free = concurrency
        self._room = room
        self._ready: Turns[Item] = Turns()
        self._waiting: dict[str, OrderedDict[Item, None]] = {}
        self._total = 0

    def __len__(self) -> int:
        """How many calls wait."""
        return self._total

    def begin(self, item: Item) -> bool:
        """Give a call a place at once; False if it has to wait for one."""
        if not self._free or self._ready or item.lane.is_taken:
            return False
        self._free -= 1
        item.lane.taken += 1
        return True

    def refuses(self, tenant: str, lane: Lane | None = None) -> bool:
        """Whether a call may neither run at once nor wait.

        A tenant may fill half of its share with calls of one endpoint that has a concurrency of its own: the other half
        is for its other endpoints.

        Args:
            tenant: Whose call it is.
            lane: The way to its endpoint; None while that is not known, and the answer is then of any endpoint.
        """
        if self._free and (lane is None or not lane.is_taken):
            return False
        held = self._waiting.get(tenant)
        share = self._room // (len(self._waiting) + (held is None))
        if lane is not None and lane.concurrency is not None and lane.waiting.count(tenant) >= max(1, share // 2):
            return True
        return self._total >= self._room and len(held or ()) >= share

    def add(self, item: Item) -> Item | None:
        """Let a call wait that is not refused.

        Returns:
            The call that lost its place to it, if the room was full: it is to be refused.
        """
        pushed_out = self._push_out() if self._total >= self._room else None
        self._waiting.setdefault(item.tenant, OrderedDict())[item] = None
        self._total += 1
        if item.lane.is_taken:
            item.lane.waiting.add(item)
        else:
            self._make_ready(item)
        return pushed_out

    def next(self) -> Item | None:
        """The call whose turn it is, with a place for it; None if none is free, or nothing is ready."""
        item = self._ready.next() if self._free else None
        if item is not None:
            self._free -= 1
            self._forget(item)
        return item

    def finish(self, item: Item) -> None:
        """A call that ran gives its place back."""
        self._free += 1
        self._leave(item.lane)

    def drop(self, item: Item) -> bool:
        """Take a call out; False if it does not wait."""
        if item not in self._waiting.get(item.tenant, ()):
            return False
        self._forget(item)
        if item in item.lane.waiting:
            item.lane.waiting.remove(item)
        else:
            self._ready.remove(item)
            self._leave(item.lane)
        return True

    def clear(self) -> list[Item]:
        """Take every call out that waits."""
        found = [item for items in self._waiting.values() for item in items]
        for item in found:
            self.drop(item)
        return found

    def _push_out(self) -> Item:
        """Take out the newest call of the tenant that has most waiting."""
        longest = max(self._waiting.values(), key=len)
        item = next(reversed(longest))
        self.drop(item)
        return item

    def _forget(self, item: Item) -> None:
        held = self._waiting[item.tenant]
        del held[item]
        if not held:
            del self._waiting[item.tenant]
        self._total -= 1

    def _leave(self, lane: Lane) -> None:
        """One call less takes a place of its endpoint's: the next in the lane is ready."""
        lane.taken -= 1
        found = lane.waiting.next()
        if found is not None:
            self._make_ready(found)  # type: ignore[arg-type]  # what waits in a lane came by this queue

    def _make_ready(self, item: Item) -> None:
        item.lane.taken += 1
        self._ready.add(item)

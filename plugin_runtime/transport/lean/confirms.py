"""Which publish awaits which confirm, on one channel: pure, and told what time it is.

RabbitMQ numbers the publishes of a channel 1, 2, 3, ... and names these numbers in Basic.Ack and Basic.Nack, one or,
with ``multiple``, all up to it. A message that no queue takes comes back by Basic.Return before its number is
confirmed; a return names no number, but returns come in the order of the publishes.
"""

from typing import Generic, NamedTuple, TypeVar

from plugin_runtime.deadlines import Deadlines
from plugin_runtime.transport.base import Message

Waiter = TypeVar("Waiter")


class Publication(NamedTuple, Generic[Waiter]):
    """A publish that RabbitMQ has not confirmed yet.

    Attributes:
        message: The message, as it was handed to the transport.
        exchange: Where it was published.
        routing_key: Under which routing key.
        waiter: Whatever shall learn of its fate.
    """

    message: Message
    exchange: str
    routing_key: str
    waiter: Waiter


class ConfirmTable(Generic[Waiter]):
    """The publishes in flight on one channel. What a method returns is in the table no more."""

    def __init__(self) -> None:
        self._pending: dict[int, Publication[Waiter]] = {}
        self._next = 1
        self._all_done_below = 1
        self._last_returned = 0
        self._deadlines = Deadlines(self._pending)

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, publication: Publication[Waiter], deadline: float) -> int:
        """Enter the channel's next publish and return its number."""
        number = self._next
        self._next = number + 1
        self._pending[number] = publication
        self._deadlines.add(deadline, number, in_flight=len(self._pending))
        return number

    def confirmed(self, number: int, *, multiple: bool) -> list[Publication[Waiter]]:
        """Take out the publish of this number, or all up to it; 0 with ``multiple`` is all.

        Numbers that were never used, returned before or given up before are passed over.
        """
        if not multiple:
            found = self._pending.pop(number, None)
            return [] if found is None else [found]
        last = min(number or self._next - 1, self._next - 1)
        numbers = range(self._all_done_below, last + 1)
        self._all_done_below = max(self._all_done_below, last + 1)
        return [self._pending.pop(one) for one in numbers if one in self._pending]

    def returned(self, message_id: str, exchange: str, routing_key: str) -> Publication[Waiter] | None:
        """Take out the publish that a returned message belongs to; None if it is not in the table.

        Of several equal ones in flight it is the first that was not returned. Should only some of them have reached a
        queue, as many publishers hear of it as messages came back.
        """
        wanted = (message_id, exchange, routing_key)
        first = next(iter(self._pending), self._next)
        for number in range(max(self._last_returned + 1, first), self._next):
            if self._is(number, wanted):
                self._last_returned = number
                return self._pending.pop(number)
        found = next((number for number in self._pending if self._is(number, wanted)), None)
        return None if found is None else self._pending.pop(found)

    def expired(self, now: float) -> list[Publication[Waiter]]:
        """Take out every publish whose deadline has come."""
        return [self._pending.pop(number) for number in self._deadlines.expired(now)]

    def next_deadline(self) -> float | None:
        """When a publish in flight will be given up next."""
        return self._deadlines.next()

    def take_all(self) -> list[Publication[Waiter]]:
        """Take out everything: the channel is gone."""
        found = list(self._pending.values())
        self._pending.clear()
        self._deadlines.clear()
        return found

    def _is(self, number: int, wanted: tuple[str, str, str]) -> bool:
        found = self._pending.get(number)
        return found is not None and wanted == (found.message.message_id, found.exchange, found.routing_key)

"""Runs a program's steps on one transport, and says after each what can be seen from outside."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from contracts.errors import MissingQueueError, PlexicaError
from contracts.topology import Binding, Exchange, Queue
from plugin_runtime.transport.base import Consumer, Delivery, Transport
from tests.conformance.collector import make_message
from tests.conformance.programs import (
    EXCHANGES,
    SHORT_SECONDS,
    WAIT_SECONDS,
    Act,
    Bind,
    Consume,
    Declare,
    Publish,
    Settle,
    Step,
    Unbind,
    Wait,
)

Open = Callable[[str], Awaitable[Transport]]
"""Opens a transport for a client of this name."""

FIRST_DEATH = ("x-first-death-queue", "x-first-death-reason", "x-first-death-exchange")


@dataclass(frozen=True)
class Seen:
    """What can be seen after a step; equal on both transports, or there is a difference.

    Attributes:
        outcome: ``done``, ``skipped`` where the step makes no sense, or the error's class.
        queues: Ready messages and consumers of every queue that was ever declared; None if it is not there.
        deliveries: Everything that each queue's consumers received so far, as text.
    """

    outcome: str
    queues: dict[str, tuple[int, int] | None]
    deliveries: dict[str, list[str]]

    def __str__(self) -> str:
        deliveries = {queue: received for queue, received in self.deliveries.items() if received}
        return f"{self.outcome}; depths {self.queues}; received {deliveries}"


@dataclass
class Seat:
    """The one client that consumes a queue."""

    transport: Transport | None = None
    consumer: Consumer | None = None
    received: list[Delivery] = field(default_factory=list)
    unsettled: list[Delivery] = field(default_factory=list)


class World:
    """One transport's side of a comparison.

    Args:
        prefix: Stands before every name, so that programs do not meet in one vhost.
        publisher: Declares, binds, publishes.
        open_transport: Opens the transport of a consuming client.
        wait: Lets time pass.
    """

    def __init__(
        self, prefix: str, publisher: Transport, open_transport: Open, wait: Callable[[float], Awaitable[object]]
    ) -> None:
        self._prefix = prefix
        self._publisher = publisher
        self._open = open_transport
        self._wait = wait
        self._seats: dict[str, Seat] = {}
        self._declared: dict[str, Queue] = {}
        self._published = 0

    async def begin(self) -> None:
        """Declare the exchanges."""
        for name in EXCHANGES:
            await self._publisher.declare_exchange(Exchange(self._prefix + name))

    async def end(self) -> None:
        """Close what was opened and delete what was declared."""
        for seat in self._seats.values():
            await self._crash(seat)
        for name in self._declared:
            await self._publisher.delete_queue(self._prefix + name)
        for name in EXCHANGES:
            await self._publisher.delete_exchange(self._prefix + name)

    # Doing

    async def perform(self, step: Step) -> str:
        """Do one step and return its outcome."""
        try:
            return "done" if await self._perform(step) else "skipped"
        except PlexicaError as error:
            return type(error).__name__

    async def _perform(self, step: Step) -> bool:
        match step:
            case Declare(queue):
                self._declared.setdefault(queue.name, queue)
                await self._publisher.declare_queue(self._named(queue))
                self._declared[queue.name] = queue
            case Bind(binding):
                await self._publisher.bind(self._bound(binding))
            case Unbind(binding):
                await self._publisher.unbind(self._bound(binding))
            case Publish():
                await self._publish(step)
            case Consume():
                return await self._consume(step)
            case Settle():
                return await self._settle(step)
            case Act():
                return await self._act(step)
            case Wait():
                await self._wait(WAIT_SECONDS)
        return True

    async def _publish(self, step: Publish) -> None:
        for _ in range(step.count):
            self._published += 1
            message = make_message(str(self._published), expiration_seconds=SHORT_SECONDS if step.expires else None)
            await self._publisher.publish(
                message, exchange=self._prefix + step.exchange, routing_key=step.key, mandatory=step.mandatory
            )

    async def _consume(self, step: Consume) -> bool:
        seat = self._seats.setdefault(step.queue, Seat())
        if seat.consumer is not None or seat.unsettled:
            return False  # one at a time: what two give back when both go has no order
        if seat.transport is None:
            seat.transport = await self._open(f"client-{step.queue}")

        def on_delivery(delivery: Delivery) -> None:
            seat.received.append(delivery)
            if not step.no_ack:
                seat.unsettled.append(delivery)

        seat.consumer = await seat.transport.consume(
            self._prefix + step.queue,
            on_delivery,
            prefetch=step.prefetch,
            role="r",
            no_ack=step.no_ack,
            exclusive=step.exclusive,
        )
        return True

    async def _settle(self, step: Settle) -> bool:
        unsettled = [(name, delivery) for name, seat in sorted(self._seats.items()) for delivery in seat.unsettled]
        if not unsettled:
            return False
        name, delivery = unsettled[step.nth % len(unsettled)]
        if step.how == "requeue" and self._exceeds_prefetch(name, delivery):
            return False
        self._seats[name].unsettled.remove(delivery)
        if step.how == "acknowledge":
            await delivery.acknowledge()
        else:
            await delivery.reject(requeue=step.how == "requeue")
        return True

    def _exceeds_prefetch(self, queue: str, delivery: Delivery) -> bool:
        # RabbitMQ gives a consumer whose message exceeds the delivery limit one delivery more than its prefetch.
        limit = self._declared[queue].delivery_limit
        return limit is not None and delivery.delivery_count >= limit and self._seats[queue].consumer is not None

    async def _act(self, step: Act) -> bool:
        seat = self._seats.setdefault(step.queue, Seat())
        match step.what:
            case "purge":
                return bool(await self._publisher.purge_queue(self._prefix + step.queue))
            case "delete":
                await self._publisher.delete_queue(self._prefix + step.queue)
                await self._crash(seat)  # or its consumer would come back whenever the queue does
            case "crash":
                await self._crash(seat)
            case "cancel" if seat.consumer is None:
                return False
            case "cancel":
                consumer, seat.consumer = seat.consumer, None
                await consumer.cancel()
        return True

    async def _crash(self, seat: Seat) -> None:
        transport, seat.transport, seat.consumer = seat.transport, None, None
        seat.unsettled.clear()
        if transport is not None:
            await transport.close()

    def _named(self, queue: Queue) -> Queue:
        letters = queue.dead_letter_exchange
        return replace(queue, name=self._prefix + queue.name, dead_letter_exchange=letters and self._prefix + letters)

    def _bound(self, binding: Binding) -> Binding:
        return Binding(self._prefix + binding.queue, self._prefix + binding.exchange, binding.routing_key)

    # Seeing

    async def see(self, outcome: str) -> Seen:
        """What can be seen now."""
        depths = {name: await self._depth(name) for name in self._declared}
        deliveries = {name: [self._told(one) for one in seat.received] for name, seat in self._seats.items()}
        return Seen(outcome, depths, deliveries)

    async def _depth(self, name: str) -> tuple[int, int] | None:
        try:
            depth = await self._publisher.depth(self._prefix + name)
        except MissingQueueError:
            return None
        return depth.messages, depth.consumers

    def _told(self, delivery: Delivery) -> str:
        words = [delivery.message.body.decode(), f"{delivery.exchange}/{delivery.routing_key}"]
        if delivery.redelivered:
            words.append("redelivered")
        if delivery.delivery_count:
            words.append(f"count {delivery.delivery_count}")
        if delivery.message.expiration_seconds is not None:
            words.append("expires")
        death = [str(delivery.message.headers.get(name)) for name in FIRST_DEATH]
        if any(name in delivery.message.headers for name in FIRST_DEATH):
            words.append(f"died {':'.join(death)}")
        return " ".join(words).replace(self._prefix, "")

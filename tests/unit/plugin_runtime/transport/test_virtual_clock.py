"""Time that passes when it is told to."""

import asyncio
import time
from functools import partial

import pytest

from contracts.topology import RETRY_DELAYS_SECONDS, Topology
from plugin_runtime.transport.base import Delivery, Message
from plugin_runtime.transport.clock import VirtualClock, sleep
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_vhost import MemoryVhost

A_BLINK_SECONDS = 1.0
"""What minutes of virtual time may take at most; it is milliseconds, but machines are busy."""


async def test_time_stands_until_it_is_advanced() -> None:
    clock = VirtualClock()
    await asyncio.sleep(0)

    assert clock.now() == 0.0
    await clock.advance(1.5)
    await clock.advance(2.0)
    assert clock.now() == 3.5


async def test_what_falls_due_runs_at_its_moment_in_order() -> None:
    """Ties run in the order in which they were asked for; what lies beyond does not run."""
    clock, rung = VirtualClock(), list[tuple[str, float]]()
    for name, delay in {"late": 3.0, "first": 1.0, "tie": 1.0, "beyond": 3.1}.items():
        clock.call_later(delay, lambda name=name: rung.append((name, clock.now())))

    await clock.advance(3.0)

    assert rung == [("first", 1.0), ("tie", 1.0), ("late", 3.0)]


async def test_cancelled_call_does_not_come() -> None:
    clock, rung = VirtualClock(), list[str]()
    timer = clock.call_later(1.0, lambda: rung.append("never"))
    timer.cancel()
    timer.cancel()

    await clock.advance(2.0)

    assert rung == []


async def test_calls_made_on_the_way_run_if_they_fall_due() -> None:
    clock, rung = VirtualClock(), list[float]()

    def again() -> None:
        rung.append(clock.now())
        clock.call_later(10.0, again)

    clock.call_later(10.0, again)
    await clock.advance(35.0)

    assert rung == [10.0, 20.0, 30.0]
    assert clock.now() == 35.0


async def test_tasks_go_on_between_two_moments() -> None:
    """Whoever sleeps on the clock wakes at his moment, and what he then does is done before the next."""
    clock, woken = VirtualClock(), list[tuple[str, float]]()

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await sleep(clock, nap)
            woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("a", 1.0, 1.0))
        group.create_task(sleeper("b", 1.5))
        await clock.advance(5.0)

    assert woken == [("a", 1.0), ("b", 1.5), ("a", 2.0)]


async def test_what_is_due_now_needs_no_time() -> None:
    clock, rung = VirtualClock(), list[str]()
    clock.call_later(0.0, lambda: rung.append("now"))
    clock.call_later(-1.0, lambda: rung.append("long ago"))

    assert rung == []
    await clock.advance(0)
    assert rung == ["now", "long ago"]


async def test_time_does_not_go_back() -> None:
    clock = VirtualClock()

    with pytest.raises(ValueError, match="does not go back"):
        await clock.advance(-1.0)


def _fail(why: str) -> None:
    raise ValueError(why)


async def test_what_a_callback_raises_reaches_whoever_turns_the_clock() -> None:
    """The clock stands at the moment of the failure, and what was due later still comes."""
    clock, rung = VirtualClock(), list[str]()
    clock.call_later(1.0, partial(_fail, "no luck"))
    clock.call_later(2.0, lambda: rung.append("later"))

    with pytest.raises(ValueError, match="no luck"):
        await clock.advance(5.0)

    assert (clock.now(), rung) == (1.0, [])
    await clock.advance(1.0)
    assert rung == ["later"]


async def test_failed_event_comes_back_after_five_minutes_in_milliseconds() -> None:
    """The bus's own retry queues: after 1 s, 5 s, 30 s and 300 s, and no sooner."""
    clock = VirtualClock()
    transport = MemoryTransport(MemoryVhost(clock), identity="plugin-marketing")
    await transport.open()
    failing = await _FailingSubscription.laid(transport, clock)
    began = time.monotonic()

    await _publish(transport, exchange=failing.topology.events, key="acme.crm.events.contact.created", attempt=1)
    await clock.advance(sum(RETRY_DELAYS_SECONDS) - 0.001)
    early = list(failing.attempts)
    await clock.advance(0.001)
    took = time.monotonic() - began
    await transport.close()

    assert early == [0.0, 1.0, 6.0, 36.0]
    assert failing.attempts == [0.0, 1.0, 6.0, 36.0, 336.0]
    assert took < A_BLINK_SECONDS


class _FailingSubscription:
    """Publishes each event again with the next delay, then acknowledges, as the runtime does."""

    def __init__(self, transport: MemoryTransport, clock: VirtualClock) -> None:
        self.topology = Topology()
        self.attempts: list[float] = []
        self._transport = transport
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def laid(cls, transport: MemoryTransport, clock: VirtualClock) -> "_FailingSubscription":
        """Declare the topology's queues and consume the subscription."""
        self = cls(transport, clock)
        for exchange in self.topology.exchanges():
            await transport.declare_exchange(exchange)
        for queue in self.topology.subscription_queues("plugin-marketing", "welcome"):
            await transport.declare_queue(queue)
        events, *_ = self.topology.subscription_queues("plugin-marketing", "welcome")
        for binding in self.topology.subscription_bindings("plugin-marketing", "welcome"):
            await transport.bind(binding)
        await transport.bind(type(binding)(events.name, self.topology.events, "acme.crm.#"))
        await transport.consume(events.name, self._received, prefetch=1, role="welcome")
        return self

    def _received(self, delivery: Delivery) -> None:
        self.attempts.append(self._clock.now())
        task = asyncio.create_task(self._fail(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fail(self, delivery: Delivery) -> None:
        attempt = int(delivery.message.headers["x-attempt"] or 0)
        if attempt <= len(RETRY_DELAYS_SECONDS):
            key = f"plugin-marketing.welcome.{attempt}"
            delay = RETRY_DELAYS_SECONDS[attempt - 1]
            await _publish(
                self._transport, exchange=self.topology.redelivery, key=key, attempt=attempt + 1, expiration=delay
            )
        await delivery.acknowledge()


async def _publish(
    transport: MemoryTransport, *, exchange: str, key: str, attempt: int, expiration: float | None = None
) -> None:
    message = Message(
        body=b"{}",
        type="event",
        message_id=f"m-{attempt}",
        headers={"x-attempt": attempt},
        expiration_seconds=expiration,
    )
    await transport.publish(message, exchange=exchange, routing_key=key)

"""Whether this process is the bus's only broker: believed for a while, doubted at once, taken again for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from broker import lock as module
from broker.lock import BELIEVED_SECONDS, GIVE_UP_SECONDS, SHORTEST_HEARTBEAT_SECONDS, BrokerLock, check_heartbeat
from contracts.errors import BrokerLockedError, NotConnectedError, ServiceUnavailableError, StartError
from tests.waiting import eventually


@dataclass
class Bus:
    """Who has the lock, and what time it is."""

    seconds: float = 0.0
    is_connected: bool = True
    is_taken_by_another: bool = False
    is_silent: bool = False
    tries: int = 0
    lock: BrokerLock = field(init=False)

    def __post_init__(self) -> None:
        self.lock = BrokerLock(self.take, lambda: self.is_connected, now=lambda: self.seconds)

    async def take(self) -> None:
        self.tries += 1
        if self.is_silent:
            raise NotConnectedError("gone")
        if self.is_taken_by_another:
            raise BrokerLockedError("another broker")


@pytest.fixture
async def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    monkeypatch.setattr(module, "TAKE_AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    return Bus()


@asynccontextmanager
async def kept(bus: Bus) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(bus.lock.keep())
    yield task
    task.cancel()
    with suppress(asyncio.CancelledError, BrokerLockedError):
        await task


async def test_what_was_never_taken_is_not_held(bus: Bus) -> None:
    with pytest.raises(ServiceUnavailableError) as caught:
        await bus.lock.check()

    assert caught.value.details["retryAfter"] > 0


async def test_a_process_that_stood_still_holds_nothing_before_it_asked(bus: Bus) -> None:
    """RabbitMQ may have given the lock away; nobody has told this process yet."""
    await bus.lock.acquire()
    assert bus.lock.is_held

    bus.seconds += BELIEVED_SECONDS
    with pytest.raises(ServiceUnavailableError):
        await bus.lock.check()


async def test_a_lost_connection_is_a_lost_lock(bus: Bus) -> None:
    await bus.lock.acquire()
    bus.is_connected = False

    assert not bus.lock.is_held


async def test_a_new_connection_does_not_hold_what_the_former_held(bus: Bus) -> None:
    await bus.lock.acquire()
    bus.lock.doubt()

    assert not bus.lock.is_held


async def test_an_answer_from_before_the_loss_proves_nothing(bus: Bus) -> None:
    take, goes = bus.take, asyncio.Event()

    async def slowly() -> None:
        await goes.wait()
        await take()

    bus.lock = BrokerLock(slowly, lambda: bus.is_connected, now=lambda: bus.seconds)
    asking = asyncio.create_task(bus.lock.acquire())
    await asyncio.sleep(0)
    bus.lock.doubt()
    goes.set()
    await asking

    assert not bus.lock.is_held


async def test_whoever_waits_goes_on_when_the_lock_is_taken_again(bus: Bus) -> None:
    await bus.lock.acquire()
    bus.lock.doubt()
    async with kept(bus):
        await asyncio.wait_for(bus.lock.held(), 5)

    assert bus.lock.is_held


async def test_a_silent_rabbitmq_is_waited_for(bus: Bus) -> None:
    bus.is_silent = True
    async with kept(bus) as keeping:
        await eventually(lambda: bus.tries > 3)
        bus.seconds += GIVE_UP_SECONDS * 10
        bus.is_silent = False
        await asyncio.wait_for(bus.lock.held(), 5)

        assert not keeping.done()


async def test_a_lock_that_comes_free_in_time_is_taken(bus: Bus) -> None:
    """This broker's own former connection may hold it until RabbitMQ notices that it is dead."""
    bus.is_taken_by_another = True
    async with kept(bus) as keeping:
        await eventually(lambda: bus.tries > 3)
        assert not bus.lock.is_held
        bus.seconds += GIVE_UP_SECONDS - 1
        bus.is_taken_by_another = False
        await asyncio.wait_for(bus.lock.held(), 5)

        assert not keeping.done()


async def test_a_lock_that_another_broker_keeps_ends_this_one(bus: Bus) -> None:
    bus.is_taken_by_another = True
    async with kept(bus) as keeping:
        await eventually(lambda: bus.tries > 3)
        bus.seconds += GIVE_UP_SECONDS

        with pytest.raises(BrokerLockedError):
            await asyncio.wait_for(keeping, 5)


def test_a_heartbeat_that_would_void_the_lock_is_refused() -> None:
    with pytest.raises(StartError, match=r"^heartbeat=1 in PLEXICA_URL is too short .* choose at least 2$"):
        check_heartbeat(1)
    with pytest.raises(StartError, match=r"^heartbeat=0 in PLEXICA_URL turns heartbeats off"):
        check_heartbeat(0)


def test_the_shortest_heartbeat_outlasts_the_belief_in_the_lock() -> None:
    check_heartbeat(SHORTEST_HEARTBEAT_SECONDS)

    assert 2 * SHORTEST_HEARTBEAT_SECONDS >= BELIEVED_SECONDS

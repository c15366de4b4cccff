"""Broker and plugins in one process, over the memory transport: for tests and for trying things out.

``async with running(crm, analytics, tenants=["acme-corp"]) as bus: ...`` and every plugin is installed in every
tenant. What needs no broker is in `plugin_runtime.testing`; the pytest fixture in `broker.testing_fixtures`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from contracts.names import SYSTEM_PLUGIN
from plugin_runtime import Plugin, Runner
from plugin_runtime.context import new_instance
from plugin_runtime.testing import (
    DeadLetter,
    MemoryTransport,
    MemoryVhost,
    PublishedEvent,
    Recorder,
    VirtualClock,
    dead_letters,
    in_flight,
)
from plugin_runtime.transport.clock import settled

try:
    from broker.bootstrap import Broker, running_broker
    from broker.data.expiry import Expiry
    from broker.settings import BrokerSettings
except ModuleNotFoundError as error:
    said = f"broker.testing needs '{error.name}', which is not installed: pip install 'plexica-bus[broker]'"
    raise ModuleNotFoundError(said, name=error.name) from error

SETTLE_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 0.001
LEASE_SECONDS = 15.0
HEARTBEAT_SECONDS = 5.0
ENDLESS_LEASE_SECONDS = 1e9


class Bus:
    """A bus of its own.

    Attributes:
        vhost: What RabbitMQ would hold: exchanges, queues, bindings, messages.
        broker: The broker that runs on it.
    """

    def __init__(self, vhost: MemoryVhost, broker: Broker, clock: VirtualClock | None = None) -> None:
        self.vhost = vhost
        self.broker = broker
        self._clock = clock
        self._recorder = Recorder(vhost)

    @property
    def events(self) -> tuple[PublishedEvent, ...]:
        """Every event that was published so far, in order; later attempts of one are not counted."""
        return tuple(self._recorder.events)

    def dead_letters(self, plugin: Plugin | str) -> tuple[DeadLetter, ...]:
        """What the plugin could not handle, the oldest first.

        Raises:
            MissingQueueError: No such plugin with a durable subscription was ever connected.
        """
        return dead_letters(self.vhost, plugin if isinstance(plugin, str) else plugin.id)

    async def settle(self, timeout: float = SETTLE_SECONDS) -> None:
        """Wait until nothing is in flight: every call answered, every event handled, every change announced.

        Events that wait for another attempt stay where they are: `advance` brings them. What a handler leaves behind
        in tasks of its own is not seen.

        Raises:
            TimeoutError: Something still is after ``timeout`` seconds; the message names the queues.
        """
        give_up_at = time.monotonic() + timeout
        await settled()
        while moving := await self._moving():
            if time.monotonic() >= give_up_at:
                raise TimeoutError(f"still in flight after {timeout:g} s: {'; '.join(moving)}")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass: retries that fall due are handled, one moment after the other, values expire.

        The bus settles before the first moment, between two, and at the end. Deadlines of calls, heartbeats and what
        a handler sleeps stay on real time, and no lease runs out.

        Raises:
            RuntimeError: The bus was started without ``clock=VirtualClock()``.
            TimeoutError: Something did not settle.
        """
        if self._clock is None:
            raise RuntimeError("this bus runs in real time; start it with clock=VirtualClock() to advance it")
        end = self._clock.now() + seconds
        await self.settle()
        while (moment := self._clock.next_at) is not None and moment <= end:
            await self._advance_to(self._clock, moment)
        await self._advance_to(self._clock, end)

    async def _advance_to(self, clock: VirtualClock, moment: float) -> None:
        await clock.advance(max(0.0, moment - clock.now()))
        await Expiry(self.broker.subjects.data).announce_due()
        await self.settle()

    async def _moving(self) -> list[str]:
        before = self._recorder.published
        moving = in_flight(self.vhost)
        if not moving and await self.broker.subjects.outbox.pending(1):
            moving = ["announcements of the broker"]
        # Asking the store took a moment, in which something may have begun.
        moving = moving or in_flight(self.vhost)
        return moving or (["a message published just now"] if self._recorder.published != before else [])

    @asynccontextmanager
    async def connected(self, plugin: Plugin, *, tenants: Iterable[str] = ()) -> AsyncIterator[Runner]:
        """Bring a plugin up for the length of the context; `Plugin.tenant` works meanwhile."""
        transport = MemoryTransport(self.vhost, identity=plugin.id, instance=new_instance())
        async with plugin.connected(transport=transport, tenants=tenants, prefix="") as runner:
            yield runner


@asynccontextmanager
async def bus(
    *, auto_install: bool = False, operators: Iterable[str] = (), clock: VirtualClock | None = None
) -> AsyncIterator[Bus]:
    """A broker on an empty memory transport, with an empty store in memory.

    Args:
        auto_install: Install whatever registers in the tenants that it names, and create those.
        operators: Plugins that may administer, and act in tenants where they are not installed.
        clock: Time that passes in `Bus.advance` only; real time when None.
    """
    vhost = MemoryVhost(clock)
    # With a clock that jumps, every lease would run out in the first jump.
    settings = BrokerSettings(
        auto_install=auto_install,
        operators=tuple(operators),
        prefix="",
        heartbeat_seconds=HEARTBEAT_SECONDS,
        lease_seconds=ENDLESS_LEASE_SECONDS if clock else LEASE_SECONDS,
    )
    began = time.time()
    now = (lambda: began + clock.now()) if clock else time.time
    transport = MemoryTransport(vhost, identity=SYSTEM_PLUGIN, instance="broker")
    async with running_broker(settings, transport, store=None, now=now) as broker:
        yield Bus(vhost, broker, clock)


@asynccontextmanager
async def running(
    *plugins: Plugin, tenants: Iterable[str] = ("default",), clock: VirtualClock | None = None
) -> AsyncIterator[Bus]:
    """A broker and plugins, every plugin installed in every tenant.

    Args:
        plugins: In any order; all of them run when the context is entered, and stop in the reverse order.
        tenants: Where they are installed.
        clock: ``VirtualClock()`` to test retries and expiry with `Bus.advance`; real time when None.

    Raises:
        CodedError: The broker refuses a plugin.
    """
    names = tuple(tenants)
    async with bus(auto_install=True, clock=clock) as made, AsyncExitStack() as stack:
        for plugin in plugins:
            await stack.enter_async_context(made.connected(plugin, tenants=names))
        await made.settle()
        yield made


class StartBus(Protocol):
    """What the fixture ``plexica`` is: `running` without ``async with``."""

    async def __call__(
        self, *plugins: Plugin, tenants: Iterable[str] = ("default",), clock: VirtualClock | None = None
    ) -> Bus:
        """Start a bus that stops by itself after the test; arguments as for `running`."""


@asynccontextmanager
async def buses() -> AsyncIterator[StartBus]:
    """Buses that are started one by one and stopped together, the last first.

    Raises:
        RuntimeError: A bus is started in another event loop than this context's.
    """
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:

        async def start(
            *plugins: Plugin, tenants: Iterable[str] = ("default",), clock: VirtualClock | None = None
        ) -> Bus:
            if asyncio.get_running_loop() is not loop:
                raise RuntimeError(
                    "the fixture 'plexica' lives in another event loop than this test: give both the same "
                    "loop_scope, or use 'async with broker.testing.running(...)'"
                )
            host = _Host(running(*plugins, tenants=tenants, clock=clock))
            stack.push_async_callback(host.stop)
            return await host.start()

        yield start


class _Host:
    """Keeps a context open in a task of its own: pytest runs a test and its fixtures in different tasks."""

    def __init__(self, context: AbstractAsyncContextManager[Bus]) -> None:
        self._goes = asyncio.Event()
        self._serving: asyncio.Future[Bus] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._host(context), name="broker.testing")

    async def start(self) -> Bus:
        """Wait until the bus runs; what keeps it from running is raised here."""
        await asyncio.wait((self._task, self._serving), return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            await self._task
        return await self._serving

    async def stop(self) -> None:
        """Let it end; what failed while it ran is raised here, what kept it from running was raised before."""
        self._goes.set()
        if not self._serving.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            return
        await self._task

    async def _host(self, context: AbstractAsyncContextManager[Bus]) -> None:
        async with context as bus:
            self._serving.set_result(bus)
            await self._goes.wait()

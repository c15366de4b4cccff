"""RabbitMQ restarted, or every connection cut, in the middle of a thousand calls of all methods."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from contracts.calls import METHODS, REPEATABLE_METHODS
from contracts.errors import CodedError
from plugin_runtime import Call, Plugin, TenantClient
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.acceptance.plugins import make_caller, make_plugin
from tests.acceptance.world import ACME, world_on
from tests.reliability.relay import Relay
from tests.waiting import eventually

SERVICE = "crm.contacts"
CALLS = 1000
CALLERS = 4
INSTANCES = 2
WORK_SECONDS = 0.2
DOWN_SECONDS = 0.5
LATE_SECONDS = 1.0
SURELY, SOME = 0.9, 0.2

WAYS = sorted(METHODS)
NOT_REPEATABLE = METHODS - REPEATABLE_METHODS
UNKNOWN = {"CALL_TIMEOUT", "OUTCOME_UNKNOWN"}
NOT_SERVED = {"SERVICE_NOT_FOUND", "SERVICE_UNAVAILABLE"}
"""While the broker has not heard the callee again after the restart."""


@dataclass
class Calls:
    """A thousand calls, what became of each, and what their callee ran.

    Attributes:
        deadline_seconds: The timeout of each.
        outcomes: How many ended so, by method and ``answered`` or their code.
        late: By how many seconds the latest of them ended after its deadline.
        ran: How often each id was run, by method.
    """

    deadline_seconds: float
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    late: float = -1000.0
    ran: dict[str, Counter[str]] = field(default_factory=lambda: {method: Counter() for method in WAYS})

    def callee(self) -> Plugin:
        """An instance of the CRM that takes a moment for each call."""
        crm = make_plugin("crm", *(f"{method} /contacts/:id" for method in WAYS))
        for method in WAYS:
            getattr(crm.service(SERVICE), method.lower())("/contacts/:id")(self._run)
        return crm

    async def make(self, callers: Sequence[TenantClient]) -> None:
        """All of them at once; returns when the last one has ended."""
        await asyncio.gather(*(self._call(callers[number % CALLERS], number) for number in range(CALLS)))

    def endings(self, methods: frozenset[str]) -> set[str]:
        """How calls with these methods ended."""
        return {outcome for method, outcome in self.outcomes if method in methods}

    def answered(self, methods: frozenset[str]) -> float:
        """Which share of the calls with these methods was answered."""
        of_all = [count for (method, _), count in self.outcomes.items() if method in methods]
        return sum(self.outcomes[method, "answered"] for method in methods) / sum(of_all)

    async def _run(self, call: Call, id: str) -> str:
        self.ran[call.method][id] += 1
        await asyncio.sleep(WORK_SECONDS)
        return id

    async def _call(self, tenant: TenantClient, number: int) -> None:
        method, began = WAYS[number % len(WAYS)], time.monotonic()
        contacts = tenant.service(SERVICE)
        try:
            result = await contacts.request(method, f"/contacts/{number}", timeout=self.deadline_seconds)
        except CodedError as error:
            outcome = error.code
        else:
            assert result.data == str(number)
            outcome = "answered"
        self.outcomes[method, outcome] += 1
        self.late = max(self.late, time.monotonic() - began - self.deadline_seconds)


@contextlib.asynccontextmanager
async def in_the_middle(place: str | MemoryVhost, deadline_seconds: float) -> AsyncIterator[Calls]:
    """Some calls are answered, some run, most wait; when the context is left all have ended."""
    calls = Calls(deadline_seconds)
    async with world_on(place) as world:
        for _ in range(INSTANCES):
            await world.connect(calls.callee())
        callers = [(await world.connect(make_caller())).tenant(ACME) for _ in range(CALLERS)]
        await asyncio.gather(*(caller.service(SERVICE).get("/contacts/first") for caller in callers))
        making = asyncio.create_task(calls.make(callers))
        await eventually(lambda: calls.outcomes.total() > CALLS // 10, deadline_seconds)
        yield calls
        await making


Restart = Callable[[], Awaitable[object]]


@pytest.fixture(params=["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def restartable(request: pytest.FixtureRequest) -> tuple[str | MemoryVhost, Restart, float]:
    """Where the bus is, what restarts RabbitMQ there, and a deadline that outlasts the restart."""
    if request.param == "memory":
        vhost = MemoryVhost()

        async def restart() -> None:
            vhost.stop()
            await asyncio.sleep(DOWN_SECONDS)
            vhost.start()

        return vhost, restart, 5.0
    node = request.getfixturevalue("rabbitmq_node")
    return request.getfixturevalue("vhost_url"), lambda: asyncio.to_thread(node.restart), 22.0


@pytest.mark.timeout(180)
async def test_calls_in_the_middle_of_a_restart_all_end_and_no_post_runs_twice(
    restartable: tuple[str | MemoryVhost, Restart, float],
) -> None:
    """What waits in RabbitMQ is lost; what may be repeated is published again, and what was run is answered."""
    place, restart, deadline_seconds = restartable

    async with in_the_middle(place, deadline_seconds) as calls:
        await restart()

    assert calls.outcomes.total() == CALLS
    assert calls.late < LATE_SECONDS
    assert {count for method in NOT_REPEATABLE for count in calls.ran[method].values()} == {1}
    assert calls.endings(METHODS) <= {"answered"} | UNKNOWN | NOT_SERVED
    assert calls.answered(REPEATABLE_METHODS) > SURELY


@pytest.mark.timeout(180)
async def test_calls_in_the_middle_of_a_cut_all_end_and_no_post_runs_twice(relay: Relay) -> None:
    """Nothing is lost in RabbitMQ; of a POST that is handed to another instance it is said that it may have run."""
    await relay.open()

    async with in_the_middle(relay.url, 20.0) as calls:
        relay.cut()

    assert calls.outcomes.total() == CALLS
    assert calls.late < LATE_SECONDS
    assert {count for method in NOT_REPEATABLE for count in calls.ran[method].values()} == {1}
    assert calls.endings(REPEATABLE_METHODS) == {"answered"}
    assert calls.endings(NOT_REPEATABLE) <= {"answered"} | UNKNOWN
    assert calls.answered(NOT_REPEATABLE) > SOME

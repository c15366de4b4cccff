"""A tenant that floods a plugin: others are served as if it were hardly there. In virtual time, the same in each run.

Arrivals are open: whoever calls does not wait for answers, so a callee that falls behind hides nothing.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from contracts.codec import GRANT_HEADER
from plugin_runtime import Call
from plugin_runtime.transport.base import Delivery
from plugin_runtime.transport.clock import VirtualClock, sleep
from plugin_runtime.transport.memory_vhost import MemoryVhost
from tests.acceptance.plugins import make_plugin
from tests.acceptance.raw_caller import CALLER, RawCaller
from tests.acceptance.world import ACME, GLOBEX, World, reply_of, world_on

CONCURRENCY = 4
WORK_SECONDS = 0.1
SHARE_PER_SECOND = CONCURRENCY / WORK_SECONDS / 2
"""What each of two tenants gets of the plugin."""

QUIET_PER_SECOND = SHARE_PER_SECOND / 2
FLOOD_PER_SECOND = 20 * SHARE_PER_SECOND
SECONDS = 15.0


class Traffic:
    """Calls of tenants at their rates, with the moment of each and that of its answer."""

    def __init__(self, world: World, clock: VirtualClock, caller: RawCaller) -> None:
        self._clock = clock
        self._caller = caller
        self._tokens = {tenant: world.token(CALLER, tenant) for tenant in (ACME, GLOBEX)}
        self._made_at: dict[str, tuple[str, float]] = {}
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.refused: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        caller.on_reply(self._note)

    async def run(self, **per_second: float) -> None:
        """Make calls for some virtual seconds, and wait for every answer."""
        tenants = {"acme": ACME, "globex": GLOBEX}
        arrivals = sorted((at, tenants[name]) for name, rate in per_second.items() for at in poisson(rate, name))
        start = self._clock.now()
        for at, tenant in arrivals:
            await self._clock.advance(max(0.0, start + at - self._clock.now()))
            self.made[tenant] += 1
            id_ = f"{tenant}-{self.made[tenant]}"
            self._made_at[id_] = tenant, self._clock.now()
            await self._caller.call(id_, tenant=tenant, **{GRANT_HEADER: self._tokens[tenant]})
        while self._made_at:
            await self._clock.advance(WORK_SECONDS)

    def _note(self, delivery: Delivery) -> None:
        tenant, at = self._made_at.pop(delivery.message.correlation_id or "")
        if reply_of(delivery.message).error is None:
            self.seconds[tenant].append(self._clock.now() - at)
        else:
            self.refused[tenant] += 1

    def p99(self, tenant: str) -> float:
        """In how many seconds 99 of 100 answers had come."""
        found = sorted(self.seconds[tenant])
        return found[int(len(found) * 0.99)]


def poisson(per_second: float, seed: str) -> Iterator[float]:
    """The moments of arrivals that know nothing of one another."""
    dice, at = random.Random(seed), 0.0  # noqa: S311 - no secret
    while (at := at + dice.expovariate(per_second)) < SECONDS:
        yield at


async def measured(**per_second: float) -> Traffic:
    """Traffic on a plugin of its own that works on each call for a while."""
    clock = VirtualClock()
    async with world_on(MemoryVhost(clock)) as world:
        crm = make_plugin("crm", "GET /contacts")

        @crm.service("crm.contacts").get("/contacts")
        async def work(_call: Call) -> Any:
            await sleep(clock, WORK_SECONDS)

        await world.connect(crm, tenants=(ACME, GLOBEX))
        traffic = Traffic(world, clock, await RawCaller.open(world))
        await asyncio.wait_for(traffic.run(**per_second), 60)
    return traffic


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXICA_CONCURRENCY", str(CONCURRENCY))


async def test_tenant_at_twenty_times_its_share_holds_up_no_other() -> None:
    quiet = await measured(globex=QUIET_PER_SECOND)
    flooded = await measured(globex=QUIET_PER_SECOND, acme=FLOOD_PER_SECOND)

    assert len(quiet.seconds[GLOBEX]) == len(flooded.seconds[GLOBEX]) == quiet.made[GLOBEX] > 100
    assert flooded.p99(GLOBEX) <= 3 * quiet.p99(GLOBEX)
    assert flooded.refused[GLOBEX] == 0
    # The flood gets what is left of the plugin, and is told of the rest.
    assert len(flooded.seconds[ACME]) + flooded.refused[ACME] == flooded.made[ACME]
    assert len(flooded.seconds[ACME]) >= 0.9 * (2 * SHARE_PER_SECOND - QUIET_PER_SECOND) * SECONDS
    assert flooded.refused[ACME] > flooded.made[ACME] / 2

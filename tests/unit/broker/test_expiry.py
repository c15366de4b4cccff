"""What runs out is announced, though nobody reads it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.data.expiry import Expiry
from broker.data.service import EXPIRED_AT_ONCE, SharedData
from contracts.shared_data import SetRequest
from tests.unit.broker.shared import CRM, NAMESPACE, TENANT, Bench


@asynccontextmanager
async def running(data: SharedData) -> AsyncIterator[None]:
    task = asyncio.create_task(Expiry(data).run())
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def told_next(bench: Bench) -> tuple[str, str, int]:
    """Wait for the next announcement after `expect_more`."""
    await bench.outbox.more()
    return (await bench.told())[-1]


async def test_what_is_due_is_announced_and_removed_the_earliest_first(bench: Bench) -> None:
    await bench.set("late", ttl=9.0)
    await bench.set("early", ttl=3.0)
    await bench.set("stays", ttl=60.0)
    bench.time += 10

    assert await Expiry(bench.data).announce_due() == 2
    assert (await bench.told())[3:] == [("expired", "early", 4), ("expired", "late", 5)]
    assert await bench.database.rows("SELECT key FROM shared_values WHERE key <> 'stays'") == []


async def test_nothing_due_announces_nothing(bench: Bench) -> None:
    await bench.set("a", ttl=60.0)
    await bench.set("b")

    assert await Expiry(bench.data).announce_due() == 0
    assert len(await bench.told()) == 2


async def test_more_than_one_transaction_takes_is_announced_whole(bench: Bench) -> None:
    for number in range(EXPIRED_AT_ONCE + 1):
        await bench.set(f"k{number}", ttl=1.0)
    bench.time += 1

    assert await Expiry(bench.data).announce_due() == EXPIRED_AT_ONCE + 1


async def test_the_store_knows_how_long_until_the_next_expiry(bench: Bench) -> None:
    found = [await bench.data.seconds_to_next_expiry()]
    await bench.set("a", ttl=60.0)
    found.append(await bench.data.seconds_to_next_expiry())
    bench.time += 100
    found.append(await bench.data.seconds_to_next_expiry())

    assert found == [None, 60.0, 0.0]


async def test_what_ran_out_while_no_broker_ran_is_announced_at_the_start(bench: Bench) -> None:
    await bench.set("a", ttl=60.0)
    bench.time += 3600
    bench.outbox.expect_more()
    async with running(bench.data):
        assert await told_next(bench) == ("expired", "a", 2)


async def test_a_value_written_later_wakes_a_clock_that_sleeps(bench: Bench) -> None:
    data = SharedData(bench.database, bench.outbox, bench.tenants, bench.namespaces, now=time.time)
    async with running(data):
        await data.set(TENANT, NAMESPACE, "long", SetRequest(value=1, ttl=3600.0), caller=CRM)
        await data.set(TENANT, NAMESPACE, "short", SetRequest(value=1, ttl=0.05), caller=CRM)
        bench.outbox.expect_more()
        assert await told_next(bench) == ("expired", "short", 3)


async def test_a_value_overwritten_in_time_does_not_expire(bench: Bench) -> None:
    await bench.set("a", 1, ttl=5.0)
    await bench.set("a", 2)
    bench.time += 10

    assert await Expiry(bench.data).announce_due() == 0
    assert await bench.get("a") == 2


async def test_a_cancelled_clock_leaves_the_store_usable(bench: Bench) -> None:
    async with running(bench.data):
        await bench.set("a", ttl=5.0)

    assert await bench.get("a") == 1

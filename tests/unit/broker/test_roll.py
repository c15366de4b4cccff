"""The roll says what the store says, and asks it only for what was touched."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from broker.plugins import store as plugins
from broker.registry import store
from broker.registry.roll import Roll
from broker.registry.store import Instance
from broker.storage.database import Database
from tests.unit.broker.control_plane import CRM

ONE = Instance(
    id="one", plugin_id="plugin-crm", plugin_version="1.0.0", reported="HEALTHY", state="HEALTHY", last_heard=1.0
)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await Database.open(None)
    async with opened.transaction() as transaction:
        await plugins.publish(transaction, CRM)
    yield opened
    await opened.close()


async def test_it_shows_what_is_committed(database: Database) -> None:
    roll = Roll(database)
    assert (await roll.instance("one"), await roll.revision()) == (None, 0)

    async with database.transaction() as transaction:
        await store.write_instance(transaction, ONE)
        await store.next_revision(transaction)
    assert (await roll.instance("one"), await roll.revision()) == (ONE, 1)

    async with database.transaction() as transaction:
        await store.set_state(transaction, "one", "HEALTHY", "UNAVAILABLE", 2.0)
    assert roll.at_hand("one") is None
    assert await roll.instances() == [replace(ONE, state="UNAVAILABLE", last_heard=2.0)]

    async with database.transaction() as transaction:
        await store.remove_instance(transaction, "one")
    assert await roll.instances() == []


async def test_what_was_rolled_back_never_shows(database: Database) -> None:
    roll = Roll(database)

    async def fail() -> None:
        async with database.transaction() as transaction:
            await store.write_instance(transaction, ONE)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await roll.instances() == []


async def test_what_is_not_touched_is_not_read_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    roll = Roll(database)
    await roll.instances()
    monkeypatch.setattr(database, "rows", None)

    assert (await roll.instances(), await roll.revision()) == ([], 0)
    monkeypatch.undo()


async def test_what_went_untouched_is_noticed_when_everything_is_read_again(database: Database) -> None:
    roll = Roll(database)
    async with database.transaction() as transaction:
        await store.write_instance(transaction, ONE)
    assert await roll.instances() == [ONE]
    async with database.transaction() as transaction:
        await transaction.execute("DELETE FROM instances")
    roll.doubt()

    assert await roll.instances() == []


async def test_many_readers_and_writers_end_with_the_same_state(database: Database) -> None:
    roll = Roll(database)

    async def write(number: int) -> None:
        async with database.transaction() as transaction:
            await store.write_instance(transaction, replace(ONE, id=f"i-{number % 5}", last_heard=float(number)))

    async def read(number: int) -> None:
        await roll.instance(f"i-{number % 5}")

    await asyncio.gather(*(work(number) for number in range(50) for work in (write, read)))

    assert await roll.instances() == await store.instances(database)

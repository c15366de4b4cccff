"""The outbox: written with the decision, in its order, or not at all."""

import asyncio

import pytest

from broker.outbox.store import Outbox
from broker.storage.database import Database, Transaction
from contracts.errors import InvalidRequestError


async def add(outbox: Outbox, transaction: Transaction, key: str = "acme-corp.crm.a") -> None:
    await outbox.add(
        transaction, exchange="data", routing_key=key, type="data.set", tenant="acme-corp", body={"value": "ö"}
    )


async def test_what_is_added_waits_with_all_that_was_said(database: Database, outbox: Outbox) -> None:
    async with database.transaction() as transaction:
        await outbox.add(
            transaction,
            exchange="registry",
            routing_key="_.service.registered.crm.contacts",
            type="service.registered",
            tenant="_",
            body={"service": "crm.contacts"},
            headers={"x-request-id": "42"},
        )
    (entry,) = await outbox.pending(10)

    assert (entry.exchange, entry.routing_key, entry.type, entry.tenant, entry.body, entry.headers) == (
        "registry",
        "_.service.registered.crm.contacts",
        "service.registered",
        "_",
        b'{"service":"crm.contacts"}',
        {"x-request-id": "42"},
    )
    assert len(entry.event_id) == 32


async def test_announcements_wait_in_the_order_of_their_commits(database: Database, outbox: Outbox) -> None:
    for number in range(3):
        async with database.transaction() as transaction:
            await add(outbox, transaction, f"acme-corp.crm.{number}")

    assert [entry.routing_key[-1] for entry in await outbox.pending(2)] == ["0", "1"]


async def test_every_announcement_has_its_own_event_id(database: Database, outbox: Outbox) -> None:
    async with database.transaction() as transaction:
        await add(outbox, transaction)
        await add(outbox, transaction)

    assert len({entry.event_id for entry in await outbox.pending(10)}) == 2


async def test_a_rollback_leaves_no_announcement_and_wakes_nobody(database: Database, outbox: Outbox) -> None:
    async def add_and_fail() -> None:
        async with database.transaction() as transaction:
            await add(outbox, transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await add_and_fail()

    assert await outbox.pending(10) == []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await outbox.more()


async def test_a_commit_wakes_who_waits(database: Database, outbox: Outbox) -> None:
    outbox.expect_more()
    waiting = asyncio.create_task(outbox.more())
    async with database.transaction() as transaction:
        await add(outbox, transaction)

    await asyncio.wait_for(waiting, timeout=5)


async def test_what_is_marked_as_sent_is_gone_and_its_id_never_comes_back(database: Database, outbox: Outbox) -> None:
    async with database.transaction() as transaction:
        await add(outbox, transaction)
    (first,) = await outbox.pending(10)
    await outbox.mark_sent([first.id, 4711])
    async with database.transaction() as transaction:
        await add(outbox, transaction)
    (second,) = await outbox.pending(10)

    assert second.id > first.id


async def test_a_body_that_is_no_json_is_refused(database: Database, outbox: Outbox) -> None:
    with pytest.raises(InvalidRequestError):
        async with database.transaction() as transaction:
            await outbox.add(
                transaction, exchange="data", routing_key="a.b", type="data.set", tenant="a", body={"x": float("nan")}
            )

    assert await outbox.pending(10) == []

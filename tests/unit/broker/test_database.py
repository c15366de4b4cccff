"""The store: all or nothing, one at a time, whatever is cancelled."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.storage import schema
from broker.storage.database import Database, Transaction
from broker.storage.schema import Migration
from contracts.errors import StartError

COUNT = "SELECT count(*) AS count FROM tenants"
ADD = "INSERT INTO tenants (id) VALUES (:id)"
ORPHAN = "INSERT INTO shared_values VALUES ('nobody', 'a', 'b', '1', 'plugin-a', 1, NULL)"

OLDER_ROWS = (
    "INSERT INTO plugins VALUES ('plugin-crm', '10.2.0', 'CRM', '{}')",
    "INSERT INTO instances VALUES ('new', 'plugin-crm', '10.2.0', 'HEALTHY', 'HEALTHY', 1.0)",
    "INSERT INTO subscriptions VALUES ('plugin-crm', 10, 'greet', 'events', 'b', 0)",
    "INSERT INTO subscriptions VALUES ('plugin-crm', 1, 'welcome', 'events', 'a', 0)",
)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(path)
    try:
        yield database
    finally:
        await database.close()


async def add(database: Database, *names: str) -> None:
    async with database.transaction() as transaction:
        for name in names:
            await transaction.execute(ADD, {"id": name})


async def add_and_fail(database: Database, on_commit: Callable[[], None] = lambda: None) -> None:
    async with database.transaction() as transaction:
        transaction.on_commit(on_commit)
        await transaction.execute(ADD, {"id": "acme-corp"})
        raise ZeroDivisionError


async def count(database: Database) -> int:
    row = await database.row(COUNT)
    assert row is not None
    return int(row["count"])


async def test_leaving_the_block_commits(database: Database) -> None:
    async with database.transaction() as transaction:
        changed = await transaction.execute(ADD, {"id": "acme-corp"})

    assert changed == 1
    assert [row["id"] for row in await database.rows("SELECT id FROM tenants")] == ["acme-corp"]


async def test_an_exception_in_the_block_rolls_back_and_travels_on(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await add_and_fail(database)

    assert await count(database) == 0


async def test_a_transaction_reads_its_own_changes(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(ADD, {"id": "acme-corp"})
        row = await transaction.row(COUNT)

    assert row is not None
    assert row["count"] == 1


async def test_a_broken_constraint_leaves_the_database_usable(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await add(database, "acme-corp", "acme-corp")

    async with database.transaction() as transaction:
        await transaction.execute(ADD, {"id": "techco"})
    assert await count(database) == 1


async def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        async with database.transaction() as transaction:
            await transaction.execute(ORPHAN)


async def test_a_read_outside_waits_for_the_transaction_and_sees_only_what_is_committed(database: Database) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def write_and_fail() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(ADD, {"id": "acme-corp"})
            entered.set()
            await leave.wait()
            raise ZeroDivisionError

    writer = asyncio.create_task(write_and_fail())
    await entered.wait()
    reader = asyncio.create_task(count(database))
    leave.set()

    assert await reader == 0
    with pytest.raises(ZeroDivisionError):
        await writer


async def test_transactions_of_many_tasks_do_not_mix(database: Database) -> None:
    async def add_counted(name: str) -> None:
        async with database.transaction() as transaction:
            row = await transaction.row(COUNT)
            assert row is not None
            await asyncio.sleep(0)
            await transaction.execute(ADD, {"id": f"{name}-{row['count']}"})

    await asyncio.gather(*(add_counted("t") for _ in range(10)))

    assert [row["id"] for row in await database.rows("SELECT id FROM tenants ORDER BY id")] == [
        f"t-{number}" for number in range(10)
    ]


async def test_cancellation_within_the_block_leaves_data_unchanged_and_the_connection_usable(
    database: Database,
) -> None:
    entered = asyncio.Event()

    async def write() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(ADD, {"id": "acme-corp"})
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await count(database) == 0
    async with database.transaction() as transaction:
        await transaction.execute(ADD, {"id": "techco"})
    assert await count(database) == 1


@pytest.mark.parametrize("turns", range(12))
async def test_cancellation_at_any_moment_leaves_all_or_nothing(database: Database, turns: int) -> None:
    committed: list[bool] = []

    async def write() -> None:
        async with database.transaction() as transaction:
            transaction.on_commit(lambda: committed.append(True))
            await transaction.execute(ADD, {"id": "acme-corp"})
            await transaction.execute(ADD, {"id": "techco"})

    task = asyncio.create_task(write())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert await count(database) == (2 if committed else 0)
    async with database.transaction() as transaction:
        await transaction.execute(ADD, {"id": "global"})


async def test_a_second_cancellation_does_not_leave_the_rollback_half_done(database: Database) -> None:
    entered = asyncio.Event()

    async def write() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(ADD, {"id": "acme-corp"})
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert await count(database) == 0


async def test_callbacks_run_after_the_commit_in_order(database: Database) -> None:
    seen: list[str] = []

    async with database.transaction() as transaction:
        transaction.on_commit(lambda: seen.append("first"))
        transaction.on_commit(lambda: seen.append("second"))
        assert seen == []

    assert seen == ["first", "second"]


async def test_callbacks_do_not_run_after_a_rollback(database: Database) -> None:
    seen: list[str] = []

    with pytest.raises(ZeroDivisionError):
        await add_and_fail(database, on_commit=lambda: seen.append("never"))

    assert seen == []


async def test_a_commit_that_fails_keeps_nothing_and_runs_no_callback(database: Database) -> None:
    seen: list[str] = []

    async def break_a_reference() -> None:
        async with database.transaction() as transaction:
            transaction.on_commit(lambda: seen.append("never"))
            await transaction.execute("PRAGMA defer_foreign_keys = ON")
            await transaction.execute(ORPHAN)

    with pytest.raises(sqlite3.IntegrityError):
        await break_a_reference()

    assert seen == []
    assert await database.rows("SELECT * FROM shared_values") == []
    async with database.transaction() as transaction:
        await transaction.execute(ADD, {"id": "acme-corp"})


async def test_a_transaction_is_of_no_use_after_its_block(database: Database) -> None:
    async with database.transaction() as transaction:
        kept: Transaction = transaction

    with pytest.raises(RuntimeError, match="the transaction is over"):
        await kept.execute(ADD, {"id": "acme-corp"})


async def test_entering_twice_in_one_task_is_refused_rather_than_hanging(database: Database) -> None:
    with pytest.raises(RuntimeError, match="already holds the database"):
        async with database.transaction():
            await database.row(COUNT)

    assert await count(database) == 0


async def test_a_file_keeps_its_data_and_is_durable(tmp_path: Path) -> None:
    path = tmp_path / "plexica.db"
    async with opened(path) as first, first.transaction() as transaction:
        await transaction.execute(ADD, {"id": "acme-corp"})

    async with opened(path) as second:
        assert await count(second) == 1
        assert tuple(*await second.rows("PRAGMA journal_mode")) == ("wal",)
        assert tuple(*await second.rows("PRAGMA synchronous")) == (2,)


async def test_closing_twice_is_no_error_and_ends_the_worker_thread(tmp_path: Path) -> None:
    async with opened(tmp_path / "plexica.db") as database:
        workers = [thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name]
        await database.close()
    for worker in workers:
        worker.join(timeout=5)

    assert workers
    assert not any(worker.is_alive() for worker in workers)


async def test_a_store_of_a_newer_broker_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plexica.db"
    async with opened(path) as database, database.transaction() as transaction:
        await transaction.execute(schema.RECORD, {"name": "9999_from_the_future"})

    with pytest.raises(StartError, match=r"plexica\.db' was written by a newer broker: found migration '9999_from"):
        await Database.open(path)


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"nowhere/plexica\.db' cannot be opened: there is no folder '.*nowhere'"):
        await Database.open(tmp_path / "nowhere" / "plexica.db")


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear broker, " * 100)

    with pytest.raises(StartError, match=r"letter\.txt' cannot be used: file is not a database"):
        await Database.open(path)


async def test_a_migration_that_fails_is_undone_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "plexica.db"
    broken = [*schema.load(), Migration("9000_broken", ("CREATE TABLE half (id TEXT);", "CREATE TABLE;"))]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "load", lambda: broken)
        with pytest.raises(StartError, match="cannot be used"):
            await Database.open(path)

    async with opened(path) as database:
        assert await database.rows("SELECT name FROM sqlite_master WHERE name = 'half'") == []


async def test_instances_of_an_older_store_hear_all_that_their_major_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "plexica.db"
    older = [migration for migration in schema.load() if migration.name < "0009"]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "load", lambda: older)
        async with opened(path) as database, database.transaction() as transaction:
            for statement in OLDER_ROWS:
                await transaction.execute(statement)

    async with opened(path) as database:
        heard = await database.rows("SELECT instance_id, name, pattern FROM instance_subscriptions")
        kept = await database.rows("SELECT major, name FROM subscriptions ORDER BY major")

    assert [tuple(row) for row in heard] == [("new", "greet", "b")]
    assert [tuple(row) for row in kept] == [(1, "welcome"), (10, "greet")]


def test_migrations_come_in_the_order_of_their_numbers() -> None:
    names = [migration.name for migration in schema.load()]

    assert names == sorted(names)
    assert names[:2] == ["0001_tenants_and_outbox", "0002_shared_data"]


def test_a_script_is_split_at_semicolons_that_end_a_statement() -> None:
    script = "CREATE TABLE a (\n  id TEXT DEFAULT 'x;'\n);\n\n-- a remark;\nDROP TABLE a;\n"

    found = list(schema.statements("0001_x", script))

    assert [text.split()[0] for text in found] == ["CREATE", "--"]
    assert found[1].endswith("DROP TABLE a;")


def test_a_script_that_ends_within_a_statement_is_refused() -> None:
    with pytest.raises(StartError, match="'0001_x' ends within a statement"):
        list(schema.statements("0001_x", "CREATE TABLE a (id TEXT)\n"))

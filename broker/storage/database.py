"""The store: one SQLite connection, one transaction at a time.

Theory of operation. The connection belongs to aiosqlite's worker thread, which works through a queue in order. A
coroutine that is cancelled stops waiting, but what it queued still runs; hence a rollback queued afterwards always
comes after it, and the next transaction after the rollback. Commit and rollback are awaited to their end even when
their task is cancelled: what the caller is told then is what happened.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self

import aiosqlite
import structlog

from broker.storage import schema
from broker.storage.file import prepare
from broker.storage.lock import StoreLock
from contracts.errors import StartError

Row = sqlite3.Row
Parameters = Mapping[str, object]
NO_PARAMETERS: Parameters = MappingProxyType({})

MEMORY = ":memory:"
OWNER_ONLY = 0o600
BUSY_TIMEOUT_MILLISECONDS = 5000
"""How long SQLite waits for another process that holds the file, e.g. a backup."""

PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MILLISECONDS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
)

_log = structlog.get_logger()


class Source(Protocol):
    """What can be read from: the database as committed, or a transaction with its own changes."""

    async def row(self, sql: str, parameters: Parameters = ...) -> Row | None:
        """The first row, or None."""

    async def rows(self, sql: str, parameters: Parameters = ...) -> list[Row]:
        """Every row."""


class Transaction:
    """The changes of one ``async with database.transaction()``; of no use after it."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection: aiosqlite.Connection | None = connection
        self._callbacks: list[Callable[[], None]] = []
        self._touched: set[str] = set()

    async def execute(self, sql: str, parameters: Parameters = NO_PARAMETERS) -> int:
        """Run one statement and return how many rows it changed (-1 where SQLite does not count).

        Raises:
            sqlite3.Error: The statement is wrong or breaks a constraint.
            RuntimeError: The transaction is over.
        """
        async with self._live().execute(sql, dict(parameters)) as cursor:
            return cursor.rowcount

    async def row(self, sql: str, parameters: Parameters = NO_PARAMETERS) -> Row | None:
        """The first row that the statement answers, or None; it sees this transaction's changes."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    async def rows(self, sql: str, parameters: Parameters = NO_PARAMETERS) -> list[Row]:
        """Every row that the statement answers; it sees this transaction's changes."""
        return list(await self._live().execute_fetchall(sql, dict(parameters)))

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called in the event loop after a successful commit, never after a rollback.

        It must neither block nor raise. Callbacks come in the order in which they were given.
        """
        self._callbacks.append(callback)

    def touch(self, name: str) -> None:
        """Say that rows change of which somebody may keep a copy in memory: see `Database.on_touched`."""
        self._touched.add(name)

    def _live(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise RuntimeError("the transaction is over: its block was left")
        return self._connection

    def _end(self) -> tuple[list[Callable[[], None]], set[str]]:
        self._connection = None
        return self._callbacks, self._touched


class Database:
    """The broker's store. Made by `open`, ended by `close`."""

    def __init__(self, connection: aiosqlite.Connection, place: str, hold: StoreLock | None = None) -> None:
        self._connection = connection
        self._place = place
        self._hold = hold
        self._lock = asyncio.Lock()
        self._copies: list[Callable[[set[str]], None]] = []
        self._holder: asyncio.Task[Any] | None = None

    @classmethod
    async def open(cls, path: Path | None) -> Self:
        """Open the store and bring its schema up to date; until `close` nobody else can open it.

        Args:
            path: The file, made for its owner alone if it is not there; None for a store in memory that goes with its
                connection.

        Raises:
            BrokerLockedError: Another broker uses it.
            StartError: The file cannot be opened or is no store, a migration failed (then none of it is kept), or a
                newer broker wrote it.
        """
        if path is None:
            return await cls._open(MEMORY, None)
        hold = StoreLock(path)
        try:
            await _to_the_end(asyncio.to_thread(_make_ready, path, hold))
            return await cls._open(str(path), hold)
        except BaseException:
            hold.release()
            raise

    @classmethod
    async def _open(cls, place: str, hold: StoreLock | None) -> Self:
        try:
            connection = await _connect(place)
        except sqlite3.Error as error:
            raise StartError(f"store '{place}' cannot be opened: {error}") from error
        database = cls(connection, place, hold)
        try:
            await database._prepare()
        except sqlite3.Error as error:
            await database.close()
            raise StartError(f"store '{place}' cannot be used: {error}") from error
        except BaseException:
            await database.close()
            raise
        return database

    async def close(self) -> None:
        """Wait for the transaction under way, close the connection, end its thread, free the store. Idempotent."""
        async with self._turn():
            try:
                await _to_the_end(self._connection.close())
            finally:
                # Not before: closing writes what is in the WAL back into the store.
                if self._hold is not None:
                    self._hold.release()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Read and write all or nothing.

        Entering waits until every earlier transaction and read is over, then begins (``BEGIN IMMEDIATE``). Leaving
        waits until the commit is on disk. Any exception in the block, cancellation included, rolls back and travels
        on. A cancellation that arrives while the commit runs is raised after it: the changes are kept then.

        Not re-entrant: within the block read from the transaction, not from the database.

        Raises:
            RuntimeError: This task already holds the database.
            sqlite3.Error: The commit failed; nothing was kept.
        """
        return self._transaction()

    def on_touched(self, callback: Callable[[set[str]], None]) -> None:
        """Have ``callback`` called after every commit that touched something, with the names of all it touched.

        It is called in the event loop before anybody can read what was committed, and must neither block nor raise.
        """
        self._copies.append(callback)

    async def row(self, sql: str, parameters: Parameters = NO_PARAMETERS) -> Row | None:
        """The first row, or None. Waits for the transaction under way and sees only what is committed."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    async def rows(self, sql: str, parameters: Parameters = NO_PARAMETERS) -> list[Row]:
        """Every row. Waits for the transaction under way and sees only what is committed.

        Raises:
            RuntimeError: This task is within a transaction: read from that.
        """
        async with self._turn():
            return list(await self._connection.execute_fetchall(sql, dict(parameters)))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._holder is asyncio.current_task():
            raise RuntimeError("this task already holds the database: use the transaction at hand")
        async with self._lock:
            self._holder = asyncio.current_task()
            try:
                yield
            finally:
                self._holder = None

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._turn():
            transaction = Transaction(self._connection)
            try:
                await transaction.execute("BEGIN IMMEDIATE")
                yield transaction
            except BaseException:
                transaction._end()  # noqa: SLF001 - the two classes are one mechanism
                await _to_the_end(self._connection.rollback())
                raise
            await _to_the_end(self._commit(transaction))

    async def _commit(self, transaction: Transaction) -> None:
        callbacks, touched = transaction._end()  # noqa: SLF001 - the two classes are one mechanism
        try:
            await self._connection.commit()
        except sqlite3.Error:
            await self._connection.rollback()
            raise
        for copy in self._copies if touched else ():
            copy(touched)
        for callback in callbacks:
            callback()

    async def _prepare(self) -> None:
        self._connection.row_factory = Row
        await self._connection.executescript(";\n".join((*PRAGMAS, schema.CREATE_LEDGER)))
        applied = {row["name"] for row in await self.rows(schema.APPLIED)}
        for migration in schema.missing(schema.load(), applied, self._place):
            await self._migrate(migration)
            _log.info("storage.migrated", migration=migration.name)

    async def _migrate(self, migration: schema.Migration) -> None:
        """Take one step of the schema, all or nothing."""
        async with self._turn():
            try:
                # One script, and so one trip to the worker's thread: a trip a statement made starting take twice as
                # long. The script begins the transaction itself, since `executescript` commits one that is open.
                await self._connection.executescript("\n".join(("BEGIN IMMEDIATE;", *migration.statements)))
                await self._connection.execute_fetchall(schema.RECORD, {"name": migration.name})
                await self._connection.commit()
            except BaseException:
                await _to_the_end(self._connection.rollback())
                raise


async def _connect(place: str) -> aiosqlite.Connection:
    """Connect to the end, also when cancelled: else a worker thread would stay that nobody can end."""
    connection = aiosqlite.connect(place, isolation_level=None)
    try:
        await _to_the_end(_connected(connection))
    except asyncio.CancelledError:
        await _to_the_end(connection.close())
        raise
    return connection


async def _connected(connection: aiosqlite.Connection) -> None:
    await connection


def _make_ready(path: Path, hold: StoreLock) -> None:
    hold.take()
    prepare(path)
    # Tried out first: a connect of aiosqlite that fails leaves a worker thread that nobody can wait for.
    _try_out(str(path))


def _try_out(place: str) -> None:
    try:
        sqlite3.connect(place).close()
    except sqlite3.Error as error:
        raise StartError(f"store '{place}' cannot be opened: {error}") from error


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await ``work`` to its end whatever happens; a cancellation that came meanwhile is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled

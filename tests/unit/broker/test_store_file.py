"""The store's file: for its owner alone, and one sentence for each way in which it cannot be used."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from broker.storage import schema
from broker.storage.database import Database
from contracts.errors import StartError

NOBODY = 65534
FILES = ("broker.db", "broker.db-lock", "broker.db-shm", "broker.db-wal")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def modes(folder: Path) -> dict[str, int]:
    return {path.name: mode(path) for path in folder.iterdir()}


def shut(folder: Path) -> None:
    folder.chmod(0o500)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a user whom permissions bind; root reads and writes everything."""
    made = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        asyncio.run(_opened_once())  # what Python imports late may lie where only root can read
        os.chown(made, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        if not os.access(schema.__file__, os.R_OK, effective_ids=is_root):
            pytest.skip("this project lies where only root can read")
        yield made
    finally:
        if is_root:
            os.seteuid(0)
        made.chmod(0o700)
        shutil.rmtree(made)


async def _opened_once() -> None:
    with tempfile.TemporaryDirectory() as place:
        await (await Database.open(Path(place) / "broker.db")).close()


@pytest.mark.usefixtures("_any_umask")
async def test_what_is_made_can_be_read_by_its_owner_alone(folder: Path) -> None:
    database = await Database.open(folder / "broker.db")
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO tenants (id) VALUES ('acme-corp')")
    found = modes(folder)
    await database.close()

    assert set(found) == set(FILES)
    assert {name: found[name] for name in FILES if name != "broker.db-lock"} == dict.fromkeys(
        ("broker.db", "broker.db-shm", "broker.db-wal"), 0o600
    )
    assert found["broker.db-lock"] & 0o077 == 0


async def test_a_store_that_others_can_open_is_warned_of_and_left_as_it_is(folder: Path) -> None:
    store = folder / "broker.db"
    store.touch()
    store.chmod(0o640)
    with capture_logs() as logs:
        await (await Database.open(store)).close()

    assert mode(store) == 0o640
    assert [entry for entry in logs if entry["event"] == "storage.open_to_others"] == [
        {"event": "storage.open_to_others", "log_level": "warning", "store": str(store), "mode": "0640"}
    ]


async def test_a_link_to_a_store_that_is_not_there_yet_makes_it(folder: Path) -> None:
    (folder / "link.db").symlink_to(folder / "broker.db")
    await (await Database.open(folder / "link.db")).close()

    assert mode(folder / "broker.db") == 0o600


async def refused(store: Path) -> str:
    with pytest.raises(StartError) as caught:
        await Database.open(store)
    return str(caught.value)


async def test_a_folder_is_no_store(folder: Path) -> None:
    assert await refused(folder) == f"store '{folder}' is a folder, not a file: give the path of a file"


async def test_a_pipe_is_no_store(folder: Path) -> None:
    os.mkfifo(folder / "broker.db")

    assert "is a device, a pipe or a socket, not a file" in await refused(folder / "broker.db")


@pytest.mark.parametrize("permissions", [0o000, 0o200, 0o400], ids=oct)
async def test_a_store_that_cannot_be_read_and_written_is_refused(folder: Path, permissions: int) -> None:
    store = folder / "broker.db"
    await (await Database.open(store)).close()
    store.chmod(permissions)

    assert await refused(store) == (
        f"store '{store}' cannot be opened: the broker must be able to read and write it, but: Permission denied"
    )


async def test_a_folder_that_cannot_be_written_is_refused(folder: Path) -> None:
    """SQLite needs it for the write-ahead log, so that a store which can be written itself is of no use there."""
    store = folder / "broker.db"
    store.touch()
    shut(folder)

    assert await refused(store) == (
        f"store '{store}' cannot be opened: the broker must be able to write in its folder, "
        f"but '{store}-lock' cannot be: Permission denied"
    )


async def test_a_folder_in_which_only_the_lock_can_be_written_is_refused(folder: Path) -> None:
    (folder / "broker.db-lock").touch()
    shut(folder)

    assert "cannot be opened: it cannot be made: Permission denied" in await refused(folder / "broker.db")


async def test_a_store_that_was_cut_short_is_refused(folder: Path) -> None:
    store = folder / "broker.db"
    await (await Database.open(store)).close()
    os.truncate(store, 5000)

    assert f"store '{store}' cannot be used: " in await refused(store)

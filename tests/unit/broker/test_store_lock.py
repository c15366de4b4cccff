"""One broker to a store: whoever comes second is told who was first, and a lock goes with its process."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.storage.database import Database
from broker.storage.lock import StoreLock
from contracts.errors import BrokerLockedError, StartError

HOLD = """
import sys, time, pathlib
from broker.storage.lock import StoreLock
lock = StoreLock(pathlib.Path(sys.argv[1]))
lock.take()
print("held", flush=True)
time.sleep(60)
"""
"""A process that takes the lock and sits on it."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@pytest.fixture
def letter(store: Path) -> Path:
    """What is no store."""
    store.write_text("Dear broker, " * 100)
    return store


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@contextmanager
def held(store: Path) -> Iterator[StoreLock]:
    lock = StoreLock(store)
    lock.take()
    try:
        yield lock
    finally:
        lock.release()


@contextmanager
def held_elsewhere(store: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(store)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def test_a_store_that_is_open_is_not_opened_again(store: Path) -> None:
    first = await Database.open(store)
    try:
        with pytest.raises(BrokerLockedError) as caught:
            await Database.open(store)
    finally:
        await first.close()

    me = f"process {os.getpid()} on {socket.gethostname()}"
    assert str(caught.value).startswith(f"store '{store}' is used by another broker ({me}): stop that one, or give ")


async def test_the_refused_one_leaves_the_first_at_work(store: Path) -> None:
    first = await Database.open(store)
    try:
        for _ in range(2):
            with pytest.raises(BrokerLockedError):
                await Database.open(store)
        async with first.transaction() as transaction:
            await transaction.execute("INSERT INTO tenants (id) VALUES ('acme-corp')")

        assert len(await first.rows("SELECT * FROM tenants")) == 1
    finally:
        await first.close()


async def test_a_store_is_free_once_it_is_closed(store: Path) -> None:
    for _ in range(2):
        await (await Database.open(store)).close()

    assert (store.parent / "broker.db-lock").read_text() == ""


async def test_a_store_that_cannot_be_used_is_free_again(letter: Path) -> None:
    with pytest.raises(StartError, match="is not a database"):
        await Database.open(letter)

    with held(letter) as lock:
        assert lock is not None


def test_another_process_is_named(store: Path) -> None:
    with held_elsewhere(store) as other, pytest.raises(BrokerLockedError, match=f"process {other.pid} on "):
        StoreLock(store).take()


def test_a_lock_goes_with_its_process_however_that_ends(store: Path) -> None:
    with held_elsewhere(store) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        with held(store):
            said = (store.parent / "broker.db-lock").read_text()

    assert said == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_two_names_of_one_store_are_one_lock(store: Path, tmp_path: Path) -> None:
    store.touch()
    link = tmp_path / "elsewhere.db"
    link.symlink_to(store)

    with held(store), pytest.raises(BrokerLockedError, match="elsewhere"):
        StoreLock(link).take()


def test_two_stores_of_one_folder_do_not_meet(store: Path) -> None:
    with held(store), held(store.with_name("other.db")):
        assert store.parent.joinpath("other.db-lock").exists()


def test_a_holder_that_has_not_said_who_it_is_holds_it_too(store: Path) -> None:
    with held(store):
        os.truncate(store.parent / "broker.db-lock", 0)
        with pytest.raises(BrokerLockedError, match="is used by another broker: stop that one"):
            StoreLock(store).take()


def test_releasing_twice_frees_nobody_elses_lock(store: Path) -> None:
    with held(store) as first:
        first.release()
        with held(store):
            first.release()
            with pytest.raises(BrokerLockedError):
                StoreLock(store).take()


async def test_a_store_in_memory_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = await Database.open(None), await Database.open(None)
    await first.close()
    await second.close()

    assert files(tmp_path) == []

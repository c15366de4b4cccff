"""The lock that makes this process the only one with the store, and who holds it otherwise.

Theory of operation. Two brokers on one store would each believe what the other has changed since; SQLite's own locks
last for one transaction only. So whoever opens a store holds an exclusive ``flock`` on a file beside it, from before
the migrations until after the connection is closed::

    broker.db           the store; SQLite's POSIX record locks on it are left alone: closing any descriptor of a file
                        drops every record lock the process has on it (sqlite.org/howtocorrupt.html, 2.2)
    broker.db-lock      locked for as long as the holder lives; its text says who that is

The kernel drops the lock with the last descriptor, however the process ends, so a crash leaves no stale lock behind.
The file itself stays: whoever deleted it could let two processes lock two files of one name.

On NFS ``flock`` is a lock of the server (Linux 2.6.12 and later), and freed only when that notices a dead client. A
store does not belong there anyway: WAL needs shared memory (sqlite.org/wal.html).
"""

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from contracts.errors import BrokerLockedError, StartError

SUFFIX = "-lock"
OWNER_ONLY = 0o600
LONGEST_NOTE_BYTES = 400


class StoreLock:
    """An exclusive hold on a store. Made free, taken once, released at the end.

    Args:
        store: The store's file; links to it are followed, so that two names of one store are one lock.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._file = _beside(store)
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock, without waiting for it.

        Raises:
            BrokerLockedError: Another process, or another broker in this one, has it; the message says which.
            StartError: The file beside the store cannot be made or opened.
        """
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _note(descriptor)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise BrokerLockedError(
                f"store '{self._store}' is used by {holder}: stop that one, or give this one a store of its own with "
                "--store or PLEXICA_STORE"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise StartError(f"store '{self._store}' cannot be locked by '{self._file}': {error.strerror}") from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # Emptied first: what it says would be wrong from the next line on.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
            os.close(descriptor)

    def _open(self) -> int:
        folder = self._file.parent
        if not folder.is_dir():
            raise StartError(f"store '{self._store}' cannot be opened: there is no folder '{folder}'; make it first")
        try:
            return os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, OWNER_ONLY)
        except OSError as error:
            raise StartError(
                f"store '{self._store}' cannot be opened: the broker must be able to write in its folder, "
                f"but '{self._file}' cannot be: {error.strerror}"
            ) from error


def _beside(store: Path) -> Path:
    place = store.resolve()
    return place.with_name(place.name + SUFFIX)


def _note(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)


def _holder(descriptor: int) -> str:
    """Who wrote the note; a holder is there even if it is empty, between its lock and its note."""
    text = os.pread(descriptor, LONGEST_NOTE_BYTES, 0).decode("utf-8", "replace").strip()
    return f"another broker ({text})" if text else "another broker"

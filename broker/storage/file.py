"""The store's file: made so that its owner alone can read it, and refused in one sentence if it cannot be a store."""

import os
import stat
from pathlib import Path

import structlog

from broker.storage.lock import OWNER_ONLY
from contracts.errors import StartError

FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = structlog.get_logger()


def prepare(store: Path) -> None:
    """See to it that the store is a file that this process can read and write; one that is not there is made.

    The file gets mode 0600, which a umask can only narrow, since it holds signing keys; SQLite gives its ``-wal`` and
    ``-shm`` the mode of the store. One that is there keeps its mode, and is warned of if others can open it. Call it
    while no connection of this process is open: closing a descriptor of the file drops SQLite's locks on it.

    Raises:
        StartError: It is no file, or cannot be read and written; the message says why, and what to do.
    """
    try:
        descriptor = os.open(store.resolve(), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    except FileExistsError:
        _check(store)
    except OSError as error:
        raise StartError(f"store '{store}' cannot be opened: it cannot be made: {error.strerror}") from error
    else:
        os.close(descriptor)


def _check(store: Path) -> None:
    try:
        found = store.stat()
        if not stat.S_ISREG(found.st_mode):
            raise StartError(f"store '{store}' is {_kind(found.st_mode)}, not a file: give the path of a file")
        os.close(os.open(store, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise StartError(
            f"store '{store}' cannot be opened: the broker must be able to read and write it, but: {error.strerror}"
        ) from error
    if found.st_mode & FOR_OTHERS:
        _log.warning("storage.open_to_others", store=str(store), mode=f"{stat.S_IMODE(found.st_mode):04o}")


def _kind(mode: int) -> str:
    return "a folder" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"

"""The instances and the revision, kept in memory: heartbeats and sweeps ask for them far more often than they change.

What a commit touched is read again before anybody is answered, so the roll says what the store says. Only the time at
which an instance was last heard is as old as the reading: every heartbeat would change it. A row that goes untouched is
missed within a lease, when the sweeper has everything read again.
"""

import asyncio

from broker.registry import store
from broker.registry.store import Instance
from broker.storage.database import Database


class Roll:
    """Reads the store once, then only what was touched."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._instances: dict[str, Instance] = {}
        self._revision = 0
        self._stale: set[str] = {store.REVISION_NAME}
        self._is_read = False
        self._turn = asyncio.Lock()
        database.on_touched(self._stale.update)

    def at_hand(self, instance: str) -> Instance | None:
        """An instance, if it is known without waiting; None may also mean that it was touched."""
        return None if instance in self._stale else self._instances.get(instance)

    async def instance(self, instance: str) -> Instance | None:
        """An instance, or None if it is not registered. Waits only for what was touched."""
        await self._refresh()
        return self._instances.get(instance)

    async def instances(self) -> list[Instance]:
        """Every instance, by id."""
        await self._refresh()
        return sorted(self._instances.values(), key=lambda item: item.id)

    async def revision(self) -> int:
        """The revision of the last announcement."""
        await self._refresh()
        return self._revision

    def doubt(self) -> None:
        """Read everything again before the next answer: rows may have gone with others that they belong to."""
        self._is_read = False

    async def _refresh(self) -> None:
        if self._is_read and not self._stale:
            return
        async with self._turn:
            if not self._is_read:
                self._is_read = True
                await self._read_all()
            while self._stale:
                await self._read(next(iter(self._stale)))

    async def _read_all(self) -> None:
        try:
            self._instances = {item.id: item for item in await store.instances(self._database)}
        except BaseException:
            self._is_read = False
            raise

    async def _read(self, name: str) -> None:
        # Taken out first: what is touched while it is read is read once more.
        self._stale.discard(name)
        try:
            if name == store.REVISION_NAME:
                self._revision = await store.revision(self._database)
                return
            found = await store.instance(self._database, name)
        except BaseException:
            self._stale.add(name)
            raise
        if found is None:
            self._instances.pop(name, None)
        else:
            self._instances[name] = found

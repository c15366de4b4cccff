"""Writes of shared data: each takes the namespace's next revision, changes the row and writes its announcement."""

from typing import Any

from broker.data import store
from broker.data.store import Entry
from broker.outbox.store import Outbox
from broker.storage.database import Transaction
from contracts.codec import decode
from contracts.events import LARGEST_ANNOUNCED_BYTES, DataChange, data_type
from contracts.topology import Topology

_NAMES = Topology()
"""Only for routing keys, which carry no prefix."""


class Writes:
    """Changes values in the caller's transaction, row and outbox row together."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def set(
        self,
        transaction: Transaction,
        entry: Entry,
        *,
        old_revision: int | None,
        expires_in: float | None,
        is_shown: bool = True,
    ) -> int:
        """Store an entry under the next revision and announce it; its own ``revision`` is not looked at.

        Args:
            transaction: What it belongs to.
            entry: The value; its ``owner_id`` is the caller.
            old_revision: The revision that it replaces; None for a new key.
            expires_in: Seconds it lives; None for ever.
            is_shown: Whether everybody in the tenant may read it; otherwise it is announced without its value, since
                any plugin may follow changes by a pattern.

        Returns:
            The revision.
        """
        revision = await store.next_revision(transaction, entry.tenant, entry.namespace)
        columns = {name: getattr(entry, name) for name in Entry.__slots__}
        await store.put(transaction, Entry(**{**columns, "revision": revision}))
        stored = entry.value.encode()
        omitted = not is_shown or len(stored) > LARGEST_ANNOUNCED_BYTES
        change = DataChange(
            kind="set",
            namespace=entry.namespace,
            key=entry.key,
            value=None if omitted else decode(stored),
            value_omitted=omitted,
            owner_id=entry.owner_id,
            caller_id=entry.owner_id,
            revision=revision,
            old_revision=old_revision,
            expires_in=expires_in,
        )
        await self._announce(transaction, entry.tenant, change)
        return revision

    async def deleted(self, transaction: Transaction, entry: Entry, *, caller: str) -> None:
        """Take an entry out and announce that ``caller`` deleted it."""
        await self._gone(transaction, entry, kind="deleted", caller_id=caller)

    async def expired(self, transaction: Transaction, entry: Entry) -> None:
        """Take an entry out and announce that its time ran out."""
        await self._gone(transaction, entry, kind="expired", caller_id=None)

    async def _gone(self, transaction: Transaction, entry: Entry, **how: Any) -> None:
        await store.remove(transaction, entry)
        change = DataChange(
            namespace=entry.namespace,
            key=entry.key,
            owner_id=entry.owner_id,
            revision=await store.next_revision(transaction, entry.tenant, entry.namespace),
            old_revision=entry.revision,
            **how,
        )
        await self._announce(transaction, entry.tenant, change)

    async def _announce(self, transaction: Transaction, tenant: str, change: DataChange) -> None:
        await self._outbox.add(
            transaction,
            exchange="data",
            routing_key=_NAMES.tenant_key(tenant, f"{change.namespace}.{change.key}"),
            type=data_type(change.kind),
            tenant=tenant,
            body=change.to_json(),
        )

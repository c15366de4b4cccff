"""The operations on shared data: set, get, delete, keys, clear.

Every write is one transaction: the rules are asked, the row is changed, the revision counted on and the announcement
written, or nothing of it. An expired value is absent from the moment of its expiry on, whether or not anybody has
noticed; whoever finds it first announces it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

from broker.data import rules, store
from broker.data.rules import NamespaceRule, NamespaceRules
from broker.data.store import Entry
from broker.data.writes import Writes
from broker.outbox.store import Outbox
from broker.storage.database import Database, Source, Transaction
from broker.tenants.store import Tenants
from contracts.codec import decode
from contracts.names import SYSTEM_PLUGIN
from contracts.shared_data import PAGE_SIZE, KeyPage, SetRequest, SharedValue

EXPIRED_AT_ONCE = 200
"""How many expiries are announced in one transaction."""


class SharedData:
    """Values by tenant, namespace and key.

    Names are expected to be checked. Every operation raises `TenantNotFoundError` for a tenant that does not exist,
    `InvalidRequestError` for a call without one, and `NotOwnerError` where the namespace's owner does not admit the
    caller. Every write returns once it is on disk; its change is announced at least once after that, in the order of
    revisions. A cancelled write either happened with its announcement or not at all.

    Attributes:
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        tenants: Tenants,
        namespaces: NamespaceRules,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.now = now
        self._database = database
        self._writes = Writes(outbox)
        self._tenants = tenants
        self._namespaces = namespaces
        self._expiry_added = asyncio.Event()

    async def set(self, tenant: str, namespace: str, key: str, request: SetRequest, *, caller: str) -> int:
        """Write a value; owner, value and expiry of what stood there are replaced.

        Args:
            tenant: The call's tenant.
            namespace: The namespace.
            key: The key.
            request: Value, seconds to live and expected revision; without ``ttl`` the namespace's own holds.
            caller: The plugin that writes, from now on the value's owner.

        Returns:
            The namespace's revision with this write.

        Raises:
            InvalidRequestError: The value is no JSON value or nested too deep.
            QuotaExceededError: The value has more than 1 MiB of JSON.
            StaleRevisionError: The key is not at the expected revision; nothing was written.
        """
        value = rules.to_stored(request.value)
        async with self._database.transaction() as transaction:
            rule = await self._rule(transaction, tenant, namespace)
            rules.may_write(rule, caller)
            found = await self._find_living(transaction, tenant, namespace, key)
            old_revision = None if found is None else found.revision
            rules.check_revision(request.if_revision, old_revision)
            lifetime = rules.lifetime(request.ttl, rule)
            entry = Entry(
                tenant=tenant,
                namespace=namespace,
                key=key,
                value=value,
                owner_id=caller,
                revision=0,
                expires_at=rules.expiry(lifetime, self.now()),
            )
            if lifetime is not None:
                transaction.on_commit(self._expiry_added.set)
            return await self._writes.set(
                transaction,
                entry,
                old_revision=old_revision,
                expires_in=lifetime,
                is_shown=rules.is_shown(rule),
            )

    async def get(self, tenant: str, namespace: str, key: str, *, caller: str) -> SharedValue | None:
        """Read a value; None if there is none or it expired. What was committed before the call is seen."""
        rules.may_read(await self._rule(self._database, tenant, namespace), caller)
        entry = await store.find(self._database, tenant, namespace, key)
        if entry is None:
            return None
        now = self.now()
        if rules.is_expired(entry.expires_at, now):
            async with self._database.transaction() as transaction:
                # Read again: somebody may have written it anew since.
                entry = await self._find_living(transaction, tenant, namespace, key)
        return None if entry is None else _shared_value(entry, now)

    async def delete(self, tenant: str, namespace: str, key: str, *, caller: str) -> bool:
        """Delete a value; False if there was none or it had expired."""
        async with self._database.transaction() as transaction:
            rules.may_write(await self._rule(transaction, tenant, namespace), caller)
            entry = await self._find_living(transaction, tenant, namespace, key)
            if entry is not None:
                await self._writes.deleted(transaction, entry, caller=caller)
            return entry is not None

    async def keys(
        self,
        tenant: str,
        namespace: str,
        *,
        caller: str,
        owner_id: str | None = None,
        prefix: str = "",
        after: str = "",
        limit: int = PAGE_SIZE,
    ) -> KeyPage:
        """Keys in ascending order of their bytes, without expired ones.

        Args:
            tenant: The call's tenant.
            namespace: The namespace.
            caller: The plugin that asks.
            owner_id: Only what this plugin wrote last.
            prefix: Only keys that begin so; upper and lower case differ.
            after: The last page's ``next``; only keys beyond it.
            limit: The most keys of one page.

        Returns:
            The keys, and the last of them as ``next`` when there are more.
        """
        rules.may_read(await self._rule(self._database, tenant, namespace), caller)
        found = await store.keys(
            self._database,
            tenant,
            namespace,
            owner_id=owner_id,
            prefix=prefix,
            after=after,
            now=self.now(),
            limit=limit + 1,
        )
        page = tuple(found[:limit])
        return KeyPage(keys=page, next=page[-1] if len(found) > limit else None)

    async def clear(self, tenant: str, namespace: str, *, caller: str, owner_id: str | None = None) -> int:
        """Delete every value of a namespace, or of one owner in it, all or nothing; each deletion is announced.

        Returns:
            How many were deleted; expired ones are announced as such and do not count.
        """
        async with self._database.transaction() as transaction:
            rules.may_write(await self._rule(transaction, tenant, namespace), caller)
            entries = await store.find_all(transaction, tenant, namespace, owner_id)
            return await self._delete_all(transaction, entries, caller=caller)

    async def remove_written_by(self, transaction: Transaction, tenant: str, plugin_id: str) -> None:
        """Delete, in the caller's transaction, every value of which a plugin is the last writer.

        For uninstalling: nobody is asked for permission. Each deletion is announced, with the broker as caller.
        """
        entries = await store.find_written_by(transaction, tenant, plugin_id)
        await self._delete_all(transaction, entries, caller=SYSTEM_PLUGIN)

    async def check_watch(self, tenant: str, pattern: str, *, caller: str) -> None:
        """Refuse a watch on a namespace that the caller may not read.

        Looked at are the namespaces that the pattern's literal words name; a pattern that begins with a wildcard
        names none.
        """
        await self._tenants.require(self._database, tenant)
        for namespace in rules.guarded_namespaces(pattern):
            rules.may_read(await self._namespaces.rules_for(self._database, tenant, namespace), caller)

    # Expiry, driven by `broker.data.expiry`

    async def expire_due(self) -> int:
        """Announce and remove what is expired now, at most 200 values, in one transaction.

        Returns:
            How many there were; 200 means that there may be more.
        """
        async with self._database.transaction() as transaction:
            due = await store.find_expired(transaction, self.now(), EXPIRED_AT_ONCE)
            for entry in due:
                await self._writes.expired(transaction, entry)
            return len(due)

    async def seconds_to_next_expiry(self) -> float | None:
        """How long the value that expires first still lives; 0 if it is over, None if nothing expires."""
        return rules.seconds_left(await store.next_expiry(self._database), self.now())

    def expect_expiry(self) -> None:
        """Forget which expiries were added so far; call it before asking for the next one."""
        self._expiry_added.clear()

    async def expiry_added(self) -> None:
        """Wait until a value that expires was written since `expect_expiry`."""
        await self._expiry_added.wait()

    async def _rule(self, source: Source, tenant: str, namespace: str) -> NamespaceRule | None:
        await self._tenants.require(source, tenant)
        return await self._namespaces.rules_for(source, tenant, namespace)

    async def _find_living(self, transaction: Transaction, tenant: str, namespace: str, key: str) -> Entry | None:
        entry = await store.find(transaction, tenant, namespace, key)
        if entry is not None and rules.is_expired(entry.expires_at, self.now()):
            await self._writes.expired(transaction, entry)
            return None
        return entry

    async def _delete_all(self, transaction: Transaction, entries: Iterable[Entry], *, caller: str) -> int:
        count, now = 0, self.now()
        for entry in entries:
            if rules.is_expired(entry.expires_at, now):
                await self._writes.expired(transaction, entry)
            else:
                await self._writes.deleted(transaction, entry, caller=caller)
                count += 1
        return count


def _shared_value(entry: Entry, now: float) -> SharedValue:
    return SharedValue(
        namespace=entry.namespace,
        key=entry.key,
        value=decode(entry.value.encode()),
        owner_id=entry.owner_id,
        revision=entry.revision,
        expires_at=entry.expires_at,
        expires_in=rules.seconds_left(entry.expires_at, now),
    )

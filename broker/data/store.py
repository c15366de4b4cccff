"""The rows of shared data. Nothing here decides anything; ``now`` only selects."""

from dataclasses import dataclass

from broker.storage.database import Row, Source, Transaction

FIND = "SELECT * FROM shared_values WHERE tenant = :tenant AND namespace = :namespace AND key = :key"

# A plain range on the primary key. `substr` rather than LIKE: LIKE ignores case and has wildcards of its own.
KEYS = """
SELECT key FROM shared_values
WHERE tenant = :tenant AND namespace = :namespace AND key >= :prefix AND key > :after
  AND substr(key, 1, length(:prefix)) = :prefix
  AND (:owner_id IS NULL OR owner_id = :owner_id)
  AND (expires_at IS NULL OR expires_at > :now)
ORDER BY key LIMIT :limit
"""

IN_NAMESPACE = """
SELECT * FROM shared_values
WHERE tenant = :tenant AND namespace = :namespace AND (:owner_id IS NULL OR owner_id = :owner_id)
ORDER BY key
"""

WRITTEN_BY = "SELECT * FROM shared_values WHERE tenant = :tenant AND owner_id = :owner_id ORDER BY namespace, key"
EXPIRED = (
    "SELECT * FROM shared_values WHERE expires_at <= :now ORDER BY expires_at, tenant, namespace, key LIMIT :limit"
)
NEXT_EXPIRY = "SELECT min(expires_at) AS expires_at FROM shared_values WHERE expires_at IS NOT NULL"

PUT = """
INSERT INTO shared_values (tenant, namespace, key, value, owner_id, revision, expires_at)
VALUES (:tenant, :namespace, :key, :value, :owner_id, :revision, :expires_at)
ON CONFLICT (tenant, namespace, key) DO UPDATE
SET value = excluded.value, owner_id = excluded.owner_id, revision = excluded.revision, expires_at = excluded.expires_at
"""

REMOVE = "DELETE FROM shared_values WHERE tenant = :tenant AND namespace = :namespace AND key = :key"

NEXT_REVISION = """
INSERT INTO data_revisions (tenant, namespace, revision) VALUES (:tenant, :namespace, 1)
ON CONFLICT (tenant, namespace) DO UPDATE SET revision = revision + 1
RETURNING revision
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row: a value as it is stored, expired or not.

    Attributes:
        value: JSON.
        owner_id: The last writer.
        revision: The namespace's revision when it was written.
        expires_at: Seconds since the epoch; None for never.
    """

    tenant: str
    namespace: str
    key: str
    value: str
    owner_id: str
    revision: int
    expires_at: float | None


def _entry(row: Row) -> Entry:
    return Entry(**dict(row))


async def find(source: Source, tenant: str, namespace: str, key: str) -> Entry | None:
    """The entry of a key, expired or not."""
    row = await source.row(FIND, {"tenant": tenant, "namespace": namespace, "key": key})
    return None if row is None else _entry(row)


async def find_all(source: Source, tenant: str, namespace: str, owner_id: str | None) -> list[Entry]:
    """The entries of a namespace in order of their keys, expired or not; of one owner, unless None."""
    parameters = {"tenant": tenant, "namespace": namespace, "owner_id": owner_id}
    return [_entry(row) for row in await source.rows(IN_NAMESPACE, parameters)]


async def find_written_by(source: Source, tenant: str, owner_id: str) -> list[Entry]:
    """The entries of all namespaces that a plugin wrote last, in order of namespace and key, expired or not."""
    return [_entry(row) for row in await source.rows(WRITTEN_BY, {"tenant": tenant, "owner_id": owner_id})]


async def keys(
    source: Source,
    tenant: str,
    namespace: str,
    *,
    owner_id: str | None,
    prefix: str,
    after: str,
    now: float,
    limit: int,
) -> list[str]:
    """Keys that are not expired at ``now``, ascending by their bytes, beyond ``after``, at most ``limit``."""
    parameters = {
        "tenant": tenant,
        "namespace": namespace,
        "owner_id": owner_id,
        "prefix": prefix,
        "after": after,
        "now": now,
        "limit": limit,
    }
    return [row["key"] for row in await source.rows(KEYS, parameters)]


async def find_expired(source: Source, now: float, limit: int) -> list[Entry]:
    """The entries of all tenants that are expired at ``now``, the earliest first, at most ``limit``."""
    return [_entry(row) for row in await source.rows(EXPIRED, {"now": now, "limit": limit})]


async def next_expiry(source: Source) -> float | None:
    """The moment of the earliest expiry, past or to come; None if nothing stored expires."""
    row = await source.row(NEXT_EXPIRY)
    return None if row is None else row["expires_at"]


async def put(transaction: Transaction, entry: Entry) -> None:
    """Store an entry in place of what stood under its key."""
    columns = ("tenant", "namespace", "key", "value", "owner_id", "revision", "expires_at")
    await transaction.execute(PUT, {column: getattr(entry, column) for column in columns})


async def remove(transaction: Transaction, entry: Entry) -> None:
    """Take an entry out."""
    await transaction.execute(REMOVE, {"tenant": entry.tenant, "namespace": entry.namespace, "key": entry.key})


async def next_revision(transaction: Transaction, tenant: str, namespace: str) -> int:
    """Count the namespace's revision on by one and return it; the first is 1."""
    row = await transaction.row(NEXT_REVISION, {"tenant": tenant, "namespace": namespace})
    if row is None:
        raise RuntimeError("SQLite's RETURNING answered no row")
    return int(row["revision"])

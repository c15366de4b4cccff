"""Rows of grants: signing keys, and what plugins were granted in tenants."""

from collections.abc import Iterable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.grants.rules import SigningKey, public_key
from broker.storage.database import Source, Transaction
from contracts.dependencies import Installation
from contracts.grants import VerificationKey

SIGNING = "SELECT id, private, created_at FROM signing_keys WHERE retired_at IS NULL ORDER BY created_at DESC LIMIT 1"
PUBLIC = "SELECT id, public FROM signing_keys ORDER BY created_at DESC, id"
ADD_KEY = "INSERT INTO signing_keys (id, private, public, created_at) VALUES (:id, :private, :public, :created_at)"
RETIRE = "UPDATE signing_keys SET private = NULL, retired_at = :now WHERE retired_at IS NULL"
FORGET = "DELETE FROM signing_keys WHERE retired_at < :before"
CLEAR = """
DELETE FROM permissions WHERE tenant = :tenant AND plugin_id = :plugin AND plugin_version = :version
"""
GRANT = """
INSERT OR IGNORE INTO permissions (tenant, plugin_id, plugin_version, permission)
VALUES (:tenant, :plugin, :version, :permission)
"""
FORGET_GRANTED = """
DELETE FROM permissions WHERE tenant = :tenant AND plugin_id = :plugin AND plugin_version NOT IN (
    SELECT version FROM installations WHERE tenant = :tenant AND plugin_id = :plugin
)
"""
GRANTED = """
SELECT DISTINCT permission FROM permissions WHERE tenant = :tenant AND plugin_id = :plugin ORDER BY permission
"""


async def signing_key(source: Source) -> SigningKey | None:
    """The key that signs, or None before the first start."""
    row = await source.row(SIGNING)
    if row is None:
        return None
    return SigningKey(row["id"], Ed25519PrivateKey.from_private_bytes(row["private"]), row["created_at"])


async def public_keys(source: Source) -> tuple[VerificationKey, ...]:
    """Every key that still counts, the newest first."""
    return tuple(public_key(row["id"], row["public"]) for row in await source.rows(PUBLIC))


async def replace_signing_key(transaction: Transaction, key: SigningKey) -> None:
    """Retire the key that signs, if there is one, and sign by this one from now on."""
    await transaction.execute(RETIRE, {"now": key.created_at})
    row = {"id": key.id, "created_at": key.created_at, "public": key.public_bytes}
    await transaction.execute(ADD_KEY, {**row, "private": key.private.private_bytes_raw()})


async def forget_keys(transaction: Transaction, before: float) -> int:
    """Delete the keys that were retired before then, and return how many they were."""
    return await transaction.execute(FORGET, {"before": before})


async def grant(transaction: Transaction, installation: Installation, permissions: Iterable[str]) -> None:
    """Write what an installed version is granted, in place of what it was granted before."""
    row = {"tenant": installation.tenant, "plugin": installation.plugin_id, "version": installation.version}
    await transaction.execute(CLEAR, row)
    for permission in sorted(permissions):
        await transaction.execute(GRANT, {**row, "permission": permission})


async def forget_granted(transaction: Transaction, tenant: str, plugin: str) -> None:
    """Delete what versions were granted that are not installed any more."""
    await transaction.execute(FORGET_GRANTED, {"tenant": tenant, "plugin": plugin})


async def granted(source: Source, tenant: str, plugin: str) -> tuple[str, ...]:
    """What the installed versions of a plugin were granted in a tenant, ascending."""
    return tuple(row["permission"] for row in await source.rows(GRANTED, {"tenant": tenant, "plugin": plugin}))

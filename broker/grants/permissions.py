"""What a plugin may do in a tenant: granted when it is installed, gone with the installation, and never by itself more.

Whoever installs a plugin agrees to what it asks for then. What it declares later counts from the next installation or
upgrade on, since nobody has agreed to it before.
"""

from broker.dependencies import store as dependencies
from broker.grants import store
from broker.grants.rules import asked_for
from broker.storage.database import Source, Transaction
from contracts.dependencies import Installation


class Permissions:
    """Changes permissions within the transaction that changes what is installed."""

    async def grant(self, transaction: Transaction, installation: Installation) -> None:
        """Grant a version that was just installed what it asks for; a version that it replaced loses its own."""
        asked = await dependencies.declared(transaction, installation.plugin_id, installation.version)
        await store.grant(transaction, installation, asked_for(asked))
        await store.forget_granted(transaction, installation.tenant, installation.plugin_id)

    async def revoke(self, transaction: Transaction, tenant: str, plugin: str) -> None:
        """Take away what versions were granted that are not installed any more."""
        await store.forget_granted(transaction, tenant, plugin)

    async def of(self, source: Source, tenant: str, plugin: str) -> tuple[str, ...]:
        """What a plugin may do in a tenant: the union over its installed versions, ascending."""
        return await store.granted(source, tenant, plugin)

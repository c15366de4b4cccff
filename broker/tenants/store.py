"""Tenants: create, list, remove, and the one sentence that says that there is none of a name."""

from collections.abc import Awaitable, Callable

import structlog

from broker.storage.database import Database, Source, Transaction
from contracts.errors import InvalidRequestError, StillRequiredError, TenantNotFoundError
from contracts.names import NO_TENANT

ADD = "INSERT INTO tenants (id) VALUES (:tenant) ON CONFLICT (id) DO NOTHING"
FIND = "SELECT id FROM tenants WHERE id = :tenant"
LIST = "SELECT id FROM tenants ORDER BY id"
INSTALLED = "SELECT plugin_id, version FROM installations WHERE tenant = :tenant ORDER BY plugin_id, version"
# In this order: what refers to the tenant goes before it. Revisions of its data stay (see migration 0002).
REMOVE = (
    "DELETE FROM shared_values WHERE tenant = :tenant",
    "DELETE FROM watches WHERE tenant = :tenant",
    "DELETE FROM unmet WHERE tenant = :tenant",
    "DELETE FROM installations WHERE tenant = :tenant",
    "DELETE FROM tenants WHERE id = :tenant",
)

TenantHook = Callable[[Transaction, str], Awaitable[None]]
"""Runs in the transaction that creates or removes a tenant; what it raises stops that."""

_log = structlog.get_logger()


class Tenants:
    """The tenants of this bus."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._after_creation: list[TenantHook] = []
        self._before_removal: list[TenantHook] = []

    async def create(self, tenant: str) -> bool:
        """Create a tenant and wait until that is on disk.

        Args:
            tenant: A checked name.

        Returns:
            False if it was there already, which is no error.
        """
        async with self._database.transaction() as transaction:
            created = await self.ensure(transaction, tenant)
        if created:
            _log.info("tenant.created", tenant=tenant)
        return created

    async def ensure(self, transaction: Transaction, tenant: str) -> bool:
        """Create a tenant in the caller's transaction unless it is there; True if it was created."""
        created = await transaction.execute(ADD, {"tenant": tenant}) == 1
        if created:
            for hook in self._after_creation:
                await hook(transaction, tenant)
        return created

    async def require(self, source: Source, tenant: str) -> None:
        """Refuse a tenant that does not exist.

        Args:
            source: The database, or the transaction in which the answer must hold.
            tenant: As the message gave it; ``_`` means that it gave none.

        Raises:
            InvalidRequestError: There is no tenant in the message.
            TenantNotFoundError: No tenant has that name; details: ``tenant`` and ``hint``, how to make it.
        """
        if tenant == NO_TENANT:
            raise InvalidRequestError("Tenant ID required")
        if await source.row(FIND, {"tenant": tenant}) is None:
            hint = (
                f"create it with platform.create_tenant('{tenant}'), or start the broker with PLEXICA_AUTO_INSTALL=yes"
            )
            text = f"Tenant '{tenant}' not found: plexica tenant create {tenant}"
            raise TenantNotFoundError(text, tenant=tenant, hint=hint)

    async def list(self) -> tuple[str, ...]:
        """Every tenant, in ascending order."""
        return tuple(row["id"] for row in await self._database.rows(LIST))

    def after_creation(self, hook: TenantHook) -> None:
        """Have ``hook`` run within every creation, once the tenant is there, e.g. to announce it."""
        self._after_creation.append(hook)

    def before_removal(self, hook: TenantHook) -> None:
        """Have ``hook`` run within every removal, before anything is gone, in the order in which hooks were given."""
        self._before_removal.append(hook)

    async def remove(self, tenant: str, *, force: bool = False) -> None:
        """Remove a tenant with its shared data and wait until that is on disk.

        All or nothing. The revisions of its namespaces are kept, so that a tenant created anew never goes back to
        revisions that were seen before.

        Args:
            tenant: Its name.
            force: Remove it even though plugins are installed; their installations go too.

        Raises:
            TenantNotFoundError: No tenant has that name.
            StillRequiredError: Plugins are installed in it; details: ``blockedBy`` names them.
        """
        async with self._database.transaction() as transaction:
            await self.require(transaction, tenant)
            if not force:
                await _refuse_installed(transaction, tenant)
            for hook in self._before_removal:
                await hook(transaction, tenant)
            for statement in REMOVE:
                await transaction.execute(statement, {"tenant": tenant})
        _log.info("tenant.removed", tenant=tenant, force=force)


async def _refuse_installed(source: Source, tenant: str) -> None:
    installed = [f"{row['plugin_id']}@{row['version']}" for row in await source.rows(INSTALLED, {"tenant": tenant})]
    if installed:
        blockers = [
            {"pluginId": plugin_id, "reason": "Installed in the tenant"}
            for plugin_id in sorted({name.partition("@")[0] for name in installed})
        ]
        raise StillRequiredError(
            f"Tenant '{tenant}' cannot be removed while plugins are installed in it: {', '.join(installed)}",
            tenant=tenant,
            blockedBy=blockers,
        )

"""What the registry tells everybody: through the outbox, each with the next revision."""

from collections.abc import Iterable
from typing import Literal

from broker.outbox.store import Outbox
from broker.registry import store
from broker.storage.database import Transaction
from contracts.announcement_keys import (
    dependency_announcement,
    keys_announcement,
    plugin_announcement,
    presence_announcement,
    service_announcement,
    tenant_announcement,
)
from contracts.dependencies import Installation
from contracts.grants import VerificationKey
from contracts.manifest import Dependency
from contracts.names import NO_TENANT
from contracts.registry import (
    Announcement,
    DependencyAnnouncement,
    KeysAnnouncement,
    PluginAnnouncement,
    PresenceAnnouncement,
    ServiceAnnouncement,
    ServiceRecord,
    TenantAnnouncement,
)


class Announcements:
    """Writes announcements in the transaction of what they announce."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def service(
        self,
        transaction: Transaction,
        change: Literal["registered", "deregistered", "status"],
        record: ServiceRecord,
        instance_id: str | None = None,
    ) -> None:
        """Announce a service as it is now, without schemas."""
        body = ServiceAnnouncement(
            change=change,
            revision=await store.next_revision(transaction),
            service=record.without_schemas(),
            instance_id=instance_id,
        )
        await self._add(transaction, service_announcement(change, record.service_name), f"service.{change}", body)

    async def presence(self, transaction: Transaction, name: str, version: str) -> None:
        """Announce that the last instance of a service version went without a word."""
        body = PresenceAnnouncement(revision=await store.next_revision(transaction), service_name=name, version=version)
        await self._add(transaction, presence_announcement(name), "presence", body)

    async def dependencies(
        self, transaction: Transaction, plugin_id: str, version: str, dependencies: Iterable[Dependency]
    ) -> None:
        """Announce the whole set that a plugin version declares now."""
        body = DependencyAnnouncement(
            revision=await store.next_revision(transaction),
            plugin_id=plugin_id,
            version=version,
            dependencies=tuple(dependencies),
        )
        await self._add(transaction, dependency_announcement(plugin_id), "dependency.declared", body)

    async def plugin(
        self,
        transaction: Transaction,
        change: Literal["installed", "uninstalled", "upgraded"],
        installation: Installation,
        *,
        remaining: Iterable[str] = (),
        reasons: Iterable[str] = (),
    ) -> None:
        """Announce an installation, in its tenant: what is installed and offered then, and what ``force`` overrode."""
        tenant, plugin_id, overridden = installation.tenant, installation.plugin_id, tuple(reasons)
        rows = await store.services_in(transaction, tenant, name=None, plugin=plugin_id)
        body = PluginAnnouncement(
            change=change,
            revision=await store.next_revision(transaction),
            tenant=tenant,
            plugin_id=plugin_id,
            version=installation.version,
            remaining=tuple(remaining),
            offers=tuple(sorted({f"{row['name']}@{row['version']}" for row in rows})),
            forced=bool(overridden),
            reasons=overridden,
        )
        await self._add(
            transaction, plugin_announcement(tenant, change, plugin_id), f"plugin.{change}", body, tenant=tenant
        )

    async def tenant_created(self, transaction: Transaction, tenant: str) -> None:
        """Announce a tenant: a hook for `Tenants.after_creation`."""
        await self._tenant(transaction, "created", tenant)

    async def tenant_removed(self, transaction: Transaction, tenant: str) -> None:
        """Announce that a tenant goes: a hook for `Tenants.before_removal`."""
        await self._tenant(transaction, "removed", tenant)

    async def keys(self, transaction: Transaction, keys: Iterable[VerificationKey]) -> None:
        """Announce by which keys grants are checked from now on."""
        body = KeysAnnouncement(revision=await store.next_revision(transaction), keys=tuple(keys))
        await self._add(transaction, keys_announcement(), "keys", body)

    async def _tenant(self, transaction: Transaction, change: Literal["created", "removed"], tenant: str) -> None:
        body = TenantAnnouncement(change=change, revision=await store.next_revision(transaction), tenant=tenant)
        await self._add(transaction, tenant_announcement(tenant, change), f"tenant.{change}", body, tenant=tenant)

    async def _add(
        self, transaction: Transaction, key: str, kind: str, body: Announcement, *, tenant: str = NO_TENANT
    ) -> None:
        await self._outbox.add(
            transaction, exchange="registry", routing_key=key, type=kind, tenant=tenant, body=body.to_json()
        )

"""Install, upgrade and uninstall plugins in tenants, and say beforehand what that would do."""

from collections.abc import Awaitable, Callable, Collection, Sequence

from broker.dependencies import overrides, store
from broker.dependencies.blockers import blockers, chosen, refuse_required
from broker.dependencies.causes import Node
from broker.dependencies.impact import Known, Outlook, look_ahead
from broker.dependencies.installations import Installations, node_of, resolve_in
from broker.plugins import store as plugins
from broker.provisioning import store as provisioned
from broker.provisioning.changes import Changes
from broker.storage.database import Database, Source, Transaction
from broker.tenants.store import Tenants
from contracts.dependencies import (
    Blocker,
    CanUninstall,
    Installation,
    InstallationList,
    InstallRequest,
    Resolution,
    TenantOutlook,
    UninstallRequest,
    Upgrade,
    UpgradeRequest,
    WhatIf,
)
from contracts.errors import (
    PluginNotFoundError,
    UnresolvableError,
    VersionMismatchError,
)
from contracts.names import SYSTEM_PLUGIN
from contracts.versions import highest

RemoveData = Callable[[Transaction, str, str], Awaitable[None]]
"""Removes a plugin's shared data from a tenant: transaction, tenant, plugin id."""


def refuse_unresolved(resolution: Resolution) -> None:
    """Raise `UnresolvableError`, which carries the resolution, unless it is valid."""
    if not resolution.valid:
        raise UnresolvableError("; ".join(resolution.errors), **resolution.to_json())


class Lifecycle:
    """What a deployer does with plugins in tenants. Each change is one transaction: all of it or nothing.

    A change has a ``caller``, who is remembered where it was made by force.

    Args:
        remove_data: What an uninstall with ``remove_data`` runs within its transaction.
    """

    def __init__(
        self,
        *,
        database: Database,
        changes: Changes,
        tenants: Tenants,
        installations: Installations,
        remove_data: RemoveData | None = None,
    ) -> None:
        self._database = database
        self._changes = changes
        self._tenants = tenants
        self._installations = installations
        self._remove_data = remove_data

    async def install(self, tenant: str, request: InstallRequest, *, caller: str = SYSTEM_PLUGIN) -> Installation:
        """Install the highest known version in the range: beside other majors, in place of its own. Idempotent.

        A version that is there already is granted what it asks for now.
        When this returns, calls and events of the tenant reach the plugin's queues and the announcement is certain.
        The version that it supersedes lingers until nobody needs it: see `broker.dependencies.succession`.

        Raises:
            TenantNotFoundError: There is no such tenant.
            PluginNotFoundError: Nobody published the plugin.
            VersionMismatchError: No published version is in the range.
            UnresolvableError: A requirement of the plugin is unmet, or an installed plugin would lose one that is
                met now; details: the resolution. With ``force`` that is recorded instead.
            TransportError: RabbitMQ could not be made to fit; nothing was changed.
        """
        async with self._changes.of(request.plugin_id) as transaction:
            await self._tenants.require(transaction, tenant)
            version = await choose_version(transaction, request.plugin_id, request.version)
            there = await store.installations_of(transaction, request.plugin_id, tenant)
            found = next((item for item in there if item.version == version and not item.superseded), None)
            if found is None:
                found, _, _ = await self._put(transaction, tenant, request, version, caller=caller)
            else:
                await self._installations.grant(transaction, found)
        return found

    async def upgrade(self, tenant: str, request: UpgradeRequest, *, caller: str = SYSTEM_PLUGIN) -> Upgrade:
        """Move an installed plugin to the highest known version in the range, or back to a lower one. Idempotent.

        It supersedes every other version of the plugin in the tenant; those linger until nobody needs them. A version
        that stands alone there already is granted what it asks for now.

        Raises:
            PluginNotFoundError: Nobody published the plugin, or it is not installed in the tenant.
            CodedError: As `install`.
        """
        async with self._changes.of(request.plugin_id) as transaction:
            await self._tenants.require(transaction, tenant)
            version = await choose_version(transaction, request.plugin_id, request.version)
            there = await store.installations_of(transaction, request.plugin_id, tenant)
            if not there:
                text = f"Plugin {request.plugin_id} is not installed in tenant {tenant}: install it first"
                raise PluginNotFoundError(text, pluginId=request.plugin_id)
            replaced: tuple[str, ...] = ()
            broken: tuple[str, ...] = ()
            current = [item for item in there if not item.superseded]
            if [item.version for item in current] == [version]:
                installation = current[0]
                await self._installations.grant(transaction, installation)
            else:
                installation, replaced, outlook = await self._put(transaction, tenant, request, version, caller=caller)
                broken = tuple(cause.message for cause in outlook.broken)
            left = await store.installations_of(transaction, request.plugin_id, tenant)
        lingering = tuple(item.version for item in left if item.superseded)
        return Upgrade(installation=installation, replaced=replaced, lingering=lingering, broken=broken)

    async def _put(
        self,
        transaction: Transaction,
        tenant: str,
        request: InstallRequest | UpgradeRequest,
        version: str,
        *,
        caller: str,
    ) -> tuple[Installation, tuple[str, ...], Outlook]:
        operation: overrides.Operation = "install" if isinstance(request, InstallRequest) else "upgrade"
        alone = operation == "upgrade"
        known = await store.known_facts(transaction)
        there = await store.installations(transaction, tenant)
        outlook = _look_ahead((request.plugin_id, version), known, there, alone=alone)
        if not request.force:
            refuse_unresolved(outlook.resolution)
        installation = Installation(
            tenant=tenant, plugin_id=request.plugin_id, version=version, overridden=outlook.resolution.errors
        )
        replaced = await self._installations.put(transaction, installation, alone=alone)
        reasons = installation.overridden
        await overrides.record(transaction, operation, [installation], caller=caller, reasons=reasons)
        # Before the requirements are judged anew: what lingers meets them as long as it does.
        await self._installations.settle(transaction, [tenant])
        await self._installations.reassess(transaction, [tenant], [request.plugin_id], known=known)
        return installation, replaced or (), outlook

    async def uninstall(
        self, tenant: str, request: UninstallRequest, *, caller: str = SYSTEM_PLUGIN
    ) -> InstallationList:
        """Take a plugin's versions in the range out of a tenant, all without one, and return them: perhaps none.

        Raises:
            TenantNotFoundError: There is no such tenant.
            PluginNotFoundError: Nobody published the plugin.
            InvalidRequestError: Its data shall go, but another version stays.
            StillRequiredError: Installed plugins require it; details: ``blockedBy``. With ``force`` that is recorded
                instead.
            TransportError: RabbitMQ could not be made to fit; nothing was changed.
        """
        plugin_id = request.plugin_id
        async with self._changes.of(plugin_id) as transaction:
            await self._tenants.require(transaction, tenant)
            await plugins.versions(transaction, plugin_id)
            there = await store.installations_of(transaction, plugin_id, tenant)
            gone = chosen(there, request)
            blocked = await _blockers(transaction, tenant, plugin_id, {item.version for item in gone})
            if not request.force:
                refuse_required(plugin_id if request.version is None else f"{plugin_id}@{request.version}", blocked)
            reasons = [f"required by {item.plugin_id}" for item in blocked]
            await self.take_all(transaction, gone, overridden=reasons)
            await overrides.record(transaction, "uninstall", gone, caller=caller, reasons=reasons)
            if request.remove_data and self._remove_data is not None:
                await self._remove_data(transaction, tenant, plugin_id)
        await self._changes.clear(plugin_id)
        return InstallationList(installations=gone)

    async def take_all(
        self, transaction: Transaction, gone: Sequence[Installation], *, overridden: Sequence[str] = ()
    ) -> None:
        """Take installations out, and whatever lingered only for them; within a topology change of their plugins."""
        tenants = sorted({item.tenant for item in gone})
        for installation in gone:
            await self._installations.take(transaction, installation, overridden=overridden)
        if gone:
            await self._installations.settle(transaction, tenants)
            await self._installations.reassess(transaction, tenants, {item.plugin_id for item in gone})

    async def before_tenant_removal(self, transaction: Transaction, tenant: str) -> None:
        """Uninstall everything in a tenant that is about to be removed: a hook for `Tenants.before_removal`."""
        there = await store.installations(transaction, tenant)
        watching = await provisioned.watching_in(transaction, tenant)
        touched = sorted({*watching, *(item.plugin_id for item in there)})
        async with self._changes.within(transaction, *touched):
            await self.take_all(transaction, there)
            for plugin in watching:
                await provisioned.remove_watches_in(transaction, tenant, plugin)

    # Asking beforehand

    async def can_uninstall(self, tenant: str, plugin_id: str) -> CanUninstall:
        """Who stands in the way: plugins installed in the tenant that require this one.

        Raises:
            TenantNotFoundError: There is no such tenant.
            PluginNotFoundError: Nobody knows the plugin.
        """
        await self._tenants.require(self._database, tenant)
        await plugins.versions(self._database, plugin_id)
        blockers = await _blockers(self._database, tenant, plugin_id)
        return CanUninstall(can_uninstall=not blockers, blocked_by=blockers)

    async def what_if(self, plugin_id: str, range_: str = "*") -> WhatIf:
        """What an upgrade to the highest known version in the range would do in every tenant; changes nothing.

        Raises:
            PluginNotFoundError: Nobody published the plugin.
            VersionMismatchError: No published version is in the range.
        """
        async with self._database.transaction() as transaction:  # one moment for all that is read
            version = await choose_version(transaction, plugin_id, range_)
            known = await store.known_facts(transaction)
            tenants = await store.tenants_of(transaction, plugin_id)
            everything = await store.installations_in(transaction, tenants)
        outlooks: dict[tuple[tuple[Node, bool], ...], Outlook] = {}
        found: list[TenantOutlook] = []
        for tenant in tenants:
            there = everything[tenant]
            alike = tuple((node_of(item), item.superseded) for item in there)
            if alike not in outlooks:  # most tenants have the same plugins installed
                outlooks[alike] = _look_ahead((plugin_id, version), known, there, alone=True)
            found.append(_in_tenant(tenant, plugin_id, version, there, outlooks[alike]))
        valid = all(outlook.valid for outlook in found)
        return WhatIf(plugin_id=plugin_id, version=version, valid=valid, tenants=tuple(found))

    async def resolve(self, tenant: str, plugin_id: str) -> Resolution:
        """Resolve a plugin in a tenant; `TenantNotFoundError` and `PluginNotFoundError` as they say."""
        await self._tenants.require(self._database, tenant)
        return await resolve_in(self._database, tenant, plugin_id)

    async def installations(self, tenant: str) -> InstallationList:
        """What is installed in a tenant; `TenantNotFoundError` if there is none of that name."""
        await self._tenants.require(self._database, tenant)
        return InstallationList(installations=await store.installations(self._database, tenant))


async def choose_version(source: Source, plugin_id: str, range_: str) -> str:
    """The highest known version in a range.

    Raises:
        PluginNotFoundError: Nobody published the plugin.
        VersionMismatchError: No published version is in the range.
    """
    known = await plugins.versions(source, plugin_id)
    version = highest(known, range_)
    if version is None:
        raise VersionMismatchError(
            f"Plugin {plugin_id} has no version in {range_}: known are {', '.join(known)}", versions=known
        )
    return version


def _look_ahead(node: Node, known: Known, there: Sequence[Installation], *, alone: bool) -> Outlook:
    superseded = {node_of(item) for item in there if item.superseded}
    return look_ahead(known[node], known, [known[node_of(item)] for item in there], superseded, alone=alone)


def _in_tenant(
    tenant: str, plugin_id: str, version: str, there: Sequence[Installation], outlook: Outlook
) -> TenantOutlook:
    mine = [item for item in there if item.plugin_id == plugin_id]
    installed = tuple(item.version for item in mine)
    if [item.version for item in mine if not item.superseded] == [version]:  # an upgrade would change nothing
        return TenantOutlook(tenant=tenant, installed=installed, valid=True)
    return TenantOutlook(
        tenant=tenant,
        installed=installed,
        valid=outlook.resolution.valid,
        errors=outlook.resolution.errors,
        warnings=outlook.resolution.warnings,
        breaks=outlook.breaks,
    )


async def _blockers(
    source: Source, tenant: str, plugin_id: str, gone: Collection[str] | None = None
) -> tuple[Blocker, ...]:
    """Who stands in the way when these versions go; all of them when None."""
    known = await store.known_facts(source)
    there = [known[node_of(item)] for item in await store.installations(source, tenant)]
    mine = {facts.version for facts in there if facts.id == plugin_id}
    return blockers(there, plugin_id, mine if gone is None else gone)

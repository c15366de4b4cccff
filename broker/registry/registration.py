"""A registration within its transaction: from a checked request to rows and announcements."""

from dataclasses import dataclass

import structlog

from broker.dependencies import store as dependencies
from broker.dependencies.installations import Installations, resolve_in
from broker.dependencies.lifecycle import refuse_unresolved
from broker.dependencies.resolver import major
from broker.grants.service import Grants
from broker.plugins import store as plugins
from broker.registry import store, subscriptions
from broker.registry.announcements import Announcements
from broker.registry.catalogue import Catalogue
from broker.registry.rules import ServiceKey
from broker.registry.statuses import standing_of
from broker.registry.store import Instance
from broker.storage.database import Source, Transaction
from broker.tenants.store import Tenants
from contracts.dependencies import Installation
from contracts.errors import NameTakenError
from contracts.manifest import Dependency
from contracts.registry import RegisterAnswer, RegisterRequest, ServiceRecord, TenantView
from contracts.topology import Topology
from contracts.versions import ordered

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator chose.

    Attributes:
        auto_install: A plugin that registers is installed in the tenants it names, which are made if need be.
    """

    lease_seconds: float = 15.0
    heartbeat_seconds: float = 5.0
    auto_install: bool = False


class Registration:
    """Writes registrations; the caller opens the transaction."""

    def __init__(
        self,
        *,
        tenants: Tenants,
        installations: Installations,
        announcements: Announcements,
        catalogue: Catalogue,
        grants: Grants,
        terms: Terms,
    ) -> None:
        self._tenants = tenants
        self._installations = installations
        self._announcements = announcements
        self._catalogue = catalogue
        self._grants = grants
        self._terms = terms

    async def write(self, transaction: Transaction, request: RegisterRequest, now: float) -> None:
        """Write everything a registration brings.

        Raises:
            NameTakenError: The instance id, or a service name, belongs to another plugin.
            InvalidRequestError: The plugin id is reserved, or another instance runs with other content of the version.
            UnresolvableError: ``strict``, and a required dependency is missing in a tenant.
        """
        manifest = request.manifest
        await refuse_stranger(transaction, request)
        taken_back = await _taken_back(transaction, request)
        is_new = await plugins.publish(transaction, manifest, by=request.instance_id)
        if is_new:
            await self._announcements.dependencies(
                transaction, manifest.id, manifest.version, manifest.api.dependencies
            )
        touched = await self._auto_install(transaction, request, is_new=is_new)
        if is_new:  # what was registered beside the former manifest went with it
            await store.stop_serving(transaction, request.instance_id)
        await _write_instance(transaction, request, taken_back, now)
        if is_new:
            touched |= set(await dependencies.tenants_of(transaction, manifest.id))
        await self._installations.settle(transaction, touched)
        await self._installations.reassess(transaction, touched, [manifest.id])
        if request.strict:
            for tenant in await dependencies.tenants_of(transaction, manifest.id, manifest.version):
                refuse_unresolved(await resolve_in(transaction, tenant, manifest.id, manifest.version))
        for service in manifest.api.services:
            if service.name not in taken_back:
                await self.announce_registered(transaction, (service.name, service.version), request.instance_id)

    async def announce_registered(self, transaction: Transaction, service: ServiceKey, instance_id: str) -> None:
        """Announce that an instance serves a service version; its status counts as announced."""
        record = await self._catalogue.record(transaction, service)
        if record is not None:
            await store.set_standing(transaction, service, standing_of(record))
            await self._announcements.service(transaction, "registered", record, instance_id)

    async def answer(self, source: Source, request: RegisterRequest, topology: Topology) -> RegisterAnswer:
        """What the instance is told, as of the registration just written."""
        manifest, instance = request.manifest, request.instance_id
        heard = await dependencies.tenants_of(source, manifest.id)
        reasons = await dependencies.reasons_of(source, manifest.id, manifest.version)
        asked = await dependencies.declared(source, manifest.id, manifest.version)
        now = await store.revision(source)
        return RegisterAnswer(
            instance_id=instance,
            lease_seconds=self._terms.lease_seconds,
            heartbeat_seconds=self._terms.heartbeat_seconds,
            reply_queue=topology.reply_queue(manifest.id, instance).name,
            instance_queue=topology.instance_queue(manifest.id, instance).name,
            call_queues={
                item.name: topology.call_queue(item.name, item.version).name for item in manifest.api.services
            },
            subscription_queues={
                item.name: topology.event_queue(manifest.id, item.name).name
                for item in request.subscriptions
                if not item.broadcast
            },
            tenants=tuple(await dependencies.tenants_of(source, manifest.id, manifest.version)),
            serving=await store.serving_tenants(source, manifest.id, manifest.version),
            heard_tenants=tuple(heard),
            views=tuple([await self._view(source, tenant, asked, now) for tenant in heard]),
            dependencies=asked,
            revision=now,
            status="DEGRADED" if reasons else "HEALTHY",
            reasons=reasons,
            keys=self._grants.keys,
            grants=await self._grants.up_front(source, manifest.id),
        )

    async def _view(self, source: Source, tenant: str, asked: tuple[Dependency, ...], revision: int) -> TenantView:
        found: dict[str, ServiceRecord] = {}
        for dependency in asked:
            records = await self._catalogue.installed(
                source, tenant, name=dependency.service_name, plugin=dependency.plugin_id
            )
            found.update((record.id, record.without_schemas()) for record in records)
        return TenantView(tenant=tenant, services=tuple(found.values()), revision=revision)

    async def _auto_install(self, transaction: Transaction, request: RegisterRequest, *, is_new: bool) -> set[str]:
        if not self._terms.auto_install:
            return set()
        plugin, version = request.manifest.id, request.manifest.version
        touched: set[str] = set()
        for tenant in request.tenants:
            await self._tenants.ensure(transaction, tenant)
            if await self._is_outdated(transaction, tenant, plugin, version):
                _log.warning("registration.older_than_installed", plugin=plugin, version=version, tenant=tenant)
                continue
            installation = Installation(tenant=tenant, plugin_id=plugin, version=version)
            if await self._installations.put(transaction, installation) is not None:
                touched.add(tenant)
            elif is_new:  # its author changed the manifest and starts it again: nobody else is there to agree to it
                await self._installations.grant(transaction, installation)
        return touched

    async def _is_outdated(self, source: Source, tenant: str, plugin: str, version: str) -> bool:
        """Whether a higher version of the same major is installed and runs: a rolling upgrade is not taken back."""
        running = {item.plugin_version for item in await store.instances(source, plugin) if item.state != "UNAVAILABLE"}
        there = await dependencies.current_versions(source, tenant, plugin)
        rivals = [other for other in there if major(other) == major(version) and other in running]
        return any(ordered([version, other])[-1] != version for other in rivals)


async def refuse_stranger(source: Source, request: RegisterRequest) -> None:
    """Raise `NameTakenError` if the instance id belongs to another plugin."""
    known = await store.instance(source, request.instance_id)
    if known is not None and known.plugin_id != request.manifest.id:
        raise NameTakenError(
            f"Instance {request.instance_id} belongs to {known.plugin_id}, not to {request.manifest.id}",
            owner=known.plugin_id,
        )


async def _taken_back(source: Source, request: RegisterRequest) -> set[str]:
    """What a known instance offered once and serves no more: it stays so until the instance registers it again."""
    known = await store.instance(source, request.instance_id)
    if known is None or known.plugin_version != request.manifest.version:
        return set()
    offered = await plugins.manifest_of(source, known.plugin_id, known.plugin_version)
    served = {name for name, _ in await store.served(source, known.id)}
    return {service.name for service in offered.api.services} - served if offered else set()


async def _write_instance(transaction: Transaction, request: RegisterRequest, taken_back: set[str], now: float) -> None:
    manifest = request.manifest
    instance = Instance(
        id=request.instance_id,
        plugin_id=manifest.id,
        plugin_version=manifest.version,
        reported="HEALTHY",
        state="HEALTHY",
        last_heard=now,
    )
    await store.write_instance(transaction, instance)
    for service in manifest.api.services:
        if service.name not in taken_back:
            await store.serve(transaction, instance.id, service.name, service.version)
    await subscriptions.hear(transaction, instance.id, request.subscriptions)
    await subscriptions.settle(transaction, manifest.id)

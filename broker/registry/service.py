"""The registry: instances come, report and go; services are found."""

import contextlib
from collections.abc import Callable, MutableMapping, Sequence

import structlog

from broker.plugins import store as plugins
from broker.provisioning.changes import Changes
from broker.provisioning.provisioner import Provisioner
from broker.registry import store, subscriptions
from broker.registry.announcements import Announcements
from broker.registry.asked import offered, queues_of
from broker.registry.catalogue import Catalogue
from broker.registry.handshake import check_handshake
from broker.registry.registration import Registration, Terms, refuse_stranger
from broker.registry.roll import Roll
from broker.registry.rules import ServiceKey
from broker.registry.statuses import Statuses
from broker.registry.store import Instance
from broker.storage.database import Database, Source, Transaction
from broker.tenants.store import Tenants
from contracts.errors import (
    PermissionDeniedError,
    ServiceNotFoundError,
)
from contracts.registry import (
    DeregisterRequest,
    Heartbeat,
    HeartbeatAnswer,
    RegisterAnswer,
    RegisterRequest,
    ServiceList,
    ServiceRecord,
    ServiceRegistration,
    ServiceStatus,
    TenantView,
)

RETIRE_AFTER_SECONDS = 60.0
"""How long the queues of a deregistered instance stay: it still drains them, at most 30 s."""

_log = structlog.get_logger()


class _TakenBackError(Exception):
    """Rolls a rehearsal back."""


class Registry:
    """Who is there.

    Args:
        heard: When each instance was last heard; shared with catalogue and sweeper.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        database: Database,
        roll: Roll,
        changes: Changes,
        provisioner: Provisioner,
        tenants: Tenants,
        registration: Registration,
        catalogue: Catalogue,
        statuses: Statuses,
        announcements: Announcements,
        heard: MutableMapping[str, float],
        terms: Terms,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._roll = roll
        self._changes = changes
        self._provisioner = provisioner
        self._tenants = tenants
        self._registration = registration
        self._catalogue = catalogue
        self._statuses = statuses
        self._announcements = announcements
        self._heard = heard
        self._terms = terms
        self._now = now
        self.registered: dict[str, float] = {}
        """When each instance registered last, if this process let it in."""
        self.retired: dict[str, tuple[str, float]] = {}
        """Deregistered instances: their plugin, and when their queues go."""

    async def register(self, caller: str, request: RegisterRequest) -> RegisterAnswer:
        """Let an instance in: all of it or nothing. When this returns, its queues are there and bound.

        The same instance may register again; that refreshes everything but what it serves: a service that it took
        back stays taken back until `register_service`.

        Raises:
            IncompatibleRuntimeError: Its runtime is not one this broker speaks with.
            PermissionDeniedError: The caller is not the manifest's plugin.
            NameTakenError: Its instance id belongs to another plugin.
            InvalidRequestError: Its id is reserved for the broker, or another instance runs with other content of the
                same version.
            UnresolvableError: ``strict``, and a required dependency is missing.
            TransportError: RabbitMQ could not be prepared.
        """
        manifest, instance = request.manifest, request.instance_id
        check_handshake(request.protocol, request.runtime_version)
        if caller != manifest.id:
            raise PermissionDeniedError(f"Plugin {caller} may not register {manifest.id}", missing=manifest.id)
        plugins.refuse_reserved(manifest.id)
        await refuse_stranger(self._database, request)
        await plugins.refuse_other_content(self._database, manifest, by=instance)
        now = self._now()
        if request.strict:
            await self._rehearse(request, now)
        # Quorum queues take their time; no transaction waits for them.
        await self._provisioner.declare(queues_of(self._provisioner.topology, request))
        is_known = await store.instance(self._database, instance) is not None
        async with self._changes.of(manifest.id, refresh=is_known) as transaction:
            await self._registration.write(transaction, request, now)
            answer = await self._registration.answer(transaction, request, self._provisioner.topology)
            transaction.on_commit(lambda: self._note(instance, now))
        _log.info(
            "instance.registered",
            plugin=manifest.id,
            version=manifest.version,
            instance=instance,
            tenants=len(answer.tenants),
            status=answer.status,
        )
        return answer

    async def _rehearse(self, request: RegisterRequest, now: float) -> None:
        """Write a registration that may be refused, and take it back: refused later, it would leave queues behind."""
        with contextlib.suppress(_TakenBackError):
            async with self._database.transaction() as transaction:
                await self._registration.write(transaction, request, now)
                raise _TakenBackError

    async def register_service(self, caller: str, request: ServiceRegistration) -> ServiceRecord:
        """Let a registered instance serve one more service, or one it took back; the rest comes from the manifest.

        Raises:
            ServiceNotFoundError: The instance is not registered.
            PermissionDeniedError: The instance belongs to another plugin.
            NameTakenError: The service name belongs to another plugin.
            InvalidRequestError: The manifest does not list it and version or endpoints are missing, or the version
                is not the manifest's.
        """
        async with self._changes.of(caller) as transaction:
            instance = await self._owned(transaction, caller, request.instance_id)
            manifest = await plugins.manifest_of(transaction, caller, instance.plugin_version)
            service = offered(manifest, request)
            await plugins.write_service(transaction, caller, instance.plugin_version, service)
            key = (service.name, service.version)
            await store.serve(transaction, instance.id, *key)
            await self._registration.announce_registered(transaction, key, instance.id)
            record = await self._catalogue.record(transaction, key)
        if record is None:
            raise ServiceNotFoundError(f"Service {service.name} not found or unavailable")
        return record

    async def heartbeat(self, caller: str, beat: Heartbeat) -> HeartbeatAnswer:
        """Renew a lease; an instance that was given up is bound again and announced.

        Returns:
            ``known`` is false for an instance that must register again.

        Raises:
            PermissionDeniedError: The instance belongs to another plugin.
        """
        instance = await self._roll.instance(beat.instance_id)
        if instance is not None and instance.plugin_id != caller:
            raise PermissionDeniedError(f"Instance {instance.id} belongs to {instance.plugin_id}, not to {caller}")
        if instance is not None:
            now = self._now()
            if (instance.reported, instance.state) != (beat.status, beat.status):
                await self._revive(instance, beat, now)
            self._heard[instance.id] = now
        return HeartbeatAnswer(
            known=instance is not None,
            lease_seconds=self._terms.lease_seconds,
            revision=await self._roll.revision(),
        )

    async def _revive(self, instance: Instance, beat: Heartbeat, now: float) -> None:
        async with self._changes.of(instance.plugin_id) as transaction:
            await store.set_state(transaction, instance.id, beat.status, beat.status, now)
            await self._statuses.settle(transaction, [instance.plugin_id])

    async def deregister(self, caller: str, request: DeregisterRequest) -> None:
        """Let an instance go, or take one service back; with ``all``, every instance's of the caller's.

        When this returns, a service version that nobody serves any more is unbound: calls fail at once.

        Raises:
            ServiceNotFoundError: There is nothing to take back.
            PermissionDeniedError: The instance belongs to another plugin.
        """
        async with self._changes.of(caller) as transaction:
            own = await self._owned(transaction, caller, request.instance_id)
            leaving = await store.instances(transaction, caller) if request.all else [own]
            gone: list[tuple[str, ServiceKey]] = []
            for instance in leaving:
                gone += await self._leave(transaction, instance, request.service_name)
            await subscriptions.settle(transaction, caller)
            if request.service_name is not None and not gone:
                raise ServiceNotFoundError(f"Service {request.service_name} not found or unavailable")
            for instance_id, service in gone:
                await self._statuses.deregistered(transaction, service, instance_id)
            due = self._now() + RETIRE_AFTER_SECONDS
            if request.service_name is None:
                transaction.on_commit(lambda: self._retire(leaving, due))
        _log.info("instance.deregistered", plugin=caller, instances=len(leaving), service=request.service_name)

    async def _leave(
        self, transaction: Transaction, instance: Instance, name: str | None
    ) -> list[tuple[str, ServiceKey]]:
        served = await store.served(transaction, instance.id)
        gone = [(instance.id, service) for service in served if name in (None, service[0])]
        if name is None:
            await store.remove_instance(transaction, instance.id)
        else:
            await store.stop_serving(transaction, instance.id, name)
        return gone

    # Reading

    async def list(
        self,
        tenant: str,
        *,
        plugin_id: str | None = None,
        status: ServiceStatus | None = None,
        page: int = 1,
        limit: int,
    ) -> ServiceList:
        """A page of the services registered in a tenant, without schemas; ``count`` is that of all pages.

        Raises:
            TenantNotFoundError: There is no such tenant.
        """
        await self._tenants.require(self._database, tenant)
        found = await self._catalogue.registered(self._database, tenant, plugin=plugin_id, status=status)
        start = (page - 1) * limit
        page_of = tuple(record.without_schemas() for record in found[start : start + limit])
        return ServiceList(services=page_of, count=len(found))

    async def discover(self, tenant: str, name: str, range_: str = "*") -> ServiceRecord:
        """The best version of a service, with schemas; errors as in `Catalogue.discover`, and `TenantNotFoundError`."""
        await self._tenants.require(self._database, tenant)
        return await self._catalogue.discover(self._database, tenant, name, range_)

    async def versions(self, tenant: str, name: str) -> TenantView:
        """Every installed version of a service with its status, without schemas; none is no error."""
        async with self._database.transaction() as transaction:
            await self._tenants.require(transaction, tenant)
            found = await self._catalogue.installed(transaction, tenant, name=name)
            services = tuple(record.without_schemas() for record in found)
            return TenantView(tenant=tenant, services=services, revision=await store.revision(transaction))

    # Memory

    def forget(self, instance: Instance, due: float) -> None:
        """Let go of an instance whose row is gone; its queues go when ``due`` comes."""
        self._heard.pop(instance.id, None)
        self.registered.pop(instance.id, None)
        self.retired[instance.id] = (instance.plugin_id, due)

    def _note(self, instance: str, now: float) -> None:
        self._heard[instance] = self.registered[instance] = now
        self.retired.pop(instance, None)

    def _retire(self, leaving: Sequence[Instance], due: float) -> None:
        for instance in leaving:
            self.forget(instance, due)

    async def _owned(self, source: Source, caller: str, instance_id: str) -> Instance:
        instance = await store.instance(source, instance_id)
        if instance is None:
            raise ServiceNotFoundError(f"Instance {instance_id} of {caller} is not registered", instanceId=instance_id)
        if instance.plugin_id != caller:
            raise PermissionDeniedError(f"Instance {instance_id} belongs to {instance.plugin_id}, not to {caller}")
        return instance

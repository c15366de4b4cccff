"""Brings one instance of a plugin up and down, in order.

start    connect -> register (queues now exist) -> consume replies and announcements -> subscriptions -> calls
         -> heartbeats
stop     deregister (no new calls are routed here) -> run until the call queues are empty -> cancel consumers
         -> finish every delivery already received -> close
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog

from contracts.errors import CodedError, ServiceNotFoundError, ServiceUnavailableError, TransportError
from contracts.events import DataChange
from contracts.grants import GrantList
from contracts.registry import REGISTRY_SERVICE, Announcement, HeartbeatAnswer, RegisterAnswer, TenantView
from contracts.topology import Topology
from plugin_runtime.announcements import InstanceQueue
from plugin_runtime.calls.admission import Admission
from plugin_runtime.calls.answers import Answers
from plugin_runtime.calls.cached import CachedCalls
from plugin_runtime.calls.caller import Caller
from plugin_runtime.calls.client import CallClient
from plugin_runtime.calls.server import CallServer
from plugin_runtime.consumers import Consumers
from plugin_runtime.context import Deadline
from plugin_runtime.data.watch import Watchers
from plugin_runtime.dead_letters import DeadLetters
from plugin_runtime.definition import Definition
from plugin_runtime.discovery import ServiceDiscovery
from plugin_runtime.events.consumer import EventConsumer
from plugin_runtime.events.published_keys import PublishedKeys
from plugin_runtime.events.publisher import EventPublisher
from plugin_runtime.gate import Gate
from plugin_runtime.grants import Grants
from plugin_runtime.heart import Heart
from plugin_runtime.installations import Installations
from plugin_runtime.keys import KeyRing
from plugin_runtime.platform_client import PlatformClient
from plugin_runtime.registration import Registrar
from plugin_runtime.registry_view import RegistryView
from plugin_runtime.settings import RuntimeSettings
from plugin_runtime.slips import tell_slips
from plugin_runtime.tenant import Means, TenantClient
from plugin_runtime.transport.base import Transport

log = structlog.get_logger()

REGISTRATION_TRIES = 3
INSTALLED_NOWHERE = (
    "nobody can call it before it is installed in a tenant: plexica tenant create TENANT, then "
    "plexica install {plugin} -t TENANT; or, in development, a broker with PLEXICA_AUTO_INSTALL=yes"
)


class Runner:
    """One running instance of a plugin.

    Use it as ``async with``; entering waits until RabbitMQ and the broker are there and the plugin serves, leaving
    waits until all work received is done, at most ``settings.grace_seconds``.
    """

    def __init__(
        self,
        definition: Definition,
        transport: Transport,
        registrar: Registrar,
        settings: RuntimeSettings,
        *,
        instance: str,
        serves_all_tenants: bool = False,
        owns_transport: bool = True,
    ) -> None:
        definition.verify()
        self.instance = instance
        self.answer: RegisterAnswer | None = None
        self._definition = definition
        self._transport = transport
        self._owns_transport = owns_transport
        self._registrar = registrar
        self._settings = settings
        topology = Topology(settings.prefix)
        manifest = definition.manifest
        self._view = RegistryView()
        self._discovery = ServiceDiscovery(manifest, self._view, self._ask_versions)
        keys = KeyRing()
        self._grants = Grants(self._ask_grants, keys)
        self._client = CallClient(transport, topology, instance=instance, tokens=self._grants)
        self._cached = CachedCalls(self._client, myself=manifest.id, clock=time.monotonic)
        self._caller = Caller(self._client, self._discovery, retries=settings.retries, cached=self._cached)
        published = PublishedKeys(manifest.id, manifest.api.events.publishes)
        announcement_watchers, data_watchers = Watchers[Announcement](), Watchers[DataChange]()
        means = Means(
            manifest=manifest,
            instance=instance,
            caller=self._caller,
            publisher=EventPublisher(transport, topology, tokens=self._grants, keys=published),
            discovery=self._discovery,
            data_watchers=data_watchers,
            announcement_watchers=announcement_watchers,
        )
        self._installations = Installations(manifest, means, self._grants, everywhere=serves_all_tenants)
        self._heart = Heart(
            instance=instance,
            beat=self._beat,
            is_complete=self._view.heard_revision,
            register=self._register,
            renew=self._grants.renew,
        )
        dead_letters = DeadLetters(transport, topology)
        gate = Gate(
            topology,
            myself=manifest.id,
            keys=keys,
            refresh_keys=self._grants.refresh_keys,
            is_broker_silent=lambda: registrar.is_broker_silent,
        )
        self._server = CallServer(
            admission=Admission(
                gate=gate,
                tenants=self._installations,
                routers=definition.routers(),
                services=manifest.api.services,
                myself=manifest.id,
            ),
            answers=Answers(transport, topology, instance=instance, dead_letters=dead_letters),
            tenants=self._installations,
            myself=manifest.id,
            services={service.name: service.version for service in manifest.api.services},
            concurrency=settings.concurrency,
        )
        self._events = EventConsumer(
            transport,
            topology,
            gate=gate,
            tenants=self._installations,
            dead_letters=dead_letters,
            concurrency=settings.concurrency,
        )
        self._own = InstanceQueue(
            topology,
            manifest,
            keys=keys,
            view=self._view,
            installations=self._installations,
            events=self._events,
            broadcasts=[mark for mark in definition.marks if mark.broadcast],
            on_presence=self._client.on_presence,
            on_announced=self._cached.heed,
            on_service=self._server.on_service,
            on_cancel=self._server.take_back,
            on_declared=self._discovery.declare,
            on_gap=self._heart.lose_track,
            announcement_watchers=announcement_watchers,
            data_watchers=data_watchers,
            concurrency=settings.concurrency,
        )
        self._consumers = Consumers(
            transport,
            definition,
            client=self._client,
            server=self._server,
            events=self._events,
            own=self._own,
            concurrency=settings.concurrency,
        )

    @property
    def platform(self) -> PlatformClient:
        """Tenants and known plugins."""
        return PlatformClient(self._caller)

    def tenant(self, tenant: str) -> TenantClient:
        """Everything the plugin can do for one tenant."""
        return self._installations.client(tenant)

    async def __aenter__(self) -> Self:
        """Start; what was begun is undone when starting fails, so that nobody calls an instance that is not there."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Connect, register and consume; waits for RabbitMQ and the broker, however long they take.

        Raises:
            StartError: The address or the login cannot work.
            CodedError: The broker refuses the plugin.
        """
        tell_slips(self._definition)
        await self._transport.open()
        answer = await self._register()
        await self._consumers.start(answer)
        self._transport.on_reconnected(self._reconnected)
        self._heart.start(answer.heartbeat_seconds)
        log.info(
            "plugin.started",
            plugin=self._definition.manifest.id,
            version=self._definition.manifest.version,
            instance=self.instance,
            tenants=len(answer.tenants),
            status=answer.status,
            reasons=list(answer.reasons),
        )
        if not answer.tenants and self._owns_transport:
            plugin = self._definition.manifest.id
            log.warning("plugin.installed_nowhere", plugin=plugin, hint=INSTALLED_NOWHERE.format(plugin=plugin))

    async def stop(self) -> None:
        """Stop in order; work in flight is finished, at most for the grace. Idempotent."""
        deadline = Deadline.after(self._settings.grace_seconds)
        answer, self.answer = self.answer, None
        try:
            await self._heart.stop()
            if answer is not None and self._consumers:
                await self._leave(answer, deadline)
            else:
                await self._registrar.withdraw()
        finally:
            await self._abandon()

    async def _leave(self, answer: RegisterAnswer, deadline: Deadline) -> None:
        try:
            await self._registrar.deregister(self._caller)
        except (CodedError, TransportError) as error:
            log.warning("plugin.not_deregistered", reason=str(error))
        # The broker unbinds a version's queue with its last instance; what is in it by then is still run.
        await self._consumers.until_empty(list(answer.call_queues.values()), deadline)
        await self._consumers.stop_working()
        if self._owns_transport:  # what waits in the broker's own queues is for the next broker
            await self._consumers.take_leftovers(answer, deadline)
        await self._server.drain(deadline.remaining_seconds)
        await self._events.drain(deadline.remaining_seconds)
        await self._consumers.stop_listening()
        await self._own.drain(deadline.remaining_seconds)
        log.info("plugin.stopped", plugin=self._definition.manifest.id, instance=self.instance)

    async def _abandon(self) -> None:
        await self._client.close()
        await self._grants.close()
        await self._discovery.close()
        if self._owns_transport:
            await self._transport.close()

    async def _register(self) -> RegisterAnswer:
        answer = await self._registrar.register()
        for _ in range(REGISTRATION_TRIES):
            if answer.revision >= self._view.revision:
                break
            # Announcements overtook the answer: what it shows is older than what is known.
            answer = await self._registrar.register()
        self._discovery.declare(answer.dependencies)
        services = [item.service_name for item in answer.dependencies if item.service_name]
        self._view.reset(answer.views, services, answer.revision)
        self._installations.replace(answer)
        self._cached.clear()
        self.answer = answer
        if answer.status != "HEALTHY":
            log.warning("plugin.degraded", plugin=self._definition.manifest.id, reasons=list(answer.reasons))
        return answer

    async def _reconnected(self) -> None:
        """Make good what was lost with the connection; the heart tries to register until it succeeds."""
        self._client.on_reconnected()
        self._cached.clear()
        self._heart.lose_track()

    async def _beat(self) -> HeartbeatAnswer | None:
        return await self._registrar.heartbeat(self._caller, self._server.load)

    async def _ask_grants(self, tenants: Sequence[str]) -> GrantList:
        return await self._registrar.grants(self._caller, tenants)

    async def _ask_versions(self, tenant: str, service: str, deadline: Deadline) -> TenantView:
        timeout = max(0.001, deadline.remaining_seconds)
        path = f"/services/{service}/versions"
        try:
            return TenantView.parse(await self._caller.ask(tenant, REGISTRY_SERVICE, "GET", path, timeout=timeout))
        except ServiceNotFoundError as error:
            raise ServiceUnavailableError("no broker answers") from error

"""The broker's subjects over one store, and the endpoints that answer for them; nothing here runs by itself."""

from collections.abc import Callable

from broker.administration import Administration
from broker.control import assemble
from broker.data import endpoints as data_endpoints
from broker.data.service import SharedData
from broker.dependencies import endpoints as dependency_endpoints
from broker.grants import endpoints as grant_endpoints
from broker.outbox.store import Outbox
from broker.plugins import endpoints as plugin_endpoints
from broker.provisioning.provisioner import Provisioner
from broker.registry import endpoints as registry_endpoints
from broker.registry.presence import Presence
from broker.registry.registration import Terms
from broker.settings import BrokerSettings
from broker.storage.database import Database, Transaction
from broker.tenants import endpoints as tenant_endpoints
from broker.tenants.store import Tenants
from contracts.topology import Topology
from plugin_runtime import Plugin
from plugin_runtime.transport.base import Transport


class Subjects:
    """Tenants, plugins, registry, grants, dependencies and shared data.

    Attributes:
        outbox: What is to be announced.
        data: Shared data.
        grants: Signs who may speak for whom; prepare it before anything is answered.
        sweeper: Judges leases.
        heartbeats: Renews them.
    """

    def __init__(
        self, database: Database, provisioner: Provisioner, settings: BrokerSettings, *, now: Callable[[], float]
    ) -> None:
        self.outbox = Outbox(database)
        self._tenants = Tenants(database)
        self._administration = Administration(operators=frozenset(settings.operators), is_open=settings.auto_install)
        self._control = assemble(
            database=database,
            outbox=self.outbox,
            tenants=self._tenants,
            provisioner=provisioner,
            terms=Terms(
                lease_seconds=settings.lease_seconds,
                heartbeat_seconds=settings.heartbeat_seconds,
                auto_install=settings.auto_install,
            ),
            administration=self._administration,
            now=now,
            remove_data=self._remove_data,
        )
        self._database = database
        self._lease_seconds = settings.lease_seconds
        self._now = now
        self.sweeper = self._control.sweeper
        self.heartbeats = self._control.heartbeats
        self.grants = self._control.grants
        self.data = SharedData(database, self.outbox, self._tenants, self._control.manifests, now=now)

    def presence(self, transport: Transport, topology: Topology, *, vhost: str) -> Presence:
        """What asks RabbitMQ who is there, over the broker's own connection."""
        return Presence(
            database=self._database,
            departures=self._control.departures,
            transport=transport,
            topology=topology,
            vhost=vhost,
            registered=self._control.registry.registered,
            lease_seconds=self._lease_seconds,
            now=self._now,
        )

    def mount(self, plugin: Plugin) -> None:
        """Let the system plugin answer for every subject."""
        control = self._control
        registry_endpoints.mount(plugin, control.registry)
        grant_endpoints.mount(plugin, self.grants)
        tenant_endpoints.mount(plugin, self._tenants, self._administration)
        plugin_endpoints.mount(plugin, control.manifests, control.removal, self._administration)
        dependency_endpoints.mount(plugin, control.declarations, control.lifecycle, self._administration)
        data_endpoints.mount(plugin, self.data, control.watches)

    async def _remove_data(self, transaction: Transaction, tenant: str, plugin_id: str) -> None:
        await self.data.remove_written_by(transaction, tenant, plugin_id)

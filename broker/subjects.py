"""The broker's subjects over one store, and the endpoints that answer for them; nothing here runs by itself."""

from collections.abc import Callable

from broker.control import assemble
from broker.data import endpoints as data_endpoints
from broker.data.service import SharedData
from broker.dependencies import endpoints as dependency_endpoints
from broker.grants import endpoints as grant_endpoints
from broker.outbox.store import Outbox
from broker.plugins import endpoints as plugin_endpoints
from broker.provisioning.provisioner import Provisioner
from broker.registry import endpoints as registry_endpoints
from broker.registry.registration import Terms
from broker.settings import BrokerSettings
from broker.storage.database import Database, Transaction
from broker.tenants import endpoints as tenant_endpoints
from broker.tenants.store import Tenants
from plugin_runtime import Plugin


class Subjects:
    """Tenants, plugins, registry, grants, dependencies and shared data.

    Attributes:
        outbox: What is to be announced.
        data: Shared data.
        grants: Signs who may speak for whom; prepare it before anything is answered.
        sweeper: Judges leases.
    """

    def __init__(
        self, database: Database, provisioner: Provisioner, settings: BrokerSettings, *, now: Callable[[], float]
    ) -> None:
        self.outbox = Outbox(database)
        self._tenants = Tenants(database)
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
            now=now,
            operators=settings.operators,
            remove_data=self._remove_data,
        )
        self.sweeper = self._control.sweeper
        self.grants = self._control.grants
        self.data = SharedData(database, self.outbox, self._tenants, self._control.manifests, now=now)

    def mount(self, plugin: Plugin) -> None:
        """Let the system plugin answer for every subject."""
        registry_endpoints.mount(plugin, self._control.registry)
        grant_endpoints.mount(plugin, self.grants)
        tenant_endpoints.mount(plugin, self._tenants)
        plugin_endpoints.mount(plugin, self._control.manifests)
        dependency_endpoints.mount(plugin, self._control.lifecycle)
        data_endpoints.mount(plugin, self.data, self._control.watches)

    async def _remove_data(self, transaction: Transaction, tenant: str, plugin_id: str) -> None:
        await self.data.remove_written_by(transaction, tenant, plugin_id)

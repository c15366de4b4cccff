"""The broker's subjects and how they lean on one another; nothing here runs by itself."""

from collections.abc import Callable

from broker.data import endpoints as data_endpoints
from broker.data.service import SharedData
from broker.dependencies import endpoints as dependency_endpoints
from broker.dependencies.installations import Installations
from broker.dependencies.lifecycle import Lifecycle
from broker.outbox.store import Outbox
from broker.plugins import endpoints as plugin_endpoints
from broker.plugins.service import Manifests
from broker.provisioning.changes import Changes
from broker.provisioning.provisioner import Provisioner
from broker.provisioning.watches import Watches
from broker.registry import endpoints as registry_endpoints
from broker.registry.announcements import Announcements
from broker.registry.catalogue import Catalogue
from broker.registry.registration import Registration, Terms
from broker.registry.service import Registry
from broker.registry.statuses import Statuses
from broker.registry.sweeper import Sweeper
from broker.settings import BrokerSettings
from broker.storage.database import Database
from broker.tenants import endpoints as tenant_endpoints
from broker.tenants.store import Tenants
from plugin_runtime import Plugin


class Subjects:
    """Tenants, plugins, registry, dependencies and shared data over one store.

    Attributes:
        outbox: What is to be announced.
        data: Shared data.
        sweeper: Judges leases.
    """

    def __init__(
        self, database: Database, provisioner: Provisioner, settings: BrokerSettings, *, now: Callable[[], float]
    ) -> None:
        terms = Terms(
            lease_seconds=settings.lease_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
            auto_install=settings.auto_install,
        )
        heard: dict[str, float] = {}
        self.outbox = Outbox(database)
        changes = Changes(database, provisioner)
        catalogue = Catalogue(heard)
        announcements = Announcements(self.outbox)
        statuses = Statuses(catalogue, announcements)
        installations = Installations(announcements, statuses)
        self._tenants = Tenants(database)
        self._manifests = Manifests(
            database=database, changes=changes, installations=installations, announcements=announcements
        )
        self._lifecycle = Lifecycle(
            database=database,
            changes=changes,
            tenants=self._tenants,
            installations=installations,
            announcements=announcements,
        )
        self._tenants.before_removal(self._lifecycle.before_tenant_removal)
        self._registry = Registry(
            database=database,
            changes=changes,
            provisioner=provisioner,
            tenants=self._tenants,
            registration=Registration(
                tenants=self._tenants,
                installations=installations,
                announcements=announcements,
                catalogue=catalogue,
                terms=terms,
            ),
            catalogue=catalogue,
            statuses=statuses,
            announcements=announcements,
            heard=heard,
            terms=terms,
            now=now,
        )
        self.sweeper = Sweeper(
            database=database,
            changes=changes,
            provisioner=provisioner,
            registry=self._registry,
            statuses=statuses,
            announcements=announcements,
            heard=heard,
            terms=terms,
            now=now,
        )
        self.data = SharedData(database, self.outbox, self._tenants, self._manifests, now=now)
        self._watches = Watches(database, provisioner)

    def mount(self, plugin: Plugin) -> None:
        """Let the system plugin answer for every subject."""
        registry_endpoints.mount(plugin, self._registry)
        tenant_endpoints.mount(plugin, self._tenants)
        plugin_endpoints.mount(plugin, self._manifests)
        dependency_endpoints.mount(plugin, self._lifecycle)
        data_endpoints.mount(plugin, self.data, self._watches)

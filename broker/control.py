"""The control plane's subjects, put together: what `bootstrap` mounts and tests speak to."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from broker.dependencies.installations import Installations
from broker.dependencies.lifecycle import Lifecycle, RemoveData
from broker.grants.permissions import Permissions
from broker.grants.service import Grants
from broker.outbox.store import Outbox
from broker.plugins.service import Manifests
from broker.provisioning.changes import Changes
from broker.provisioning.provisioner import Provisioner
from broker.provisioning.watches import Watches
from broker.registry.announcements import Announcements
from broker.registry.catalogue import Catalogue
from broker.registry.registration import Registration, Terms
from broker.registry.service import Registry
from broker.registry.statuses import Statuses
from broker.registry.sweeper import Sweeper
from broker.storage.database import Database
from broker.tenants.store import Tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Who is there, who needs whom, and what RabbitMQ holds for them."""

    manifests: Manifests
    lifecycle: Lifecycle
    registry: Registry
    grants: Grants
    sweeper: Sweeper
    watches: Watches


def assemble(
    *,
    database: Database,
    outbox: Outbox,
    tenants: Tenants,
    provisioner: Provisioner,
    terms: Terms,
    now: Callable[[], float],
    operators: Collection[str] = (),
    remove_data: RemoveData | None = None,
) -> Control:
    """Put the subjects together; nothing runs yet. From here on tenants are announced, and uninstalled when removed.

    ``now`` tells seconds since the epoch; ``operators`` get grants for every tenant; ``remove_data`` removes
    a plugin's shared data from a tenant when an uninstall asks for it.
    """
    heard: dict[str, float] = {}
    changes = Changes(database, provisioner)
    announcements = Announcements(outbox)
    catalogue = Catalogue(heard)
    statuses = Statuses(catalogue, announcements)
    permissions = Permissions()
    grants = Grants(
        database=database,
        tenants=tenants,
        permissions=permissions,
        announcements=announcements,
        operators=operators,
        now=now,
    )
    installations = Installations(announcements, statuses, permissions)
    lifecycle = Lifecycle(
        database=database,
        changes=changes,
        tenants=tenants,
        installations=installations,
        announcements=announcements,
        remove_data=remove_data,
    )
    tenants.after_creation(announcements.tenant_created)
    tenants.before_removal(lifecycle.before_tenant_removal)
    tenants.before_removal(announcements.tenant_removed)
    registration = Registration(
        tenants=tenants,
        installations=installations,
        announcements=announcements,
        catalogue=catalogue,
        grants=grants,
        terms=terms,
    )
    registry = Registry(
        database=database,
        changes=changes,
        provisioner=provisioner,
        tenants=tenants,
        registration=registration,
        catalogue=catalogue,
        statuses=statuses,
        announcements=announcements,
        heard=heard,
        terms=terms,
        now=now,
    )
    sweeper = Sweeper(
        database=database,
        changes=changes,
        provisioner=provisioner,
        registry=registry,
        statuses=statuses,
        announcements=announcements,
        heard=heard,
        terms=terms,
        now=now,
    )
    manifests = Manifests(database=database, changes=changes, installations=installations, announcements=announcements)
    return Control(
        manifests=manifests,
        lifecycle=lifecycle,
        registry=registry,
        grants=grants,
        sweeper=sweeper,
        watches=Watches(changes),
    )

"""The control plane's subjects, put together: what `bootstrap` mounts and tests speak to."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.administration import Administration
from broker.dependencies.declarations import Declarations
from broker.dependencies.installations import Installations
from broker.dependencies.lifecycle import Lifecycle, RemoveData
from broker.grants.permissions import Permissions
from broker.grants.service import Grants
from broker.outbox.store import Outbox
from broker.plugins.removal import Removal
from broker.plugins.service import Manifests
from broker.provisioning.changes import Changes
from broker.provisioning.provisioner import Provisioner
from broker.provisioning.watches import Watches
from broker.registry.announcements import Announcements
from broker.registry.catalogue import Catalogue
from broker.registry.departures import Departures
from broker.registry.heartbeats import Heartbeats
from broker.registry.registration import Registration, Terms
from broker.registry.roll import Roll
from broker.registry.service import Registry
from broker.registry.statuses import Statuses
from broker.registry.sweeper import Sweeper
from broker.storage.database import Database
from broker.tenants.store import Tenants


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """Who is there, who needs whom, and what RabbitMQ holds for them."""

    manifests: Manifests
    removal: Removal
    declarations: Declarations
    lifecycle: Lifecycle
    registry: Registry
    heartbeats: Heartbeats
    departures: Departures
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
    administration: Administration,
    now: Callable[[], float],
    remove_data: RemoveData | None = None,
) -> Control:
    """Put the subjects together; nothing runs yet. From here on tenants are announced, and uninstalled when removed.

    ``now`` tells seconds since the epoch; ``remove_data`` removes a plugin's shared data from a tenant when an
    uninstall asks for it.
    """
    heard: dict[str, float] = {}
    roll = Roll(database)
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
        operators=administration.operators,
        now=now,
    )
    installations = Installations(changes, announcements, statuses, permissions)
    lifecycle = Lifecycle(
        database=database,
        changes=changes,
        tenants=tenants,
        installations=installations,
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
        roll=roll,
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
    departures = Departures(
        database=database,
        changes=changes,
        provisioner=provisioner,
        statuses=statuses,
        announcements=announcements,
    )
    sweeper = Sweeper(
        database=database,
        roll=roll,
        changes=changes,
        provisioner=provisioner,
        registry=registry,
        departures=departures,
        statuses=statuses,
        heard=heard,
        terms=terms,
        now=now,
    )
    manifests = Manifests(
        database=database,
        changes=changes,
        installations=installations,
        announcements=announcements,
        administration=administration,
    )
    declarations = Declarations(
        database=database, changes=changes, installations=installations, announcements=announcements
    )
    return Control(
        manifests=manifests,
        removal=Removal(changes=changes, lifecycle=lifecycle, topology=provisioner.topology),
        declarations=declarations,
        lifecycle=lifecycle,
        registry=registry,
        heartbeats=Heartbeats(registry, roll, provisioner.topology, heard=heard, now=now),
        departures=departures,
        grants=grants,
        sweeper=sweeper,
        watches=Watches(changes),
    )

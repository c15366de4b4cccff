"""Bodies of the registry: register, heartbeat, deregister, discover, and what is announced."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.grants import GrantToken, VerificationKey
from contracts.limits import LARGEST_WHOLE_NUMBER, MOST_ENDPOINTS, MOST_PATTERNS, MOST_TENANTS
from contracts.manifest import Dependency, Endpoint, Metadata, PluginManifest
from contracts.wire import (
    InstanceId,
    Many,
    Pattern,
    PluginId,
    ServiceName,
    ServiceVersion,
    SubscriptionName,
    TenantId,
    Version,
    WireModel,
)

PROTOCOL = 1
"""The version of this protocol; broker and runtime must agree on it."""

ServiceStatus = Literal["HEALTHY", "DEGRADED", "UNAVAILABLE"]
InstanceStatus = Literal["HEALTHY", "DEGRADED"]

REGISTRY_SERVICE = "system.registry"
HEARTBEAT_SERVICE = "system.heartbeat"
TENANTS_SERVICE = "system.tenants"
PLUGINS_SERVICE = "system.plugins"
DEPENDENCIES_SERVICE = "system.dependencies"
DATA_SERVICE = "system.data"
SYSTEM_VERSION = "1.0.0"
"""The version of the broker's own services."""


class Subscription(WireModel):
    """What a plugin wants to hear.

    Attributes:
        source: ``events`` for what plugins publish, ``data`` for changes of shared data.
        pattern: An event key, or ``{namespace}.{key}``, with ``*`` and ``#``.
        broadcast: Every instance gets its own copy, and none while it is away.
    """

    name: SubscriptionName
    source: Literal["events", "data"]
    pattern: Pattern
    broadcast: bool = False


class RegisterRequest(WireModel):
    """An instance of a plugin introduces itself.

    Attributes:
        protocol: The runtime's `PROTOCOL`.
        runtime_version: The installed version of the distribution (PEP 440); judged by the broker.
        tenants: Where it would like to be installed; only acted on where ``PLEXICA_AUTO_INSTALL`` is on.
        strict: Refuse to start when a required dependency is missing, rather than start DEGRADED.
    """

    protocol: int
    runtime_version: str = Field(max_length=100)
    instance_id: InstanceId
    manifest: PluginManifest
    subscriptions: Annotated[Many[Subscription], Field(max_length=MOST_PATTERNS)] = ()
    tenants: Annotated[Many[TenantId], Field(max_length=MOST_TENANTS)] = ()
    strict: bool = False


class ServiceRecord(WireModel):
    """A version of a service as discovery shows it.

    Attributes:
        id: ``{service}@{version}``.
        plugin_versions: The versions of the plugin that offer it, lowest first: in a tenant those installed there, in
            an announcement all that are known.
        status: In a tenant DEGRADED at best if its plugin lacks a required dependency there; in an announcement by its
            instances alone.
        degraded_in: In an announcement: the tenants in which its plugin lacks a required dependency, ascending.
        instances: How many instances of it hold a lease.
        last_seen_at: Seconds since the epoch when one of them was last heard.
    """

    id: str
    plugin_id: PluginId
    service_name: ServiceName
    version: ServiceVersion
    plugin_versions: Many[Version] = ()
    status: ServiceStatus
    degraded_in: Many[TenantId] = ()
    endpoints: Many[Endpoint] = ()
    metadata: Metadata = Metadata()
    base_url: str | None = None
    instances: int = 0
    last_seen_at: float | None = None

    def without_schemas(self) -> "ServiceRecord":
        """What callers must know, as it stands in lists, views and announcements: they are many, and held in memory."""
        bare = {"request": None, "response": None, "query": None}
        return self.model_copy(update={"endpoints": tuple(item.model_copy(update=bare) for item in self.endpoints)})

    def in_tenant(self, tenant: str) -> "ServiceRecord":
        """What it says of one tenant: DEGRADED at best where its plugin lacks a required dependency."""
        is_degraded = self.status == "HEALTHY" and tenant in self.degraded_in
        return self.model_copy(update={"degraded_in": (), "status": "DEGRADED" if is_degraded else self.status})


class TenantView(WireModel):
    """What an instance must know of one tenant to call its dependencies: every installed version of each service.

    Attributes:
        revision: The registry's revision as of which this is true; announcements count on from it.
    """

    tenant: TenantId
    services: Many[ServiceRecord] = ()
    revision: int = 0


class RegisterAnswer(WireModel):
    """What an instance needs to begin: its queues exist and are bound when this is sent.

    Attributes:
        lease_seconds: Without a heartbeat for so long, the instance counts as gone.
        heartbeat_seconds: How often to send one.
        call_queues: Service name to queue.
        subscription_queues: Subscription name to queue, for those that are not broadcasts.
        tenants: Where the plugin is installed at this version.
        serving: Service name to the tenants whose calls it answers, for each of its own services: those in which any
            version of the plugin is installed that offers the service at the same service version. They all take calls
            from one queue, so each of them must answer for all of these tenants.
        heard_tenants: Where any version of it is installed: there its subscriptions, which all versions share, hear.
        views: The services it declares as dependencies, for each of ``heard_tenants``: wherever it may act.
        dependencies: What it declares: its manifest's, unless another instance declared others since.
        revision: The registry's revision; announcements count on from here.
        status: DEGRADED when a required dependency is missing in some tenant.
        reasons: Why, in the resolver's words.
        keys: By which grants are checked, all that still count.
        grants: For the first of ``heard_tenants``; for the others it asks at first use.
    """

    instance_id: InstanceId
    lease_seconds: float
    heartbeat_seconds: float
    reply_queue: str
    instance_queue: str
    call_queues: dict[str, str]
    subscription_queues: dict[str, str]
    tenants: Many[TenantId]
    serving: dict[ServiceName, Many[TenantId]] = Field(default_factory=dict)
    heard_tenants: Many[TenantId] = ()
    views: Many[TenantView]
    dependencies: Many[Dependency] = ()
    revision: int
    status: InstanceStatus = "HEALTHY"
    reasons: Many[str] = ()
    keys: Many[VerificationKey] = ()
    grants: Many[GrantToken] = ()


class ServiceRegistration(WireModel):
    """The guide's registration of one service; what is not given comes from the plugin's manifest."""

    instance_id: InstanceId
    service_name: ServiceName
    version: ServiceVersion | None = None
    endpoints: Annotated[Many[Endpoint], Field(max_length=MOST_ENDPOINTS)] | None = None
    metadata: Metadata | None = None
    base_url: str | None = Field(default=None, max_length=500)


class Heartbeat(WireModel):
    """An instance is alive; ``load`` is the number of calls it runs now."""

    instance_id: InstanceId
    status: InstanceStatus = "HEALTHY"
    load: Annotated[int, Field(ge=0, le=LARGEST_WHOLE_NUMBER)] = 0


HEARTBEAT_TYPE = "heartbeat"
"""The message type of a `Heartbeat` that wants no answer."""


class HeartbeatAnswer(WireModel):
    """The lease is renewed, or, with ``known`` false, the instance must register again."""

    known: bool
    lease_seconds: float
    revision: int


class DeregisterRequest(WireModel):
    """An instance goes, or takes one service back; ``all`` takes every instance's."""

    instance_id: InstanceId
    service_name: ServiceName | None = None
    all: bool = False


class ServiceList(WireModel):
    """A page of services, sorted by name, then version."""

    services: Many[ServiceRecord]
    count: int


class ServiceAnnouncement(WireModel):
    """On ``_.service.{registered,deregistered,status}.{service}``: the service as it is now."""

    change: Literal["registered", "deregistered", "status"]
    revision: int
    service: ServiceRecord
    instance_id: InstanceId | None = None


class PresenceAnnouncement(WireModel):
    """On ``_.presence.{service}``: the last instance of a version went without saying so."""

    revision: int
    service_name: ServiceName
    version: ServiceVersion


class DependencyAnnouncement(WireModel):
    """On ``_.dependency.declared.{plugin}``: the whole set that the plugin declares now."""

    revision: int
    plugin_id: PluginId
    version: Version
    dependencies: Many[Dependency]


class PluginAnnouncement(WireModel):
    """On ``{tenant}.plugin.{installed,uninstalled,upgraded}.{plugin}``.

    Attributes:
        remaining: Every version of the plugin that is installed in the tenant after the change, lowest first: a
            superseded version that lingers is ``uninstalled`` later than its successor is put.
        offers: What those versions offer, as ``{service}@{version}``, ascending.
        forced: The change was refused and then made by force.
        reasons: Why it was refused.
    """

    change: Literal["installed", "uninstalled", "upgraded"]
    revision: int
    tenant: TenantId
    plugin_id: PluginId
    version: Version
    remaining: Many[Version] = ()
    offers: Many[str] = ()
    forced: bool = False
    reasons: Many[str] = ()


class TenantAnnouncement(WireModel):
    """On ``{tenant}.tenant.{created,removed}``; what was installed in a removed one is announced before it."""

    change: Literal["created", "removed"]
    revision: int
    tenant: TenantId


class KeysAnnouncement(WireModel):
    """On ``_.grants.keys``: by which keys grants are checked from now on, all that still count."""

    revision: int
    keys: Many[VerificationKey]


Announcement = (
    ServiceAnnouncement
    | PresenceAnnouncement
    | DependencyAnnouncement
    | PluginAnnouncement
    | TenantAnnouncement
    | KeysAnnouncement
)

ANNOUNCEMENTS: dict[str, type[Announcement]] = {
    "service.registered": ServiceAnnouncement,
    "service.deregistered": ServiceAnnouncement,
    "service.status": ServiceAnnouncement,
    "presence": PresenceAnnouncement,
    "dependency.declared": DependencyAnnouncement,
    "plugin.installed": PluginAnnouncement,
    "plugin.uninstalled": PluginAnnouncement,
    "plugin.upgraded": PluginAnnouncement,
    "tenant.created": TenantAnnouncement,
    "tenant.removed": TenantAnnouncement,
    "keys": KeysAnnouncement,
}
"""Message type -> body, for everything on ``plexica.registry``."""

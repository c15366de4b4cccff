"""What RabbitMQ should hold for a plugin: a pure function from rows to queues and bindings.

Every change is made by this one function: the plan before, the plan after, and the difference is applied. What is
installed, registered and alive decides; nobody keeps a list of bindings.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from broker.dependencies.resolver import major
from broker.registry.rules import ServiceKey
from contracts.registry import Subscription
from contracts.topology import Binding, Queue, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginState:
    """What the rows say of a plugin.

    Attributes:
        installations: Pairs of tenant and plugin version.
        offers: What each plugin version offers.
        alive: The service versions that an instance within its lease serves.
        instances: The instances within their lease and their majors.
        registered: The plugin versions of which an instance is registered, late ones too: it may come back.
        subscriptions: What each major hears, all its instances together: while they differ, one name may stand for
            several patterns, and its one queue is bound for all of them.
        hearing: What each instance hears itself, by which it gets broadcasts.
        watches: Triples of instance, tenant and pattern.
    """

    plugin: str
    installations: tuple[tuple[str, str], ...] = ()
    offers: Mapping[str, tuple[ServiceKey, ...]] = field(default_factory=dict)
    alive: frozenset[ServiceKey] = frozenset()
    instances: Mapping[str, int] = field(default_factory=dict)
    registered: frozenset[str] = frozenset()
    subscriptions: Mapping[int, frozenset[Subscription]] = field(default_factory=dict)
    hearing: Mapping[str, frozenset[Subscription]] = field(default_factory=dict)
    watches: tuple[tuple[str, str, str], ...] = ()

    @property
    def versions(self) -> frozenset[str]:
        """The versions that are installed anywhere, or of which an instance is registered."""
        return self.registered.union(version for _, version in self.installations)

    def is_alike(self, other: "PluginState") -> bool:
        """Whether the same instances live, and the plugin hears the same."""
        return (self.alive, self.instances, self.registered, self.subscriptions, self.hearing) == (
            other.alive,
            other.instances,
            other.registered,
            other.subscriptions,
            other.hearing,
        )

    def tenants_apart(self, other: "PluginState") -> frozenset[str] | None:
        """The tenants in which something else is installed; None where any tenant may differ."""
        if not self.is_alike(other) or (self.offers, self.watches) != (other.offers, other.watches):
            return None
        return frozenset(tenant for tenant, _ in {*self.installations} ^ {*other.installations})


@dataclass(frozen=True, slots=True)
class LastingQueue:
    """A queue that outlives instances.

    Attributes:
        subscription: Whose events it holds, if any; otherwise it holds calls.
    """

    name: str
    subscription: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The queues and bindings of a plugin.

    Attributes:
        lasting: The queues that must not be deleted, declared or not: somebody who is away counts on them.
    """

    queues: frozenset[Queue] = frozenset()
    bindings: frozenset[Binding] = frozenset()
    lasting: frozenset[LastingQueue] = frozenset()


def plan(topology: Topology, state: PluginState, tenants: Collection[str] | None = None) -> Plan:
    """The queues and bindings that a plugin should have now; of tenants' bindings only those of some, if given."""
    return Plan(
        frozenset(_queues(topology, state)),
        frozenset(_bindings(topology, state, tenants)),
        frozenset(_lasting(topology, state)),
    )


def subscription_binding(
    topology: Topology, plugin: str, instance: str | None, tenant: str, subscription: Subscription
) -> Binding:
    """How a subscription hears a tenant: on its own queue, or, for a broadcast, on the instance's."""
    exchange = topology.events if subscription.source == "events" else topology.data
    queue = (
        topology.event_queue(plugin, subscription.name)
        if instance is None
        else topology.instance_queue(plugin, instance)
    )
    return Binding(queue.name, exchange, topology.tenant_key(tenant, subscription.pattern))


def _queues(topology: Topology, state: PluginState) -> Iterator[Queue]:
    for name, version in state.alive:
        yield topology.call_queue(name, version)
    for instance in state.instances:
        yield from topology.instance_queues(state.plugin, instance)
    for subscription in _durable(state):
        yield from topology.subscription_queues(state.plugin, subscription.name)
    if any(_durable(state)):
        yield topology.dead_queue(state.plugin)


def _lasting(topology: Topology, state: PluginState) -> Iterator[LastingQueue]:
    """Nothing lasts of a plugin that is installed nowhere and of which no instance is registered."""
    for version in state.versions:
        for name, service_version in state.offers.get(version, ()):
            yield LastingQueue(topology.call_queue(name, service_version).name)
    for subscription in _durable(state):
        for queue in topology.subscription_queues(state.plugin, subscription.name):
            yield LastingQueue(queue.name, subscription.name)


def _bindings(topology: Topology, state: PluginState, tenants: Collection[str] | None) -> Iterator[Binding]:
    for instance in state.instances:
        yield from topology.instance_bindings(state.plugin, instance)
    for subscription in _durable(state):
        yield from topology.subscription_bindings(state.plugin, subscription.name)
    if any(_durable(state)):
        yield topology.dead_binding(state.plugin)
    for tenant, version in state.installations:
        if tenants is not None and tenant not in tenants:
            continue
        for name, service_version in state.offers.get(version, ()):
            if (name, service_version) in state.alive:
                yield topology.call_binding(tenant, name, service_version)
        yield from _heard_in(topology, state, tenant, major(version))
    for instance, tenant, pattern in state.watches:
        if instance in state.instances:
            queue = topology.instance_queue(state.plugin, instance).name
            yield Binding(queue, topology.data, topology.tenant_key(tenant, pattern))


def _heard_in(topology: Topology, state: PluginState, tenant: str, heard: int) -> Iterator[Binding]:
    for subscription in state.subscriptions.get(heard, ()):
        if not subscription.broadcast:
            yield subscription_binding(topology, state.plugin, None, tenant, subscription)
    for instance, its_major in state.instances.items():
        for subscription in state.hearing.get(instance, ()) if its_major == heard else ():
            if subscription.broadcast:
                yield subscription_binding(topology, state.plugin, instance, tenant, subscription)


def _durable(state: PluginState) -> Iterator[Subscription]:
    for its_major in {major(version) for version in state.versions}:
        for subscription in state.subscriptions.get(its_major, ()):
            if not subscription.broadcast:
                yield subscription

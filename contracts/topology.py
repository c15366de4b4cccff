"""Exchanges, queues, bindings and routing keys: pure functions from names to frozen specifications.

Every name that RabbitMQ sees is built here. The tenant is the first word of every routing key that carries a tenant's
business; plugin authors never write it::

    caller ── plexica.calls ──► calls.crm.contacts.1.0.0 ──► every instance of that version competes
              key acme-corp.crm.contacts.1.0.0
    callee ── plexica.replies ─► replies.plugin-analytics.7f3a ──► the caller
              key plugin-analytics.7f3a

    plugin ── plexica.events ──► events.plugin-marketing.welcome ──► every instance shares the subscription
              key acme-corp.crm.events.contact.created
                    handler fails │ publish again with a delay       after the last attempt
                                  ▼                                            ▼
              plexica.redelivery ─► delay.plugin-marketing.welcome.1     plexica.dead ─► dead.plugin-marketing
                    ▲                       │ TTL runs out
                    └───────────────────────┘ key plugin-marketing.welcome, back to events.plugin-marketing.welcome

    caller ── plexica.cancel ──► instance.{plugin}.{instance} of every instance of the callee, key plugin-crm
    broker ── plexica.data ────► change events of shared data, key acme-corp.crm.cache.contact_count
    broker ── plexica.registry ► instance.{plugin}.{instance}: announcements, key _.service.registered.crm.contacts
"""

from dataclasses import dataclass, replace

from contracts.names import NO_TENANT, SYSTEM_PLUGIN, check_instance, check_plugin_id
from contracts.queues import Binding, Exchange, Queue

__all__ = [
    "CALL_QUEUE_LENGTH",
    "CONSUMER_DELETED",
    "DEFAULT_EXCHANGE",
    "DELIVERY_LIMIT",
    "DIRECT_REPLY_TO",
    "HEARTBEAT_KEY",
    "HEARTBEAT_QUEUE_LENGTH",
    "HEARTBEAT_TTL_SECONDS",
    "IDLE_QUEUE_SECONDS",
    "INSTANCE_QUEUE_LENGTH",
    "RABBITMQ_EVENTS",
    "RETRY_DELAYS_SECONDS",
    "Binding",
    "Exchange",
    "Queue",
    "Topology",
    "connection_name",
]

CALL_QUEUE_LENGTH = 10_000
INSTANCE_QUEUE_LENGTH = 10_000
HEARTBEAT_KEY = f"{NO_TENANT}.system.heartbeat.1.0.0"
"""The routing key of every heartbeat, answered or not, on ``plexica.calls``: that of a call to the broker's own service
``system.heartbeat``, which has a queue of another kind than all others."""

HEARTBEAT_QUEUE_LENGTH = 100_000
HEARTBEAT_TTL_SECONDS = 10.0
IDLE_QUEUE_SECONDS = 600.0
DELIVERY_LIMIT = 20
"""How often RabbitMQ hands out one event before it is a poison message; explicit, since 4.0 brought a default."""

DIRECT_REPLY_TO = "amq.rabbitmq.reply-to"
DEFAULT_EXCHANGE = ""

RABBITMQ_EVENTS = "amq.rabbitmq.event"
"""Where RabbitMQ tells what happens to it, if its plugin rabbitmq_event_exchange is on: a topic exchange that is in one
vhost (``event_exchange.vhost``) and tells of all of them."""

CONSUMER_DELETED = "consumer.deleted"
"""The routing key under which it tells that a queue lost a consumer; headers ``queue`` and ``vhost`` say which."""

RETRY_DELAYS_SECONDS = (1.0, 5.0, 30.0, 300.0)
"""How long an event waits before its second, third, fourth and fifth attempt."""


@dataclass(frozen=True, slots=True)
class Topology:
    """All names of one bus in one vhost.

    Attributes:
        prefix: Stands before every exchange and queue, so that several buses can live in one vhost; usually empty.
    """

    prefix: str = ""

    # Exchanges

    @property
    def calls(self) -> str:
        """Where calls are published, key ``{tenant}.{service}.{version}``."""
        return f"{self.prefix}plexica.calls"

    @property
    def replies(self) -> str:
        """Where replies are published, key ``{plugin}.{instance}``."""
        return f"{self.prefix}plexica.replies"

    @property
    def events(self) -> str:
        """Where plugins publish events, key ``{tenant}.{event key}``."""
        return f"{self.prefix}plexica.events"

    @property
    def data(self) -> str:
        """Where the broker announces changes of shared data, key ``{tenant}.{namespace}.{key}``."""
        return f"{self.prefix}plexica.data"

    @property
    def registry(self) -> str:
        """Where the broker announces registrations, dependencies, installations and presence."""
        return f"{self.prefix}plexica.registry"

    @property
    def cancel(self) -> str:
        """Where a caller takes a call back, key ``{callee plugin}``."""
        return f"{self.prefix}plexica.cancel"

    @property
    def redelivery(self) -> str:
        """Where events wait for another attempt, key ``{plugin}.{subscription}[.{step}]``."""
        return f"{self.prefix}plexica.redelivery"

    @property
    def dead(self) -> str:
        """Where messages go that nobody could handle, key ``{plugin}.{subscription}``."""
        return f"{self.prefix}plexica.dead"

    def exchanges(self) -> tuple[Exchange, ...]:
        """Every exchange of the bus, in the order in which they are declared."""
        names = (self.calls, self.replies, self.events, self.data, self.registry)
        return tuple(Exchange(name) for name in (*names, self.cancel, self.redelivery, self.dead))

    def exchange_kind(self, exchange: str) -> str:
        """The exchange's name without the prefix, e.g. ``plexica.calls``: what a receiver's rule hangs on."""
        return exchange.removeprefix(self.prefix)

    # Queues

    def call_queue(self, service: str, version: str) -> Queue:
        """The queue that a service version's instances share. A full one rejects, so that its caller hears at once."""
        return Queue(
            name=f"{self.prefix}calls.{service}.{version}",
            max_length=CALL_QUEUE_LENGTH,
            overflow="reject-publish",
            expires_seconds=IDLE_QUEUE_SECONDS,
        )

    def system_queue(self, service: str, version: str) -> Queue:
        """The queue of one of the broker's own services. It never expires: what is asked of an absent broker waits."""
        return replace(self.call_queue(service, version), expires_seconds=None)

    def reply_queue(self, plugin: str, instance: str) -> Queue:
        """The one queue on which an instance receives the replies to all its calls."""
        return Queue(name=f"{self.prefix}replies.{plugin}.{instance}", expires_seconds=IDLE_QUEUE_SECONDS)

    def instance_queue(self, plugin: str, instance: str) -> Queue:
        """What only this instance hears: announcements, watched data, broadcasts. Bounded: the oldest are dropped."""
        return Queue(
            name=f"{self.prefix}instance.{plugin}.{instance}",
            max_length=INSTANCE_QUEUE_LENGTH,
            overflow="drop-head",
            expires_seconds=IDLE_QUEUE_SECONDS,
        )

    def event_queue(self, plugin: str, subscription: str) -> Queue:
        """The durable queue of a subscription. No maximal length: one full subscriber would nack every publisher."""
        return Queue(
            name=f"{self.prefix}events.{plugin}.{subscription}",
            kind="quorum",
            delivery_limit=DELIVERY_LIMIT,
            dead_letter_exchange=self.dead,
            dead_letter_routing_key=f"{plugin}.{subscription}",
            dead_letter_at_least_once=True,
        )

    def delay_queue(self, plugin: str, subscription: str, step: int) -> Queue:
        """Where an event waits before attempt ``step + 1``; what runs out returns to its subscription."""
        return Queue(
            name=f"{self.prefix}delay.{plugin}.{subscription}.{step}",
            kind="quorum",
            message_ttl_seconds=RETRY_DELAYS_SECONDS[step - 1] * 2,
            delivery_limit=DELIVERY_LIMIT,
            dead_letter_exchange=self.redelivery,
            dead_letter_routing_key=f"{plugin}.{subscription}",
            dead_letter_at_least_once=True,
        )

    def dead_queue(self, plugin: str) -> Queue:
        """Where a plugin's dead letters wait for an operator."""
        return Queue(name=f"{self.prefix}dead.{plugin}", kind="quorum", delivery_limit=DELIVERY_LIMIT)

    def lock_queue(self) -> Queue:
        """The exclusive queue whose holder is the broker of this bus."""
        return Queue(name=f"{self.prefix}broker.lock", exclusive=True)

    def presence_queue(self) -> Queue:
        """Where RabbitMQ tells the broker who lost a consumer. Not exclusive: a zombie of its own would lock it."""
        return Queue(
            name=f"{self.prefix}broker.presence",
            max_length=INSTANCE_QUEUE_LENGTH,
            overflow="drop-head",
            expires_seconds=IDLE_QUEUE_SECONDS,
        )

    def heartbeat_queue(self) -> Queue:
        """Everybody's heartbeats. One that the broker did not take in time is worth nothing."""
        return Queue(
            name=f"{self.prefix}broker.heartbeats",
            message_ttl_seconds=HEARTBEAT_TTL_SECONDS,
            max_length=HEARTBEAT_QUEUE_LENGTH,
            overflow="drop-head",
        )

    def instance_of(self, queue: str) -> tuple[str, str] | None:
        """The plugin and the instance whose replies come to a queue; None if it is no reply queue of this bus."""
        start = f"{self.prefix}replies."
        plugin, _, instance = queue.removeprefix(start).partition(".")
        try:
            found = check_plugin_id(plugin), check_instance(instance)
        except ValueError:
            return None
        return found if queue.startswith(start) else None

    # Routing keys

    def call_key(self, tenant: str, service: str, version: str) -> str:
        """The routing key of a call."""
        return f"{tenant}.{service}.{version}"

    def reply_key(self, plugin: str, instance: str) -> str:
        """The routing key of every reply to an instance; it travels as ``reply_to``."""
        return f"{plugin}.{instance}"

    def cancel_key(self, callee: str) -> str:
        """The routing key of a call that is taken back: every instance of its callee hears it."""
        return callee

    def tenant_key(self, tenant: str, key: str) -> str:
        """The routing key of an event, or of a change of shared data."""
        return f"{tenant}.{key}"

    # Sets of what belongs together

    def heartbeat_binding(self) -> Binding:
        """The broker takes the heartbeats of everybody."""
        return Binding(self.heartbeat_queue().name, self.calls, HEARTBEAT_KEY)

    def presence_binding(self) -> Binding:
        """The broker hears of every queue that loses a consumer."""
        return Binding(self.presence_queue().name, RABBITMQ_EVENTS, CONSUMER_DELETED)

    def system_bindings(self, service: str, version: str) -> tuple[Binding, ...]:
        """The broker's own services are bound once for all tenants, and for messages without one."""
        queue = self.call_queue(service, version).name
        return (Binding(queue, self.calls, self.call_key("*", service, version)),)

    def call_binding(self, tenant: str, service: str, version: str) -> Binding:
        """A service version answers for a tenant in which it is installed."""
        return Binding(self.call_queue(service, version).name, self.calls, self.call_key(tenant, service, version))

    def instance_queues(self, plugin: str, instance: str) -> tuple[Queue, Queue]:
        """The two queues of an instance: replies and announcements."""
        return self.reply_queue(plugin, instance), self.instance_queue(plugin, instance)

    def instance_bindings(self, plugin: str, instance: str) -> tuple[Binding, ...]:
        """An instance hears its replies, every announcement of the registry, and which calls to it are taken back."""
        replies, own = self.instance_queues(plugin, instance)
        return (
            Binding(replies.name, self.replies, self.reply_key(plugin, instance)),
            Binding(own.name, self.registry, "#"),
            Binding(own.name, self.cancel, self.cancel_key(plugin)),
        )

    def subscription_queues(self, plugin: str, subscription: str) -> tuple[Queue, ...]:
        """A subscription's queue, and one for each delay before another attempt."""
        steps = range(1, len(RETRY_DELAYS_SECONDS) + 1)
        delays = (self.delay_queue(plugin, subscription, step) for step in steps)
        return (self.event_queue(plugin, subscription), *delays)

    def subscription_bindings(self, plugin: str, subscription: str) -> tuple[Binding, ...]:
        """The way of a failed event: into a delay, and back to its own subscription."""
        own = Binding(self.event_queue(plugin, subscription).name, self.redelivery, f"{plugin}.{subscription}")
        steps = range(1, len(RETRY_DELAYS_SECONDS) + 1)
        delays = (
            Binding(
                self.delay_queue(plugin, subscription, step).name, self.redelivery, f"{plugin}.{subscription}.{step}"
            )
            for step in steps
        )
        return (own, *delays)

    def dead_binding(self, plugin: str) -> Binding:
        """A plugin's dead letters come to its own queue."""
        return Binding(self.dead_queue(plugin).name, self.dead, f"{plugin}.#")


def connection_name(plugin: str, instance: str, role: str) -> str:
    """``plugin-crm/7f3a/publish``: RabbitMQ's management page then reads like the registry."""
    return f"{plugin or SYSTEM_PLUGIN}/{instance}/{role}"

"""Receiver rules: who may say what on which exchange. Pure; one function a row of the table.

    exchange              publisher must be                     grant
    plexica.calls         any plugin, or the broker             signed by the broker, to the publisher, for the first
                                                                word of the routing key, not over; then the endpoint's
                                                                permissions (`calls.permissions`). Key ``_``: none, and
                                                                only the broker's own services are called so
    plexica.replies       the callee of that correlation id     none
    the default exchange  the broker, answering a direct call   none
    plexica.events        the owner of the key's first word     the same, but may be over: an event may wait for days
    plexica.data          the broker                            none
    plexica.registry      the broker                            none
    plexica.cancel        the caller of that correlation id     none
    plexica.redelivery    myself or the broker; the original    that of the original
                          is believed only here, and judged
                          as above

RabbitMQ sets the exchange and checks ``user_id``. In every row the routing key must be one that the receiver's own
bindings admit: RabbitMQ routes by CC and BCC headers too, and holds only the message's own key against permissions.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from contracts.codec import (
    CALLER_HEADER,
    GRANT_HEADER,
    ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_KEY_HEADER,
    ORIGINAL_PUBLISHER_HEADER,
    ORIGINAL_TYPE_HEADER,
    TENANT_HEADER,
)
from contracts.errors import InvalidRequestError, PermissionDeniedError, UnauthenticatedError
from contracts.grants import CLOCK_LEEWAY_SECONDS, OUTAGE_GRACE_SECONDS, Grant
from contracts.names import NO_TENANT, SYSTEM_PLUGIN, check_tenant, matches, owner_of
from contracts.topology import DEFAULT_EXCHANGE, Topology
from plugin_runtime.claims import Claim, claim_of, expect_exchange, expect_publisher, expect_type, unbound
from plugin_runtime.keys import KeyRing
from plugin_runtime.transport.base import Delivery

DATA_TYPES = ("data.set", "data.deleted", "data.expired")

Patterns = Mapping[Literal["events", "data"], Sequence[str]]
"""What a queue is bound for: patterns of keys without the tenant, by what they are about."""


class UnheardKeyError(Exception):
    """No subscription of this version hears the key. Another version's may: they share the queue, so it comes again."""


class Origin(NamedTuple):
    """Where a delivery truly comes from, once its rule admitted it.

    Attributes:
        tenant: The tenant, or ``_``.
        publisher: The plugin id that RabbitMQ vouches for.
        key: The routing key without the tenant.
        type: The message's type.
        grant: What the broker says of the publisher in the tenant; None where the rule asks for none.
    """

    tenant: str
    publisher: str
    key: str
    type: str
    grant: Grant | None = None


def judge_call(
    delivery: Delivery,
    topology: Topology,
    keys: KeyRing,
    *,
    service: str,
    version: str,
    now: float,
    is_broker_silent: bool,
) -> Origin:
    """Admit a call.

    Args:
        delivery: What came by the queue of this service version.
        topology: The names of the bus.
        keys: By which grants are checked.
        service: The service that is called.
        version: Its version.
        now: Seconds since the epoch.
        is_broker_silent: Nobody can renew a grant now: one that is over is taken for the outage grace.

    Raises:
        InvalidRequestError: Another type than ``call``, or no tenant.
        UnauthenticatedError: Nobody vouches for the publisher, the caller header names another one, or the grant is
            missing, not the broker's, another plugin's, or over.
        PermissionDeniedError: It came over another exchange, under a key that this queue is not bound for, for a
            tenant that the grant is not for, or for none to a service that is not the broker's.
    """
    claim = claim_of(delivery, topology)
    expect_exchange(claim, "plexica.calls")
    expect_type(claim, ("call",))
    origin = _origin(delivery, claim)
    if claim.routing_key != topology.call_key(origin.tenant, service, version):
        raise unbound(claim)
    if origin.tenant == NO_TENANT:
        if owner_of(service) != SYSTEM_PLUGIN:
            raise PermissionDeniedError(f"{service} belongs to a tenant's plugin and cannot be called for no tenant")
        return origin
    granted = _granted(delivery, origin, keys)
    _refuse_over(granted.grant, now, is_broker_silent=is_broker_silent)
    return granted


def judge_event(delivery: Delivery, topology: Topology, keys: KeyRing, *, myself: str, patterns: Patterns) -> Origin:
    """Admit an event or a change of shared data; one that comes back for another attempt is judged by its original.

    Raises:
        InvalidRequestError: An unknown type, or no tenant.
        UnauthenticatedError: Nobody vouches for the publisher, or the event's grant is missing, not the broker's or
            another plugin's.
        PermissionDeniedError: The publisher does not own the key, or the tenant is not the routing key's or not the
            grant's.
        UnheardKeyError: No pattern admits the key.
    """
    claim = claim_of(delivery, topology)
    if claim.exchange == "plexica.redelivery":
        expect_publisher(claim, (myself, SYSTEM_PLUGIN))
        claim = _original(delivery)
    if claim.exchange == "plexica.data":
        return _change(delivery, claim, patterns.get("data", ()))
    expect_exchange(claim, "plexica.events")
    expect_type(claim, ("event",))
    origin = _origin(delivery, claim)
    expect_publisher(claim, (owner_of(origin.key),))
    _expect_bound(claim, origin, patterns.get("events", ()))
    return _granted(delivery, origin, keys)


def judge_change(delivery: Delivery, topology: Topology) -> Origin:
    """Admit a change of shared data that this instance watches; what no watcher asked for is handed to nobody.

    Raises:
        InvalidRequestError: An unknown type, or no tenant.
        UnauthenticatedError: Nobody vouches for the publisher.
        PermissionDeniedError: Somebody else than the broker published it, or elsewhere.
    """
    claim = claim_of(delivery, topology)
    expect_exchange(claim, "plexica.data")
    return _change(delivery, claim, ("#",))


def judge_announcement(delivery: Delivery, topology: Topology) -> None:
    """Admit an announcement: from the broker, over ``plexica.registry``, of which an instance hears everything.

    Raises:
        UnauthenticatedError: Nobody vouches for the publisher.
        PermissionDeniedError: Somebody else published it, or elsewhere.
    """
    claim = claim_of(delivery, topology)
    expect_exchange(claim, "plexica.registry")
    expect_publisher(claim, (SYSTEM_PLUGIN,))


def judge_reply(delivery: Delivery, topology: Topology, *, key: str, callee: str) -> None:
    """Admit the reply to a call of this instance.

    Args:
        delivery: What came by the reply queue, under the correlation id of a call that waits.
        topology: The names of the bus.
        key: The one key that the reply queue is bound for.
        callee: The plugin that was called.

    Raises:
        UnauthenticatedError: Nobody vouches for the publisher.
        PermissionDeniedError: Somebody else published it, elsewhere or under another key.
    """
    claim = claim_of(delivery, topology)
    expect_exchange(claim, "plexica.replies")
    expect_publisher(claim, (callee,))
    if claim.routing_key != key:
        raise unbound(claim)


def judge_cancel(delivery: Delivery, topology: Topology, *, myself: str) -> str:
    """Admit the cancel of a call to this plugin.

    Whose call it is, the receiver judges: a call is found by its correlation id and the plugin that made it.

    Returns:
        The plugin that published it, which may take back its own calls and no others.

    Raises:
        InvalidRequestError: Another type than ``cancel``.
        UnauthenticatedError: Nobody vouches for the publisher.
        PermissionDeniedError: It came over another exchange, or under another plugin's key.
    """
    claim = claim_of(delivery, topology)
    expect_exchange(claim, "plexica.cancel")
    expect_type(claim, ("cancel",))
    if claim.routing_key != topology.cancel_key(myself):
        raise unbound(claim)
    return claim.publisher


def judge_direct_reply(delivery: Delivery) -> None:
    """Admit the broker's answer to a call by direct reply-to; its address is RabbitMQ's own and nobody's to guess.

    Raises:
        UnauthenticatedError: Nobody vouches for the publisher.
        PermissionDeniedError: Somebody else published it, or elsewhere.
    """
    claim = claim_of(delivery, Topology())
    expect_exchange(claim, DEFAULT_EXCHANGE)
    expect_publisher(claim, (SYSTEM_PLUGIN,))


def _original(delivery: Delivery) -> Claim:
    headers = delivery.message.headers
    names = (ORIGINAL_EXCHANGE_HEADER, ORIGINAL_KEY_HEADER, ORIGINAL_PUBLISHER_HEADER, ORIGINAL_TYPE_HEADER)
    found = [headers.get(name) for name in names]
    missing = [name for name, value in zip(names, found, strict=True) if not isinstance(value, str)]
    if missing:
        raise InvalidRequestError(f"a redelivered event lacks {', '.join(missing)}")
    return Claim(*map(str, found))


def _change(delivery: Delivery, claim: Claim, patterns: Sequence[str]) -> Origin:
    expect_type(claim, DATA_TYPES)
    expect_publisher(claim, (SYSTEM_PLUGIN,))
    origin = _origin(delivery, claim)
    _expect_bound(claim, origin, patterns)
    return origin


def _origin(delivery: Delivery, claim: Claim) -> Origin:
    headers = delivery.message.headers
    tenant = headers.get(TENANT_HEADER)
    if not isinstance(tenant, str) or not tenant:
        raise InvalidRequestError("Tenant ID required", header=TENANT_HEADER)
    first, _, key = claim.routing_key.partition(".")
    if tenant != first:
        raise PermissionDeniedError(f"{TENANT_HEADER} is '{tenant}', but the routing key speaks for '{first}'")
    if tenant != NO_TENANT:
        try:
            check_tenant(tenant)
        except ValueError as error:
            raise InvalidRequestError(f"{TENANT_HEADER}: {error}") from error
    caller = headers.get(CALLER_HEADER)
    if caller is not None and caller != claim.publisher:
        raise UnauthenticatedError(f"{CALLER_HEADER} is '{caller}', but '{claim.publisher}' published the message")
    return Origin(tenant, claim.publisher, key, claim.type)


def _granted(delivery: Delivery, origin: Origin, keys: KeyRing) -> Origin:
    """The origin with its grant, which must be the publisher's own and for the tenant."""
    token = delivery.message.headers.get(GRANT_HEADER)
    if not isinstance(token, str) or not token:
        raise UnauthenticatedError(f"the message carries no grant for tenant '{origin.tenant}'", header=GRANT_HEADER)
    grant = keys.verify(token)
    if grant.sub != origin.publisher:
        raise UnauthenticatedError(f"the grant is '{grant.sub}'s, but '{origin.publisher}' published the message")
    if grant.ten != origin.tenant:
        raise PermissionDeniedError(f"the grant is for tenant '{grant.ten}', not for '{origin.tenant}'")
    return origin._replace(grant=grant)


def _refuse_over(grant: Grant | None, now: float, *, is_broker_silent: bool) -> None:
    grace = OUTAGE_GRACE_SECONDS if is_broker_silent else CLOCK_LEEWAY_SECONDS
    if grant is not None and now > grant.exp + grace:
        raise UnauthenticatedError(
            f"the grant of '{grant.sub}' for '{grant.ten}' ended {now - grant.exp:.0f} s ago", header=GRANT_HEADER
        )


def _expect_bound(claim: Claim, origin: Origin, patterns: Sequence[str]) -> None:
    if not any(matches(pattern, origin.key) for pattern in patterns):
        raise UnheardKeyError(str(unbound(claim)))

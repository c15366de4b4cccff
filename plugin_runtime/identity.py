"""Receiver rules: who may say what on which exchange. Pure; one function a row of the table.

    exchange              publisher must be                        tenant
    plexica.calls         any plugin, or the broker                header = first word of the routing key
    plexica.replies       the callee of that correlation id        (the pending call knows)
    plexica.events        the owner of the key's first word        header = first word of the routing key
    plexica.data          the broker                               header = first word of the routing key
    plexica.registry      the broker                               none
    plexica.redelivery    myself or the broker; the original is    header = first word of the original key
                          believed only here, and judged as above

RabbitMQ sets the exchange and checks ``user_id``; the tenant's first word is what the broker bound.
"""

from dataclasses import dataclass

from contracts.codec import (
    CALLER_HEADER,
    ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_KEY_HEADER,
    ORIGINAL_PUBLISHER_HEADER,
    ORIGINAL_TYPE_HEADER,
    TENANT_HEADER,
)
from contracts.errors import InvalidRequestError, PermissionDeniedError, UnauthenticatedError
from contracts.names import NO_TENANT, SYSTEM_PLUGIN, check_tenant, owner_of
from contracts.topology import Topology
from plugin_runtime.transport.base import Delivery

DATA_TYPES = ("data.set", "data.deleted", "data.expired")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a delivery truly comes from, once its rule admitted it.

    Attributes:
        tenant: The tenant, or ``_``.
        publisher: The plugin id that RabbitMQ vouches for.
        key: The routing key without the tenant.
        type: The message's type.
    """

    tenant: str
    publisher: str
    key: str
    type: str


@dataclass(frozen=True, slots=True)
class _Claim:
    exchange: str
    routing_key: str
    publisher: str
    type: str


def judge_call(delivery: Delivery, topology: Topology) -> Origin:
    """Admit a call.

    Raises:
        InvalidRequestError: Another type than ``call``, or no tenant.
        UnauthenticatedError: Nobody vouches for the publisher, or the caller header names another one.
        PermissionDeniedError: It came over another exchange, or its tenant is not the routing key's.
    """
    claim = _claim(delivery, topology)
    _expect_exchange(claim, "plexica.calls")
    _expect_type(claim, ("call",))
    return _origin(delivery, claim)


def judge_event(delivery: Delivery, topology: Topology, *, myself: str) -> Origin:
    """Admit an event or a change of shared data; one that comes back for another attempt is judged by its original.

    Raises:
        InvalidRequestError: An unknown type, or no tenant.
        UnauthenticatedError: Nobody vouches for the publisher.
        PermissionDeniedError: The publisher does not own the key, or the tenant is not the routing key's.
    """
    claim = _claim(delivery, topology)
    if claim.exchange == "plexica.redelivery":
        _expect_publisher(claim, (myself, SYSTEM_PLUGIN))
        claim = _original(delivery)
    if claim.exchange == "plexica.data":
        _expect_type(claim, DATA_TYPES)
        _expect_publisher(claim, (SYSTEM_PLUGIN,))
        return _origin(delivery, claim)
    _expect_exchange(claim, "plexica.events")
    _expect_type(claim, ("event",))
    origin = _origin(delivery, claim)
    _expect_publisher(claim, (owner_of(origin.key),))
    return origin


def judge_announcement(delivery: Delivery, topology: Topology) -> None:
    """Admit an announcement: from the broker, over ``plexica.registry``.

    Raises:
        UnauthenticatedError: Nobody vouches for the publisher.
        PermissionDeniedError: Somebody else published it, or elsewhere.
    """
    claim = _claim(delivery, topology)
    _expect_exchange(claim, "plexica.registry")
    _expect_publisher(claim, (SYSTEM_PLUGIN,))


def _claim(delivery: Delivery, topology: Topology) -> _Claim:
    if delivery.publisher is None:
        raise UnauthenticatedError("nobody vouches for the publisher: the message carries no user_id")
    exchange = topology.exchange_kind(delivery.exchange)
    return _Claim(exchange, delivery.routing_key, delivery.publisher, delivery.message.type)


def _original(delivery: Delivery) -> _Claim:
    headers = delivery.message.headers
    names = (ORIGINAL_EXCHANGE_HEADER, ORIGINAL_KEY_HEADER, ORIGINAL_PUBLISHER_HEADER, ORIGINAL_TYPE_HEADER)
    found = [headers.get(name) for name in names]
    missing = [name for name, value in zip(names, found, strict=True) if not isinstance(value, str)]
    if missing:
        raise InvalidRequestError(f"a redelivered event lacks {', '.join(missing)}")
    return _Claim(*map(str, found))


def _origin(delivery: Delivery, claim: _Claim) -> Origin:
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


def _expect_exchange(claim: _Claim, exchange: str) -> None:
    if claim.exchange != exchange:
        raise PermissionDeniedError(f"a '{claim.type}' came over '{claim.exchange}', expected '{exchange}'")


def _expect_type(claim: _Claim, types: tuple[str, ...]) -> None:
    if claim.type not in types:
        expected = " or ".join(f"'{item}'" for item in types)
        raise InvalidRequestError(f"unknown message type '{claim.type}' on '{claim.exchange}', expected {expected}")


def _expect_publisher(claim: _Claim, publishers: tuple[str, ...]) -> None:
    if claim.publisher not in publishers:
        expected = " or ".join(f"'{item}'" for item in publishers)
        raise PermissionDeniedError(
            f"'{claim.publisher}' may not publish '{claim.routing_key}' on '{claim.exchange}', only {expected} may"
        )

"""What a delivery claims of itself, and the questions that the receiver rules are made of (`identity`). Pure."""

from typing import NamedTuple

from contracts.errors import InvalidRequestError, PermissionDeniedError, UnauthenticatedError
from contracts.topology import Topology
from plugin_runtime.transport.base import Delivery


class Claim(NamedTuple):
    """Where a delivery came from, as RabbitMQ tells it, and its type.

    Attributes:
        exchange: Without the bus's prefix, e.g. ``plexica.calls``.
        routing_key: As it came.
        publisher: The plugin that RabbitMQ vouches for.
        type: The message's type, which its publisher chose.
    """

    exchange: str
    routing_key: str
    publisher: str
    type: str


def claim_of(delivery: Delivery, topology: Topology) -> Claim:
    """What a delivery claims; `UnauthenticatedError` if nobody vouches for its publisher."""
    if delivery.publisher is None:
        raise UnauthenticatedError("nobody vouches for the publisher: the message carries no user_id")
    exchange = topology.exchange_kind(delivery.exchange)
    return Claim(exchange, delivery.routing_key, delivery.publisher, delivery.message.type)


def expect_exchange(claim: Claim, exchange: str) -> None:
    """It came over this exchange, else `PermissionDeniedError`."""
    if claim.exchange != exchange:
        raise PermissionDeniedError(f"a '{claim.type}' came over '{claim.exchange}', expected '{exchange}'")


def expect_type(claim: Claim, types: tuple[str, ...]) -> None:
    """It has one of these types, else `InvalidRequestError`."""
    if claim.type not in types:
        expected = " or ".join(f"'{item}'" for item in types)
        raise InvalidRequestError(f"unknown message type '{claim.type}' on '{claim.exchange}', expected {expected}")


def expect_publisher(claim: Claim, publishers: tuple[str, ...]) -> None:
    """One of these plugins published it, else `PermissionDeniedError`."""
    if claim.publisher not in publishers:
        expected = " or ".join(f"'{item}'" for item in publishers)
        raise PermissionDeniedError(
            f"'{claim.publisher}' may not publish '{claim.routing_key}' on '{claim.exchange}', only {expected} may"
        )


def unbound(claim: Claim) -> PermissionDeniedError:
    """The error of a routing key that the receiver's queue is not bound for."""
    return PermissionDeniedError(
        f"'{claim.routing_key}' is no key that this queue is bound for: it came by another way, e.g. a CC header"
    )

"""Where messages go that nobody here can handle: published again to ``plexica.dead``, with the reason, then settled."""

import time

import structlog

from contracts.codec import (
    ATTEMPT_HEADER,
    ERROR_HEADER,
    ERROR_TYPE_HEADER,
    ORIGINAL_EXCHANGE_HEADER,
    ORIGINAL_KEY_HEADER,
    ORIGINAL_PUBLISHER_HEADER,
    ORIGINAL_TYPE_HEADER,
)
from contracts.errors import ReturnedMessageError, TransportError
from contracts.ids import new_id
from contracts.topology import Topology
from plugin_runtime.transport.base import Delivery, HeaderValue, Message, Transport

log = structlog.get_logger()

LONGEST_ERROR = 2000


_ADDED_BY_RABBITMQ = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")


def headers_again(delivery: Delivery, topology: Topology) -> dict[str, HeaderValue]:
    """The headers of a message that is published again: its own, and where it came from first.

    What a message says of its origin is believed only if it came over ``plexica.redelivery``; else it is overwritten,
    so that nobody can smuggle in another origin.
    """
    own = {name: value for name, value in delivery.message.headers.items() if not name.startswith(_ADDED_BY_RABBITMQ)}
    if topology.exchange_kind(delivery.exchange) == "plexica.redelivery":
        return own
    return {
        **own,
        ORIGINAL_EXCHANGE_HEADER: topology.exchange_kind(delivery.exchange),
        ORIGINAL_KEY_HEADER: delivery.routing_key,
        ORIGINAL_PUBLISHER_HEADER: delivery.publisher or "",
        ORIGINAL_TYPE_HEADER: delivery.message.type,
    }


class DeadLetters:
    """Buries what cannot be handled; nothing is dropped in silence."""

    def __init__(self, transport: Transport, topology: Topology) -> None:
        self._transport = transport
        self._topology = topology

    async def bury(self, delivery: Delivery, subscription: str, error: Exception, *, attempt: int = 1) -> None:
        """Publish the message to ``plexica.dead``, wait for the confirm, then acknowledge it.

        Where RabbitMQ does not take it, the delivery is given back and will come again: never lost, perhaps twice.
        Where nobody keeps dead letters, it is given up with the log as its only trace: it would come back for ever.
        """
        headers = {
            **headers_again(delivery, self._topology),
            ERROR_HEADER: str(error)[:LONGEST_ERROR],
            ERROR_TYPE_HEADER: type(error).__name__,
            ATTEMPT_HEADER: attempt,
        }
        message = Message(
            body=delivery.message.body,
            type=delivery.message.type,
            message_id=new_id(),
            headers=headers,
            timestamp=int(time.time()),
        )
        key = f"{self._transport.identity}.{subscription}"
        try:
            await self._transport.publish(message, exchange=self._topology.dead, routing_key=key)
        except ReturnedMessageError:
            log.error("dead_letter.unwanted", key=key, reason=str(error), type=type(error).__name__)  # noqa: TRY400
            await delivery.reject(requeue=False)
            return
        except TransportError as failure:
            log.warning("dead_letter.not_taken", key=key, error=str(failure))
            await delivery.reject(requeue=True)
            return
        log.error("dead_letter.buried", key=key, reason=str(error), type=type(error).__name__, attempt=attempt)
        await delivery.acknowledge()

"""The lean transport: everything is `AmqpTransport`'s, except what happens with every message."""

import asyncio

from contracts.topology import connection_name
from plugin_runtime.transport.amqp import AmqpTransport
from plugin_runtime.transport.amqp_consumer import Consumption
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS, Message, OnDelivery
from plugin_runtime.transport.lean.connection import WiredConnection
from plugin_runtime.transport.lean.consumer import LeanConsumer
from plugin_runtime.transport.lean.publisher import LeanPublisher, PublishChannel


class LeanTransport(AmqpTransport):
    """Speaks to RabbitMQ for one plugin instance, with little between the message and the socket; see `Transport`."""

    _publish_connection: WiredConnection
    _consume_connection: WiredConnection

    def __init__(self, url: str, *, identity: str, instance: str, insecure: bool = False, patient: bool = True) -> None:
        super().__init__(url, identity=identity, instance=instance, insecure=insecure, patient=patient)
        self._lean_publisher = LeanPublisher(self._open_publish_channel)

    async def publish(
        self,
        message: Message,
        *,
        exchange: str,
        routing_key: str,
        mandatory: bool = True,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> None:
        """Publish and wait for the publisher confirm; see `Transport.publish`."""
        await self._lean_publisher.publish_soon(
            message, exchange=exchange, routing_key=routing_key, mandatory=mandatory, timeout=timeout
        )

    def publish_soon(
        self,
        message: Message,
        *,
        exchange: str,
        routing_key: str,
        mandatory: bool = True,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> asyncio.Future[None]:
        """Publish from a plain function; see `Transport.publish_soon`."""
        return self._lean_publisher.publish_soon(
            message, exchange=exchange, routing_key=routing_key, mandatory=mandatory, timeout=timeout
        )

    async def _open_publish_channel(self) -> PublishChannel:
        channel, wire = await self._publish_connection.open_wired(publishes=True)
        login = self._identity if self._is_verified else None
        taken = PublishChannel(wire, channel.number, app_id=self._identity, login=login)
        wire.take(taken)
        return taken

    def _connection(self, role: str) -> WiredConnection:
        name = connection_name(self._identity, self._instance, role)
        return WiredConnection(self._address, name=name, on_restored=self._on_restored, patient=self._patient)

    def _consumer(self, consumption: Consumption, on_delivery: OnDelivery) -> LeanConsumer:
        return LeanConsumer(self._consume_connection, consumption, on_delivery, self._vouch)

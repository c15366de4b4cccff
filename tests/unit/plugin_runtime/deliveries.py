"""Deliveries made by hand: a fake that implements the seam."""

from dataclasses import dataclass, field

from plugin_runtime.transport.base import HeaderValue, Message


@dataclass
class FakeDelivery:
    """A delivery that remembers how it was settled."""

    message: Message
    exchange: str
    routing_key: str
    publisher: str | None = "plugin-crm"
    redelivered: bool = False
    delivery_count: int = 0
    settled: list[str] = field(default_factory=list)

    def acknowledge_soon(self) -> None:
        self.settled.append("ack")

    async def acknowledge(self) -> None:
        self.settled.append("ack")

    async def reject(self, *, requeue: bool) -> None:
        self.settled.append("requeue" if requeue else "reject")


def make_delivery(
    *,
    exchange: str = "plexica.events",
    routing_key: str = "acme-corp.crm.events.contact.created",
    publisher: str | None = "plugin-crm",
    type_: str = "event",
    headers: dict[str, HeaderValue] | None = None,
    body: bytes = b"{}",
    redelivered: bool = False,
) -> FakeDelivery:
    """Valid by default: an event of the CRM in acme-corp."""
    sent = {"x-tenant-id": "acme-corp"} if headers is None else headers
    message = Message(body=body, type=type_, message_id="1", headers=sent)
    return FakeDelivery(message, exchange, routing_key, publisher, redelivered)

"""The outbox: announcements that are written with what they announce, and published afterwards.

A decision and its announcement stand in one transaction, so neither is ever without the other. The relay publishes
what stands here in the order of the decisions.
"""

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from broker.storage.database import Database, Row, Transaction
from contracts.codec import encode

OutboxExchange = Literal["registry", "data"]

ADD = """
INSERT INTO outbox (event_id, exchange, routing_key, type, tenant, body, headers)
VALUES (:event_id, :exchange, :routing_key, :type, :tenant, :body, :headers)
"""
PENDING = "SELECT * FROM outbox ORDER BY id LIMIT :limit"
REMOVE = "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(:ids))"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxEntry:
    """An announcement that waits to be published.

    Attributes:
        id: Its place in the order of all announcements.
        event_id: The same for every attempt to publish it: receivers tell repetitions by it.
        exchange: ``registry`` or ``data``; the topology knows the full name.
        body: JSON.
        created_at: Whole seconds since the epoch.
    """

    id: int
    event_id: str
    exchange: OutboxExchange
    routing_key: str
    type: str
    tenant: str
    body: bytes
    headers: Mapping[str, str]
    created_at: int

    @classmethod
    def of_row(cls, row: Row) -> "OutboxEntry":
        """The entry that a row of the table holds."""
        columns: dict[str, Any] = dict(row)
        return cls(**{**columns, "body": row["body"].encode(), "headers": json.loads(row["headers"])})


class Outbox:
    """The table of waiting announcements, and the bell that wakes the relay."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._added = asyncio.Event()

    async def add(
        self,
        transaction: Transaction,
        *,
        exchange: OutboxExchange,
        routing_key: str,
        type: str,  # noqa: A002 - AMQP's word
        tenant: str,
        body: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> None:
        """Write an announcement in the caller's transaction and wake the relay once that is committed.

        It is published at least once, after every announcement committed before it; never if the transaction rolls
        back.

        Args:
            transaction: The transaction of what is announced.
            exchange: ``registry`` or ``data``.
            routing_key: The whole routing key, tenant first.
            type: The message type, e.g. ``data.set``.
            tenant: The tenant for the header; ``_`` for none.
            body: The JSON object.
            headers: Further headers.

        Raises:
            InvalidRequestError: The body cannot be written as JSON.
        """
        row = {
            "event_id": uuid.uuid4().hex,
            "exchange": exchange,
            "routing_key": routing_key,
            "type": type,
            "tenant": tenant,
            "body": encode(body).decode(),
            "headers": json.dumps(headers or {}),
        }
        await transaction.execute(ADD, row)
        transaction.on_commit(self._added.set)

    async def pending(self, limit: int) -> list[OutboxEntry]:
        """The oldest announcements that are not marked as sent, at most ``limit``, in their order."""
        return [OutboxEntry.of_row(row) for row in await self._database.rows(PENDING, {"limit": limit})]

    async def mark_sent(self, ids: Sequence[int]) -> None:
        """Take announcements out, all in one transaction; ids that are not there are no error."""
        async with self._database.transaction() as transaction:
            await transaction.execute(REMOVE, {"ids": json.dumps(list(ids))})

    def expect_more(self) -> None:
        """Forget earlier wake-ups. Call it before `pending`, so that what is committed afterwards wakes again."""
        self._added.clear()

    async def more(self) -> None:
        """Wait until something was added since `expect_more`."""
        await self._added.wait()

"""The relay: nothing lost, nothing reordered, nothing taken out before its confirm."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from broker.outbox.relay import Relay, jittered_delay
from broker.outbox.store import Outbox
from broker.storage.database import Database
from contracts.errors import NotConnectedError
from contracts.topology import Topology
from plugin_runtime.transport.base import PUBLISH_TIMEOUT_SECONDS, Message

TOPOLOGY = Topology(prefix="test.")


class FakeTransport:
    """Takes what is published, or raises what `failing` says for it."""

    def __init__(self, failing: Callable[[str], Exception | None] = lambda _: None) -> None:
        self.published: list[tuple[str, str, Message, bool]] = []
        self.refused: list[Message] = []
        self.failing = failing

    async def publish(
        self,
        message: Message,
        *,
        exchange: str,
        routing_key: str,
        mandatory: bool = True,
        timeout: float = PUBLISH_TIMEOUT_SECONDS,
    ) -> None:
        del timeout
        await asyncio.sleep(0)
        error = self.failing(routing_key)
        if error is not None:
            self.refused.append(message)
            raise error
        self.published.append((exchange, routing_key, message, mandatory))

    @property
    def keys(self) -> list[str]:
        return [key for _, key, _, _ in self.published]


class FailsAtFirst:
    """An error for the first so many attempts to publish one key."""

    def __init__(self, key: str, times: int) -> None:
        self.key = key
        self.left = times

    def __call__(self, key: str) -> Exception | None:
        if key != self.key or not self.left:
            return None
        self.left -= 1
        return NotConnectedError("the connection was lost")


async def add(database: Database, outbox: Outbox, *keys: str) -> None:
    async with database.transaction() as transaction:
        for key in keys:
            await outbox.add(
                transaction, exchange="data", routing_key=key, type="data.set", tenant="acme-corp", body={"key": key}
            )


@asynccontextmanager
async def running(outbox: Outbox, transport: FakeTransport) -> AsyncIterator[Relay]:
    relay = Relay(outbox, transport, TOPOLOGY, delay=lambda _: 0.0)  # type: ignore[arg-type]
    task = asyncio.create_task(relay.run())
    try:
        async with asyncio.timeout(10):
            yield relay
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_what_waited_at_the_start_is_published_in_order(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, "a.1", "a.2", "a.3")
    transport = FakeTransport()
    async with running(outbox, transport) as relay:
        await relay.drained()

    assert transport.keys == ["a.1", "a.2", "a.3"]
    assert await outbox.pending(10) == []


async def test_a_commit_wakes_an_idle_relay(database: Database, outbox: Outbox) -> None:
    transport = FakeTransport()
    async with running(outbox, transport) as relay:
        await relay.drained()
        await add(database, outbox, "a.1")
        await relay.drained()

    assert transport.keys == ["a.1"]


async def test_more_than_a_window_is_published_in_order(database: Database, outbox: Outbox) -> None:
    keys = [f"a.{number:03}" for number in range(150)]
    await add(database, outbox, *keys)
    transport = FakeTransport()
    async with running(outbox, transport) as relay:
        await relay.drained()

    assert transport.keys == keys


async def test_a_message_says_what_the_announcement_said(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, "acme-corp.crm.cache.count")
    (entry,) = await outbox.pending(1)
    transport = FakeTransport()
    async with running(outbox, transport) as relay:
        await relay.drained()
    ((exchange, _, message, mandatory),) = transport.published

    assert (exchange, mandatory) == ("test.plexica.data", False)
    assert message == Message(
        body=b'{"key":"acme-corp.crm.cache.count"}',
        type="data.set",
        message_id=message.message_id,
        headers={"x-tenant-id": "acme-corp", "x-event-id": entry.event_id},
        timestamp=entry.created_at,
    )


async def test_a_failure_is_tried_again_with_the_same_event_id_and_a_new_message_id(
    database: Database, outbox: Outbox
) -> None:
    await add(database, outbox, "a.1")
    transport = FakeTransport(FailsAtFirst("a.1", 2))
    async with running(outbox, transport) as relay:
        await relay.drained()
    attempts = [*transport.refused, transport.published[0][2]]

    assert len({message.headers["x-event-id"] for message in attempts}) == 1
    assert len({message.message_id for message in attempts}) == 3


async def test_after_a_failure_everything_from_there_on_is_published_again_in_order(
    database: Database, outbox: Outbox
) -> None:
    await add(database, outbox, "a.1", "a.2", "a.3")
    transport = FakeTransport(FailsAtFirst("a.2", 1))
    async with running(outbox, transport) as relay:
        await relay.drained()

    assert transport.keys == ["a.1", "a.3", "a.2", "a.3"]


async def test_nothing_is_taken_out_before_its_confirm(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, "a.1")
    failures = FailsAtFirst("a.1", 1_000_000)
    async with running(outbox, FakeTransport(failures)) as relay:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await relay.drained()

    assert [entry.routing_key for entry in await outbox.pending(10)] == ["a.1"]


async def test_a_failure_is_logged_as_waiting(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, "a.1")
    with capture_logs() as logs:
        async with running(outbox, FakeTransport(FailsAtFirst("a.1", 1))) as relay:
            await relay.drained()

    assert logs == [
        {
            "event": "outbox.waiting",
            "log_level": "warning",
            "error": "the connection was lost",
            "failures": 1,
            "delay_seconds": 0.0,
        }
    ]


async def test_a_cancelled_relay_leaves_what_was_not_confirmed(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, "a.1")
    publishing = asyncio.Event()

    class NeverConfirms(FakeTransport):
        async def publish(self, *_: object, **__: object) -> None:
            publishing.set()
            await asyncio.Event().wait()

    async with running(outbox, NeverConfirms()):
        await publishing.wait()

    assert len(await outbox.pending(10)) == 1


async def test_an_error_that_is_not_the_transports_ends_the_relay(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, "a.1")
    transport = FakeTransport(lambda _: ZeroDivisionError())
    relay = Relay(outbox, transport, TOPOLOGY)  # type: ignore[arg-type]

    with pytest.raises(ExceptionGroup) as caught:
        await relay.run()
    assert caught.group_contains(ZeroDivisionError)


@pytest.mark.parametrize("failures", [1, 2, 5, 50, 5000])
def test_the_delay_is_bounded(failures: int) -> None:
    assert 0.1 <= jittered_delay(failures) <= 10.0

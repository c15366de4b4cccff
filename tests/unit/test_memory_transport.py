"""What is special to the memory transport; what it shares with RabbitMQ is in ``tests/conformance``."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import (
    MissingQueueError,
    NotConnectedError,
    PublisherRefusedError,
    RejectedPublishError,
    ReturnedMessageError,
    TransportError,
)
from contracts.names import matches
from contracts.topology import DIRECT_REPLY_TO, Binding, Exchange, Queue
from plugin_runtime.transport.base import Delivery, Message
from plugin_runtime.transport.clock import Gate, VirtualClock
from plugin_runtime.transport.memory import MemoryTransport
from plugin_runtime.transport.memory_message import Published
from plugin_runtime.transport.memory_routing import TopicExchange
from plugin_runtime.transport.memory_vhost import MemoryVhost

IDS = count()


def dotted(words: str) -> st.SearchStrategy[str]:
    """Keys and patterns of a few words, so that they often meet."""
    return st.lists(st.sampled_from([*words, ""]), min_size=1, max_size=3).map(".".join)


class Inbox:
    """A consumer's deliveries, in order."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.message.body for delivery in self.deliveries]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def vhost(clock: VirtualClock) -> MemoryVhost:
    return MemoryVhost(clock)


@pytest.fixture
async def crm(vhost: MemoryVhost) -> AsyncIterator[MemoryTransport]:
    transport = MemoryTransport(vhost, identity="plugin-crm")
    await transport.open()
    yield transport
    await transport.close()


@pytest.fixture
async def cdp(vhost: MemoryVhost) -> AsyncIterator[MemoryTransport]:
    transport = MemoryTransport(vhost, identity="plugin-cdp")
    await transport.open()
    yield transport
    await transport.close()


def make_message(body: bytes = b"{}", **fields: Any) -> Message:
    return Message(**{"body": body, "type": "event", "message_id": str(next(IDS)), **fields})


async def make_queue(transport: MemoryTransport, name: str = "work", **fields: Any) -> Queue:
    queue = Queue(**{"name": name, **fields})
    await transport.declare_exchange(Exchange("events"))
    await transport.declare_queue(queue)
    await transport.bind(Binding(name, "events", f"{name}.#"))
    return queue


async def publish(transport: MemoryTransport, *bodies: bytes, key: str = "work", **fields: Any) -> None:
    for body in bodies:
        await transport.publish(make_message(body, **fields), exchange="events", routing_key=key)


async def turns(number: int = 5) -> None:
    """Let the event loop go round."""
    for _ in range(number):
        await asyncio.sleep(0)


def bodies_in(vhost: MemoryVhost, queue: str = "work") -> list[bytes]:
    return [queued.message.body for queued in vhost.messages(queue)]


# Isolation


async def test_consumer_cannot_change_a_stored_message(crm: MemoryTransport) -> None:
    """Whoever writes into a delivery's headers writes into a copy."""
    inbox = Inbox()
    await make_queue(crm)
    await crm.consume("work", inbox, prefetch=0, role="test")
    await publish(crm, b"1", headers={"x-tenant-id": "acme"})
    await turns()
    inbox.deliveries[0].message.headers["x-tenant-id"] = "evil"  # type: ignore[index]
    await inbox.deliveries[0].reject(requeue=True)
    await turns()

    assert inbox.deliveries[1].message.headers == {"x-tenant-id": "acme"}
    assert inbox.deliveries[1].redelivered


async def test_publisher_cannot_change_a_published_message(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """Headers are copied when published."""
    headers: dict[str, str] = {"x-tenant-id": "acme"}
    await make_queue(crm)
    await publish(crm, b"1", headers=headers)
    headers["x-tenant-id"] = "evil"

    assert vhost.messages("work")[0].message.headers == {"x-tenant-id": "acme"}


async def test_delivery_comes_after_publish_routed_it_never_within(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """A consumer is called by the event loop, so nothing is surprised by what it does."""
    inbox = Inbox()
    await make_queue(crm)
    await crm.consume("work", inbox, prefetch=0, role="test")
    connection = await crm.connection(1.0)
    vhost.publish(connection, make_message(), exchange="events", routing_key="work", mandatory=True)

    assert inbox.deliveries == []
    await turns()
    assert len(inbox.deliveries) == 1


async def test_a_vhost_can_be_made_outside_of_an_event_loop() -> None:
    """It needs the loop only when something happens."""
    vhost = await asyncio.to_thread(MemoryVhost)
    async with asyncio.timeout(5):
        transport = MemoryTransport(vhost, identity="plugin-crm")
        await transport.open()
        await make_queue(transport, expires_seconds=600.0)
        await publish(transport, b"1")
        await transport.close()

    assert bodies_in(vhost) == [b"1"]


# Who publishes


async def test_a_false_user_id_is_refused(crm: MemoryTransport) -> None:
    """The login is the identity."""
    await make_queue(crm)

    with pytest.raises(PublisherRefusedError, match="'plugin-cdp' is not the login 'plugin-crm'"):
        await publish(crm, b"1", user_id="plugin-cdp")


async def test_hooks_see_every_published_message_with_its_queues(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """Test kits may watch all traffic."""
    seen: list[Published] = []
    vhost.on_published(seen.append)
    await make_queue(crm)
    await publish(crm, b"1")
    await crm.publish(make_message(b"2"), exchange="events", routing_key="nobody", mandatory=False)

    assert [(each.message.body, each.routing_key, each.queues) for each in seen] == [
        (b"1", "work", ("work",)),
        (b"2", "nobody", ()),
    ]
    assert seen[0].message.user_id == "plugin-crm"


async def test_a_full_queue_does_not_keep_the_message_from_the_others(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """One refusal fails the publish, whoever else took it."""
    await make_queue(crm, "full", max_length=1, overflow="reject-publish")
    await make_queue(crm, "other")
    await crm.bind(Binding("other", "events", "full"))
    await publish(crm, b"1", key="full")

    with pytest.raises(RejectedPublishError, match="full"):
        await publish(crm, b"2", key="full")
    assert (bodies_in(vhost, "full"), bodies_in(vhost, "other")) == ([b"1"], [b"1", b"2"])


async def test_redeclaring_names_the_argument_that_differs(crm: MemoryTransport) -> None:
    """The refusal says argument, found and expected."""
    await make_queue(crm, max_length=5)

    with pytest.raises(TransportError, match="'work' has x-max-length 5 and was declared with 10"):
        await crm.declare_queue(Queue(name="work", max_length=10))


# Routing


@given(
    patterns=st.lists(st.tuples(st.sampled_from("pqr"), dotted("ab*#")), max_size=12),
    dropped=st.integers(0, 12),
    keys=st.lists(dotted("ab*#"), max_size=6),
)
def test_router_agrees_with_matching_every_pattern(
    patterns: list[tuple[str, str]], dropped: int, keys: list[str]
) -> None:
    """Looking up and remembering routes changes nothing but the time it takes, while bindings come and go."""
    exchange, bound = TopicExchange(), dict.fromkeys(patterns)
    for queue, pattern in patterns:
        exchange.bind(queue, pattern)
        _ = [exchange.route(key) for key in keys]
    for queue, pattern in patterns[:dropped]:
        exchange.unbind(queue, pattern)
        bound.pop((queue, pattern), None)

    for key in keys:
        assert set(exchange.route(key)) == {queue for queue, pattern in bound if matches(pattern, key)}
        assert len(exchange.route(key)) == len(set(exchange.route(key)))


# Time


async def test_the_shorter_of_the_two_times_counts(
    crm: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """A message goes by its own expiration or the queue's TTL, whichever is first."""
    await make_queue(crm, message_ttl_seconds=10.0)
    await publish(crm, b"soon", expiration_seconds=1.0)
    await publish(crm, b"late", expiration_seconds=60.0)

    await clock.advance(2.0)
    assert bodies_in(vhost) == [b"late"]
    await clock.advance(8.0)
    assert bodies_in(vhost) == []


async def test_an_expired_message_waits_behind_one_that_lives(
    crm: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """Only the head of a queue expires."""
    await make_queue(crm)
    await publish(crm, b"lives")
    await publish(crm, b"over", expiration_seconds=1.0)
    await clock.advance(2.0)

    assert bodies_in(vhost) == [b"lives", b"over"]
    inbox = Inbox()
    await crm.consume("work", inbox, prefetch=0, role="test")
    await turns()
    assert inbox.bodies == [b"lives"]


async def test_expiration_zero_reaches_only_a_consumer_that_is_ready(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """Delivered at once or not at all."""
    inbox = Inbox()
    await make_queue(crm)
    await publish(crm, b"too early", expiration_seconds=0.0)
    await crm.consume("work", inbox, prefetch=1, role="test")
    await publish(crm, b"ready", b"busy", expiration_seconds=0.0)
    await turns()

    assert inbox.bodies == [b"ready"]
    assert bodies_in(vhost) == []


async def test_a_dead_letter_says_where_it_died_and_has_no_expiration(
    crm: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """It would expire again wherever it comes to."""
    await crm.declare_exchange(Exchange("dead"))
    await make_queue(crm, dead_letter_exchange="dead", dead_letter_routing_key="crm.work")
    await crm.declare_queue(Queue(name="graves"))
    await crm.bind(Binding("graves", "dead", "crm.#"))
    await publish(crm, b"1", expiration_seconds=1.0, headers={"x-tenant-id": "acme"})
    await clock.advance(1.0)
    (letter,) = vhost.messages("graves")

    assert (letter.exchange, letter.routing_key) == ("dead", "crm.work")
    assert letter.message.expiration_seconds is None
    assert letter.message.user_id == "plugin-crm"
    assert letter.message.headers == {
        "x-first-death-queue": "work",
        "x-first-death-reason": "expired",
        "x-first-death-exchange": "events",
        "x-tenant-id": "acme",
    }


async def test_a_message_that_would_circle_for_ever_is_dropped(
    crm: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """No consumer rejects it on the way round, so nothing would ever end it."""
    await make_queue(crm, "a", message_ttl_seconds=1.0, dead_letter_exchange="events", dead_letter_routing_key="b")
    await make_queue(crm, "b", message_ttl_seconds=1.0, dead_letter_exchange="events", dead_letter_routing_key="a")
    await publish(crm, b"1", key="a")

    await clock.advance(1.0)
    assert bodies_in(vhost, "b") == [b"1"]
    await clock.advance(1.0)
    assert (bodies_in(vhost, "a"), bodies_in(vhost, "b")) == ([], [])


async def test_rejecting_into_a_delay_and_back_may_go_on_for_ever(crm: MemoryTransport, clock: VirtualClock) -> None:
    """A consumer that rejects can stop at any time."""
    inbox = Inbox()
    await make_queue(crm, dead_letter_exchange="events", dead_letter_routing_key="delay")
    await make_queue(
        crm, "delay", message_ttl_seconds=1.0, dead_letter_exchange="events", dead_letter_routing_key="work"
    )
    await crm.consume("work", inbox, prefetch=1, role="test")
    await publish(crm, b"1")
    for _ in range(3):
        await turns()
        await inbox.deliveries[-1].reject(requeue=False)
        await clock.advance(1.0)
    await turns()

    assert inbox.bodies == [b"1"] * 4


async def test_an_unused_queue_goes_and_a_used_one_stays(
    crm: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """Consumers and declarations are use, messages are not."""
    idle = await make_queue(crm, "idle", expires_seconds=10.0)
    await make_queue(crm, "used", expires_seconds=10.0)
    consumer = await crm.consume("used", Inbox(), prefetch=0, role="test")
    await clock.advance(6.0)
    await crm.declare_queue(idle)
    await publish(crm, b"1", key="idle")
    await clock.advance(6.0)
    assert [queue.name for queue in vhost.queues()] == ["idle", "used"]

    await clock.advance(4.0)
    assert [queue.name for queue in vhost.queues()] == ["used"]
    await consumer.cancel()
    await clock.advance(10.0)
    assert (vhost.queues(), vhost.bindings()) == ((), ())


# Lost connections


async def test_dropped_connection_returns_what_is_unsettled(crm: MemoryTransport) -> None:
    """It comes again, redelivered and in its old order; the old deliveries settle nothing any more."""
    inbox = Inbox()
    await make_queue(crm)
    await crm.consume("work", inbox, prefetch=2, role="test")
    await publish(crm, b"1", b"2", b"3")
    await turns()
    crm.drop_connection()
    await turns()
    for stale in inbox.deliveries[:2]:
        await stale.acknowledge()
    await turns()

    assert inbox.bodies == [b"1", b"2", b"1", b"2"]
    assert [delivery.redelivered for delivery in inbox.deliveries] == [False, False, True, True]


async def test_delivery_on_its_way_is_lost_with_the_connection(crm: MemoryTransport) -> None:
    """What the consumer had not seen is nevertheless marked redelivered, as in RabbitMQ."""
    inbox = Inbox()
    await make_queue(crm)
    await publish(crm, b"1")
    await crm.consume("work", inbox, prefetch=0, role="test")
    crm.drop_connection()
    await turns()

    assert [(each.message.body, each.redelivered) for each in inbox.deliveries] == [(b"1", True)]


async def test_coming_back_runs_callbacks_and_outranks_zombies(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """Each reconnect raises the consumer's priority by one; one failing callback does not stop the next."""
    calls: list[bool] = []

    async def failing() -> None:
        raise RuntimeError

    async def noted() -> None:
        calls.append(crm.is_connected)

    await make_queue(crm)
    await crm.consume("work", Inbox(), prefetch=1, role="replies", outrank_zombies=True)
    crm.on_reconnected(failing)
    crm.on_reconnected(noted)
    for _ in range(2):
        crm.drop_connection()
        await turns()

    assert calls == [True, True]
    assert [(each.tag, each.priority) for each in vhost.consumers("work")] == [("plugin-crm/memory/replies", 2)]


async def test_publishes_wait_for_the_connection_and_keep_their_order(
    crm: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """What is published while RabbitMQ is away arrives when it is back."""
    await make_queue(crm)
    vhost.stop()
    waiting = [asyncio.create_task(publish(crm, body)) for body in (b"1", b"2", b"3")]
    await turns()
    assert bodies_in(vhost) == []

    await clock.advance(5.0)
    vhost.start()
    await asyncio.gather(*waiting)
    assert bodies_in(vhost) == [b"1", b"2", b"3"]


async def test_publish_gives_up_when_no_connection_comes_in_time(
    crm: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """Its timeout covers the waiting too."""
    await make_queue(crm)
    vhost.stop()
    waiting = asyncio.create_task(publish(crm, b"1"))
    await turns()
    await clock.advance(10.0)

    with pytest.raises(NotConnectedError, match="no connection in 10 s"):
        await waiting
    assert bodies_in(vhost) == []


async def test_publish_without_a_confirm_is_unknown_not_failed(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """The connection goes after the message was stored and before the publisher hears of it."""
    await make_queue(crm)
    publishing = asyncio.create_task(publish(crm, b"1"))
    await asyncio.sleep(0)
    crm.drop_connection()

    with pytest.raises(NotConnectedError, match="may have been stored"):
        await publishing
    assert bodies_in(vhost) == [b"1"]


async def test_a_connection_can_stay_away_for_a_while(crm: MemoryTransport, clock: VirtualClock) -> None:
    """``down_seconds`` pass on the vhost's clock."""
    crm.drop_connection(down_seconds=3.0)
    await turns()
    assert not crm.is_connected

    await clock.advance(3.0)
    await turns()
    assert crm.is_connected


async def test_stop_keeps_messages_and_start_brings_consumers_back(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """Durable queues survive RabbitMQ's absence."""
    inbox = Inbox()
    await make_queue(crm)
    await crm.consume("work", inbox, prefetch=1, role="test")
    await publish(crm, b"1")
    vhost.stop()
    await turns()
    assert (crm.is_connected, vhost.consumers("work"), bodies_in(vhost)) == (False, (), [b"1"])

    vhost.start()
    await turns()
    assert inbox.deliveries[-1].redelivered


@pytest.mark.parametrize(("kind", "left"), [("classic", [b"a", b"c"]), ("quorum", [b"a", b"b", b"c"])])
async def test_stop_loses_what_a_classic_queue_did_not_write_down(
    crm: MemoryTransport, vhost: MemoryVhost, kind: Any, left: list[bytes]
) -> None:
    await make_queue(crm, kind=kind)
    for body in (b"a", b"b", b"c"):
        await publish(crm, body, persistent=body != b"b")
    vhost.stop()
    vhost.start()

    assert bodies_in(vhost) == left


async def test_time_passes_for_messages_while_stopped_but_not_for_queues(
    crm: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """RabbitMQ judges expiry after it came back, and counts a queue's idleness anew."""
    await make_queue(crm, expires_seconds=5.0)
    await publish(crm, b"1", expiration_seconds=1.0)
    vhost.stop()
    await clock.advance(60.0)
    assert bodies_in(vhost) == [b"1"]

    vhost.start()
    assert bodies_in(vhost) == []


async def test_open_waits_for_rabbitmq(vhost: MemoryVhost) -> None:
    """However long that takes."""
    vhost.stop()
    transport = MemoryTransport(vhost, identity="plugin-crm")
    opening = asyncio.create_task(transport.open())
    await turns()
    assert not opening.done()

    vhost.start()
    await opening
    assert transport.is_connected
    await transport.close()


async def test_closed_transport_refuses_and_those_who_wait_hear_it(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """Nobody waits for a connection that cannot come."""
    await make_queue(crm)
    vhost.stop()
    waiting = asyncio.create_task(publish(crm, b"1"))
    await turns()
    await crm.close()
    await crm.close()

    with pytest.raises(NotConnectedError, match="closed"):
        await waiting
    with pytest.raises(NotConnectedError, match="closed"):
        await crm.open()


# Consumers


async def test_consumer_waits_for_a_deleted_queue_and_resumes(crm: MemoryTransport, cdp: MemoryTransport) -> None:
    """It survives until it is cancelled."""
    inbox = Inbox()
    await make_queue(crm)
    await crm.consume("work", inbox, prefetch=1, role="test")
    await cdp.delete_queue("work")
    with pytest.raises(MissingQueueError):
        await cdp.depth("work")
    await make_queue(cdp)
    await publish(cdp, b"1")
    await turns()

    assert inbox.bodies == [b"1"]
    assert inbox.deliveries[0].publisher == "plugin-cdp"


async def test_cancelled_consumer_does_not_resume(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """Also when it was cancelled while its queue was away."""
    await make_queue(crm)
    consumer = await crm.consume("work", Inbox(), prefetch=1, role="test")
    await crm.delete_queue("work")
    await consumer.cancel()
    await make_queue(crm)

    assert vhost.consumers("work") == ()


async def test_exclusive_consumer_that_lost_its_place_waits_for_it(
    crm: MemoryTransport, cdp: MemoryTransport, vhost: MemoryVhost, clock: VirtualClock
) -> None:
    """Another took the queue while the connection was down; it comes back when the other goes."""
    await make_queue(crm)
    await crm.consume("work", Inbox(), prefetch=1, role="lock", exclusive=True)
    crm.drop_connection(down_seconds=1.0)
    other = await cdp.consume("work", Inbox(), prefetch=1, role="lock", exclusive=True)
    await clock.advance(1.0)
    await turns()
    assert crm.is_connected
    assert [each.tag for each in vhost.consumers("work")] == ["plugin-cdp/memory/lock"]

    await other.cancel()
    assert [each.tag for each in vhost.consumers("work")] == ["plugin-crm/memory/lock"]


async def test_old_delivery_cannot_settle_the_message_s_next_one(crm: MemoryTransport, vhost: MemoryVhost) -> None:
    """A settled delivery stays settled though its message is with the same consumer again."""
    inbox = Inbox()
    await make_queue(crm)
    await crm.consume("work", inbox, prefetch=1, role="test")
    await publish(crm, b"1")
    await turns()
    await inbox.deliveries[0].reject(requeue=True)
    await inbox.deliveries[0].acknowledge()
    await turns()

    assert vhost.unsettled("work") == 1
    await inbox.deliveries[1].acknowledge()
    assert vhost.unsettled("work") == 0


async def test_next_active_consumer_gets_returned_messages_in_order(crm: MemoryTransport, cdp: MemoryTransport) -> None:
    """Whoever takes over begins with what the lost one had not settled."""
    first, second = Inbox(), Inbox()
    await make_queue(crm, single_active_consumer=True)
    await crm.consume("work", first, prefetch=2, role="test")
    await cdp.consume("work", second, prefetch=0, role="test")
    await publish(cdp, b"1", b"2", b"3")
    await turns()
    crm.drop_connection()
    await turns()

    assert (first.bodies, second.bodies) == ([b"1", b"2"], [b"1", b"2", b"3"])


async def test_exclusive_queue_goes_with_its_connection(
    crm: MemoryTransport, cdp: MemoryTransport, vhost: MemoryVhost
) -> None:
    """And until then it is there for nobody else."""
    await crm.declare_queue(Queue(name="lock", exclusive=True))
    with pytest.raises(TransportError, match="RESOURCE_LOCKED"):
        await cdp.declare_queue(Queue(name="lock", exclusive=True))
    crm.drop_connection()

    assert vhost.queues() == ()
    await cdp.declare_queue(Queue(name="lock", exclusive=True))


# Direct reply-to


async def test_direct_address_dies_with_its_connection(crm: MemoryTransport, cdp: MemoryTransport) -> None:
    """No reply comes, and the next request says so."""
    requests, replies = Inbox(), Inbox()
    await make_queue(cdp)
    await cdp.consume("work", requests, prefetch=0, role="test")
    async with crm.direct_caller(replies) as caller:
        await caller.publish(make_message(), exchange="events", routing_key="work")
        await turns()
        address = requests.deliveries[0].message.reply_to
        assert address is not None
        assert address.startswith(f"{DIRECT_REPLY_TO}.")
        await cdp.publish(make_message(b"reply"), exchange="", routing_key=address, mandatory=False)
        await turns()
        crm.drop_connection()
        await cdp.publish(make_message(b"late"), exchange="", routing_key=address, mandatory=False)
        with pytest.raises(ReturnedMessageError):
            await cdp.publish(make_message(b"late"), exchange="", routing_key=address)
        with pytest.raises(NotConnectedError):
            await caller.publish(make_message(), exchange="events", routing_key="work")
        await turns()

    assert replies.bodies == [b"reply"]


# The gate


async def test_nobody_overtakes_at_the_gate(clock: VirtualClock) -> None:
    """Who comes when it has just opened goes behind those who waited."""
    gate, order = Gate(clock, is_open=False), []

    async def pass_as(name: str) -> None:
        await gate.passed()
        order.append(name)

    early = asyncio.create_task(pass_as("early"))
    await asyncio.sleep(0)
    gate.open()
    await pass_as("late")
    await early

    assert order == ["early", "late"]

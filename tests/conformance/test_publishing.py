"""What a publisher is told about the fate of its messages."""

import asyncio

import pytest

from contracts.errors import (
    MissingQueueError,
    NotConnectedError,
    PublisherRefusedError,
    RejectedPublishError,
    ReturnedMessageError,
)
from contracts.topology import Binding, Exchange, Queue
from plugin_runtime.transport.base import Transport
from tests.conformance.collector import Collector, lay, make_message, publish_all
from tests.conformance.conftest import OpenTransport


@pytest.mark.parametrize(
    ("pattern", "key", "reaches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.*", "a.", True),
        ("*.*", "..", False),
        ("*.*", ".", True),
        ("#", "", True),
        ("*", "", False),
        ("#", "a.b.c", True),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("a.#.c", "a.c", True),
        ("a.#.c", "a.b.b.c", True),
        ("a.#.c", "a.b", False),
        ("#.b.#", "a.b.c", True),
        ("#.#", "a", True),
        ("*.#", "", False),
        ("*.#.b", "a.b", True),
        ("A.b", "a.b", False),
    ],
)
async def test_topic_patterns_admit_keys(transport: Transport, pattern: str, key: str, reaches: bool) -> None:
    """``*`` is one word, ``#`` any number of words; words may be empty, but an empty key has none."""
    await lay(transport, Queue(name="q"), pattern)

    if reaches:
        await transport.publish(make_message(), exchange="x", routing_key=key)
    else:
        with pytest.raises(ReturnedMessageError):
            await transport.publish(make_message(), exchange="x", routing_key=key)

    assert (await transport.depth("q")).messages == int(reaches)


async def test_message_reaches_a_queue_once_though_two_patterns_admit_it(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "a.*", "a.#")

    await transport.publish(make_message(), exchange="x", routing_key="a.b")

    assert (await transport.depth("q")).messages == 1


async def test_unroutable_message_is_returned(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "a")

    with pytest.raises(ReturnedMessageError) as caught:
        await transport.publish(make_message(), exchange="x", routing_key="b")

    assert (caught.value.exchange, caught.value.routing_key) == ("x", "b")


async def test_unroutable_message_vanishes_when_not_mandatory(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "a")

    await transport.publish(make_message(), exchange="x", routing_key="b", mandatory=False)

    assert (await transport.depth("q")).messages == 0


async def test_two_unroutable_messages_with_one_id_are_both_returned(transport: Transport) -> None:
    """The AMQP client would show the first as confirmed."""
    await transport.declare_exchange(Exchange("x"))
    message = make_message(message_id="same")

    fates = await asyncio.gather(
        *(transport.publish(message, exchange="x", routing_key="nowhere") for _ in range(5)), return_exceptions=True
    )

    assert [type(fate) for fate in fates] == [ReturnedMessageError] * 5


async def test_default_exchange_reaches_the_queue_of_that_name(transport: Transport) -> None:
    await transport.declare_queue(Queue(name="q"))

    await transport.publish(make_message(), exchange="", routing_key="q")

    assert (await transport.depth("q")).messages == 1


async def test_unknown_exchange_is_missing(transport: Transport) -> None:
    with pytest.raises(MissingQueueError, match="nowhere"):
        await transport.publish(make_message(), exchange="nowhere", routing_key="k")


async def test_transport_works_after_a_publish_to_a_deleted_exchange(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    await transport.declare_exchange(Exchange("gone"))
    await transport.delete_exchange("gone")

    with pytest.raises(MissingQueueError):
        await transport.publish(make_message(), exchange="gone", routing_key="k")
    await transport.publish(make_message(), exchange="x", routing_key="k")

    assert (await transport.depth("q")).messages == 1


async def test_bad_publish_among_many_fails_alone_or_leaves_the_others_unknown(transport: Transport) -> None:
    """The guilty publish hears why; nothing confirmed is lost; the connection stays."""
    await lay(transport, Queue(name="q"), "k")
    exchanges = ["x"] * 300 + ["nowhere"] + ["x"] * 300

    fates = await asyncio.gather(
        *(transport.publish(make_message(), exchange=exchange, routing_key="k") for exchange in exchanges),
        return_exceptions=True,
    )

    assert isinstance(fates.pop(300), MissingQueueError)
    assert {type(fate) for fate in fates} <= {type(None), NotConnectedError}
    assert transport.is_connected
    assert (await transport.depth("q")).messages >= fates.count(None)


async def test_false_user_id_is_refused(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")

    with pytest.raises(PublisherRefusedError):
        await transport.publish(make_message(user_id="somebody-else"), exchange="x", routing_key="k")
    await transport.publish(make_message("honest"), exchange="x", routing_key="k")

    assert (await transport.depth("q")).messages == 1


async def test_full_quorum_queue_takes_one_too_many_and_rejects_until_a_fifth_is_free(transport: Transport) -> None:
    """It tells its publishers when it is too full, and when there is room again, rather than judge each publish."""
    await lay(transport, Queue(name="q", kind="quorum", delivery_limit=5, max_length=5, overflow="reject-publish"), "k")
    collector = Collector()
    await publish_all(transport, "abcdef")

    with pytest.raises(RejectedPublishError):
        await publish_all(transport, "g")
    await transport.consume("q", collector, prefetch=1, role="r")
    (first,) = await collector.received(1)
    with pytest.raises(RejectedPublishError):
        await publish_all(transport, "h")
    await first.acknowledge()
    await collector.received(2)
    await publish_all(transport, "i")

    assert (await transport.depth("q")).messages == 5


async def test_full_queue_rejects_and_stores_nothing(transport: Transport) -> None:
    await lay(transport, Queue(name="q", max_length=2, overflow="reject-publish"), "k")
    await publish_all(transport, "ab")

    with pytest.raises(RejectedPublishError):
        await transport.publish(make_message("c"), exchange="x", routing_key="k")

    assert (await transport.depth("q")).messages == 2


async def test_drop_head_drops_the_oldest(transport: Transport) -> None:
    await lay(transport, Queue(name="q", max_length=2, overflow="drop-head"), "k")
    await publish_all(transport, "abc")
    collector = Collector()

    await transport.consume("q", collector, prefetch=10, role="r")
    await collector.acknowledged(2)

    assert collector.bodies == ["b", "c"]


async def test_messages_in_flight_keep_the_order_of_the_calls(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    collector = Collector()
    expected = [str(number) for number in range(2000)]

    await asyncio.gather(
        *(transport.publish(make_message(body), exchange="x", routing_key="k", timeout=60) for body in expected)
    )
    await transport.consume("q", collector, prefetch=100, role="r", no_ack=True)
    await collector.received(2000)

    assert collector.bodies == expected


async def test_ten_thousand_messages_may_be_in_flight(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")

    await asyncio.gather(
        *(transport.publish(make_message(), exchange="x", routing_key="k", timeout=60) for _ in range(10_000))
    )

    assert (await transport.depth("q")).messages == 10_000


@pytest.mark.parametrize("body", [b"", b"\x00\xff", b"x" * 1_000_000], ids=["empty", "bytes", "megabyte"])
async def test_bodies_arrive_as_they_were_published(transport: Transport, body: bytes) -> None:
    await lay(transport, Queue(name="q"), "k")
    collector = Collector()

    await transport.publish(make_message(body), exchange="x", routing_key="k")
    await transport.consume("q", collector, prefetch=1, role="r")
    (delivery,) = await collector.acknowledged()

    assert delivery.message.body == body


@pytest.mark.parametrize("persistent", [True, False])
async def test_properties_and_headers_arrive_as_they_were_published(
    open_transport: OpenTransport, persistent: bool
) -> None:
    publisher, receiver = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(publisher, Queue(name="q"), "#")
    headers = {"text": "é", "none": None, "yes": True, "number": 7, "big": 2**40, "negative": -3, "half": 0.5}
    message = make_message(
        type="call",
        correlation_id="c-1",
        reply_to="plugin-a.1",
        headers=headers,
        expiration_seconds=12.5,
        timestamp=1_700_000_000,
        app_id="somebody-else",
        persistent=persistent,
    )
    collector = Collector()

    await publisher.publish(message, exchange="x", routing_key="some.key")
    await receiver.consume("q", collector, prefetch=1, role="r")
    (delivery,) = await collector.acknowledged()

    received = delivery.message
    assert received.headers == headers
    assert (received.type, received.message_id) == ("call", message.message_id)
    assert (received.correlation_id, received.reply_to) == ("c-1", "plugin-a.1")
    assert (received.expiration_seconds, received.timestamp) == (12.5, 1_700_000_000)
    assert received.persistent == persistent
    assert (delivery.exchange, delivery.routing_key) == ("x", "some.key")
    assert (received.app_id, delivery.publisher) == ("plugin-a", "plugin-a")
    assert (delivery.redelivered, delivery.delivery_count) == (False, 0)


async def test_messages_published_without_waiting_arrive_in_order(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")
    collector = Collector()

    confirms = [
        transport.publish_soon(make_message(str(number)), exchange="x", routing_key="k") for number in range(50)
    ]
    await asyncio.gather(*confirms)
    await transport.consume("q", collector, prefetch=100, role="r")

    assert [delivery.message.body for delivery in await collector.acknowledged(50)] == [b"%d" % n for n in range(50)]


async def test_what_is_published_without_waiting_tells_its_fate_too(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")

    lost = transport.publish_soon(make_message(), exchange="x", routing_key="nobody")
    missing = transport.publish_soon(make_message(), exchange="x", routing_key="nobody", mandatory=False)

    with pytest.raises(ReturnedMessageError):
        await lost
    await missing


async def test_unbound_queue_hears_no_more(transport: Transport) -> None:
    await lay(transport, Queue(name="q"), "k")

    await transport.unbind(Binding("q", "x", "k"))

    with pytest.raises(ReturnedMessageError):
        await transport.publish(make_message(), exchange="x", routing_key="k")

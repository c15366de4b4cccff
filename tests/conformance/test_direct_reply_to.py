"""A request and its reply without a queue of one's own."""

import pytest

from contracts.errors import NotConnectedError, ReturnedMessageError
from contracts.topology import DEFAULT_EXCHANGE, Queue
from tests.conformance.collector import Collector, lay, make_message
from tests.conformance.conftest import OpenTransport


async def test_reply_comes_back_to_the_direct_caller(open_transport: OpenTransport) -> None:
    """The server sees an address of RabbitMQ's making and publishes to it on the default exchange."""
    client, server = await open_transport("plugin-a"), await open_transport("plugin-b")
    await lay(server, Queue(name="q"), "k")
    requests, replies = Collector(), Collector()
    await server.consume("q", requests, prefetch=1, role="r")

    async with client.direct_caller(replies) as caller:
        await caller.publish(make_message("question", correlation_id="c-1"), exchange="x", routing_key="k")
        (request,) = await requests.acknowledged()
        answer = make_message("answer", correlation_id=request.message.correlation_id)
        address = request.message.reply_to or ""
        await server.publish(answer, exchange=DEFAULT_EXCHANGE, routing_key=address, mandatory=False)
        (reply,) = await replies.received()

    assert address.startswith("amq.rabbitmq.reply-to")
    assert (reply.message.body, reply.message.correlation_id) == (b"answer", "c-1")
    assert (request.publisher, reply.publisher) == ("plugin-a", "plugin-b")


async def test_direct_request_that_nobody_hears_is_returned(open_transport: OpenTransport) -> None:
    client = await open_transport("plugin-a")
    await lay(client, Queue(name="q"), "k")

    async with client.direct_caller(Collector()) as caller:
        with pytest.raises(ReturnedMessageError):
            await caller.publish(make_message(), exchange="x", routing_key="nobody")


async def test_direct_caller_is_of_no_use_after_it_was_left(open_transport: OpenTransport) -> None:
    client = await open_transport("plugin-a")
    await lay(client, Queue(name="q"), "k")

    async with client.direct_caller(Collector()) as caller:
        pass

    with pytest.raises(NotConnectedError):
        await caller.publish(make_message(), exchange="x", routing_key="k")

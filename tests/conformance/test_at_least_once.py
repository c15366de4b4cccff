"""At-least-once dead lettering: the letter stays with its queue until every target has it."""

import asyncio

from contracts.topology import Binding, Exchange, Queue
from plugin_runtime.transport.base import Transport
from tests.conformance.collector import Collector, lay, make_message, publish_all
from tests.rabbitmq_settings import DEAD_LETTER_RETRY_SECONDS
from tests.waiting import eventually

SOURCE = Queue(name="q", kind="quorum", delivery_limit=5, dead_letter_exchange="dead", dead_letter_at_least_once=True)
ONE_MESSAGE = Queue(name="graves", max_length=1, overflow="reject-publish")


async def reject_all(transport: Transport, *bodies: str) -> None:
    """Publish to the source, and reject what comes."""
    collector = Collector()
    await publish_all(transport, bodies)
    consumer = await transport.consume("q", collector, prefetch=10, role="r")
    for delivery in await collector.received(len(bodies)):
        await delivery.reject(requeue=False)
    await consumer.cancel()


async def holds(transport: Transport, queue: str, messages: int) -> None:
    """Wait until so many messages are ready in a queue."""

    async def is_so_deep() -> bool:
        return (await transport.depth(queue)).messages == messages

    await eventually(is_so_deep)


async def test_letter_that_a_full_target_refuses_comes_when_there_is_room(transport: Transport) -> None:
    """Meanwhile its queue does not show it."""
    await lay(transport, SOURCE, "k")
    await lay(transport, ONE_MESSAGE, "k", exchange="dead")
    collector = Collector()

    await reject_all(transport, "a", "b")
    await holds(transport, "graves", 1)
    hidden = (await transport.depth("q")).messages
    await transport.consume("graves", collector, prefetch=1, role="graves")
    await collector.acknowledged(1)
    await collector.received(2)

    assert hidden == 0
    assert sorted(collector.bodies) == ["a", "b"]


async def test_letter_waits_for_a_binding(transport: Transport) -> None:
    await lay(transport, SOURCE, "k")
    await transport.declare_exchange(Exchange("dead"))
    await transport.declare_queue(Queue(name="graves"))

    await reject_all(transport, "a")
    await transport.bind(Binding("graves", "dead", "#"))

    await holds(transport, "graves", 1)


async def test_letter_waits_for_its_exchange(transport: Transport) -> None:
    await lay(transport, SOURCE, "k")

    await reject_all(transport, "a")
    await lay(transport, Queue(name="graves"), "#", exchange="dead")

    await holds(transport, "graves", 1)


async def test_target_with_room_gets_the_letter_once_while_another_is_full(transport: Transport) -> None:
    await lay(transport, SOURCE, "k")
    await lay(transport, ONE_MESSAGE, "k", exchange="dead")
    await lay(transport, Queue(name="roomy"), "k", exchange="dead")
    await transport.publish(make_message("full"), exchange="", routing_key="graves")

    await reject_all(transport, "a")
    await holds(transport, "roomy", 1)
    await transport.purge_queue("graves")
    await holds(transport, "graves", 1)

    assert (await transport.depth("roomy")).messages == 1


async def test_letters_go_with_their_queue(transport: Transport) -> None:
    await lay(transport, SOURCE, "k")
    await lay(transport, ONE_MESSAGE, "k", exchange="dead")
    await transport.publish(make_message("full"), exchange="", routing_key="graves")

    await reject_all(transport, "a")
    await transport.delete_queue("q")
    await transport.purge_queue("graves")
    await asyncio.sleep(2 * DEAD_LETTER_RETRY_SECONDS)

    assert (await transport.depth("graves")).messages == 0


async def test_usual_dead_lettering_drops_what_a_full_target_refuses(transport: Transport) -> None:
    await lay(transport, Queue(name="q", dead_letter_exchange="dead"), "k")
    await lay(transport, ONE_MESSAGE, "k", exchange="dead")

    await reject_all(transport, "a", "b")
    await holds(transport, "graves", 1)
    await transport.purge_queue("graves")
    await asyncio.sleep(2 * DEAD_LETTER_RETRY_SECONDS)

    assert (await transport.depth("graves")).messages == 0

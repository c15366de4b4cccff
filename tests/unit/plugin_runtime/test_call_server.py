"""What a callee does with a call before any handler runs; above all with one that RabbitMQ hands out again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from contracts.calls import MAX_BODY_BYTES, METHODS, REPEATABLE_METHODS, CallReply
from contracts.codec import decode, encode
from contracts.errors import (
    NotConnectedError,
    PermissionDeniedError,
    PublisherRefusedError,
    ServiceUnavailableError,
    UnauthenticatedError,
)
from contracts.manifest import Service
from contracts.topology import Topology
from plugin_runtime.calls.admission import Admission
from plugin_runtime.calls.answers import Answers
from plugin_runtime.calls.routing import Match
from plugin_runtime.calls.server import REFUSED_AT_ONCE, ROOM_PER_WORKER, CallServer
from plugin_runtime.identity import Origin
from plugin_runtime.incoming import Call
from plugin_runtime.marks import EndpointMark
from plugin_runtime.transport.base import Message
from tests.unit.plugin_runtime.deliveries import FakeDelivery
from tests.waiting import eventually

ENDPOINTS = [{"method": method, "path": "/contacts"} for method in ("POST", "GET")]
SERVICE = Service.parse({"name": "crm.contacts", "version": "1.0.0", "endpoints": ENDPOINTS})


class Refusing:
    """A gate, tenants, a router and a transport in one; each of the first three refuses if it is told to."""

    identity = "plugin-crm"

    def __init__(self, refusal: Exception | None = None, *, serves: bool = True) -> None:
        self._refusal = refusal
        self._serves = serves
        self.replies: list[CallReply] = []
        self.messages: list[Message] = []

    def call_now(self, *_: Any) -> Origin:
        if self._refusal is not None:
            raise self._refusal
        return Origin("acme-corp", "plugin-analytics", "crm.contacts.1.0.0", "call")

    def serves_now(self, *_: Any) -> bool:
        return self._serves

    def match(self, *_: Any) -> Any:
        raise PermissionDeniedError("no such endpoint, or not for you")

    def publish_soon(self, message: Message, **options: Any) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.publish(message, **options))

    async def publish(self, message: Message, **_options: Any) -> None:
        self.messages.append(message)
        self.replies.append(CallReply.from_json(decode(message.body)))


def make_server(seam: Any, *, concurrency: int = 1) -> CallServer:
    """A callee that runs one call at once, unless told otherwise."""
    return CallServer(
        admission=Admission(
            gate=seam, tenants=seam, routers={SERVICE.name: seam}, services=[SERVICE], myself=seam.identity
        ),
        answers=Answers(seam, Topology(), instance="one", dead_letters=seam),
        tenants=seam,
        myself=seam.identity,
        services={SERVICE.name: SERVICE.version},
        concurrency=concurrency,
    )


def make_delivery(body: bytes, *, redelivered: bool = False, budget: int = 1000, number: int = 1) -> FakeDelivery:
    """A call of ``plugin-analytics`` as it comes."""
    message = Message(
        body=body,
        type="call",
        message_id=str(number),
        correlation_id=str(number),
        reply_to="plugin-analytics.1",
        headers={"x-budget-ms": budget},
    )
    return FakeDelivery(
        message, "plexica.calls", "acme-corp.crm.contacts.1.0.0", publisher="plugin-analytics", redelivered=redelivered
    )


async def answer_to(body: bytes, seam: Any, *, redelivered: bool = True, budget: int = 1000) -> str:
    """The code with which a callee refuses a call."""
    server, delivery = make_server(seam), make_delivery(body, redelivered=redelivered, budget=budget)
    server.for_service(SERVICE)(delivery)
    await server.drain(1.0)
    (reply,) = seam.replies
    assert delivery.settled == ["ack"]
    return str((reply.error or {}).get("code"))


def call(method: str = "POST", **fields: Any) -> bytes:
    return encode({"method": method, "path": "/contacts", **fields})


REFUSALS: dict[str, Callable[[], Exception]] = {
    "UNAUTHENTICATED": lambda: UnauthenticatedError("the grant ended 60 s ago", header="x-grant"),
    "SERVICE_UNAVAILABLE": lambda: ServiceUnavailableError("the key of the grant is not known"),
    "PERMISSION_DENIED": lambda: PermissionDeniedError("came by a CC header"),
}


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("method", sorted(METHODS))
async def test_gate_refuses_of_what_may_have_run_only_what_may_run_again(method: str, code: str) -> None:
    expected = code if method in REPEATABLE_METHODS else "OUTCOME_UNKNOWN"

    assert await answer_to(call(method), Refusing(REFUSALS[code]())) == expected
    assert await answer_to(call(method), Refusing(REFUSALS[code]()), redelivered=False) == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (call(body="x" * MAX_BODY_BYTES), "INVALID_REQUEST"),
        (call("BREW"), "INVALID_REQUEST"),
        (b"{", "INVALID_REQUEST"),
        (call(), "PERMISSION_DENIED"),
    ],
    ids=["too large", "unknown method", "no JSON", "no endpoint"],
)
async def test_call_that_may_have_run_is_unknown_however_it_is_broken(body: bytes, code: str) -> None:
    assert await answer_to(body, Refusing()) == "OUTCOME_UNKNOWN"
    assert await answer_to(body, Refusing(), redelivered=False) == code


async def test_call_that_may_have_run_is_unknown_though_its_deadline_or_its_tenant_went() -> None:
    assert await answer_to(call(), Refusing(), budget=0) == "OUTCOME_UNKNOWN"
    assert await answer_to(call(), Refusing(serves=False)) == "OUTCOME_UNKNOWN"
    assert await answer_to(call("PUT"), Refusing(), budget=0) == "CALL_TIMEOUT"
    assert await answer_to(call("PUT"), Refusing(serves=False)) == "SERVICE_NOT_FOUND"


class Serving(Refusing):
    """Admits everything; the handler waits until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.release = asyncio.Event()

    def match(self, method: str, path: str) -> Match:
        return Match(EndpointMark(method, path, self.handle), {})

    async def handle(self, call: Call) -> str:
        self.ran.append(call.method)
        await self.release.wait()
        return "done"

    def client(self, *_: Any) -> Any:
        return None

    @property
    def codes(self) -> list[str | None]:
        """The code of each reply so far; None for a handler's answer."""
        return [(reply.error or {}).get("code") for reply in self.replies]


async def test_call_whose_deadline_passes_while_it_waits_is_answered_then_and_not_run() -> None:
    seam = Serving()
    server = make_server(seam)
    server.for_service(SERVICE)(make_delivery(call()))
    late = make_delivery(call(), budget=20, number=2)
    server.for_service(SERVICE)(late)
    await eventually(lambda: seam.replies)

    assert seam.codes == ["CALL_TIMEOUT"]
    assert "passed while POST /contacts waited for its turn; it was not run" in (seam.replies[0].error or {})["message"]
    assert late.settled == ["ack"]
    seam.release.set()
    await server.drain(1.0)
    assert seam.ran == ["POST"]


async def test_call_beyond_the_room_is_refused_unread() -> None:
    """What a flood costs is one reply for each of its calls."""
    seam = Serving()
    server = make_server(seam)
    for number in range(ROOM_PER_WORKER + 1):
        server.for_service(SERVICE)(make_delivery(call(), number=number))
    server.for_service(SERVICE)(make_delivery(b"{", number=100))
    await eventually(lambda: seam.replies)

    assert seam.codes == ["OVERLOADED"]
    seam.release.set()
    await server.drain(1.0)
    assert len(seam.ran) == ROOM_PER_WORKER + 1


async def test_call_that_may_have_run_is_unknown_though_there_is_no_room() -> None:
    seam = Serving()
    server = make_server(seam)
    for number in range(ROOM_PER_WORKER + 1):
        server.for_service(SERVICE)(make_delivery(call(), number=number))
    for number, method in enumerate(("POST", "GET"), start=100):
        server.for_service(SERVICE)(make_delivery(call(method), number=number, redelivered=True))
    await eventually(lambda: len(seam.replies) == 2)

    assert seam.codes == ["OUTCOME_UNKNOWN", "OVERLOADED"]
    seam.release.set()
    await server.drain(1.0)


async def test_drain_runs_what_waits_and_load_counts_it() -> None:
    seam = Serving()
    server = make_server(seam)
    deliveries = [make_delivery(call(), number=number) for number in range(5)]
    for delivery in deliveries:
        server.for_service(SERVICE)(delivery)
    draining = asyncio.create_task(server.drain(5.0))

    assert server.load == 5
    seam.release.set()
    await draining
    assert server.load == 0
    assert seam.codes == [None] * 5
    assert [delivery.settled for delivery in deliveries] == [["ack"]] * 5


async def test_call_that_is_taken_back_once_its_handler_is_done_is_answered() -> None:
    seam = Serving()
    server, delivery = make_server(seam), make_delivery(call())
    seam.release.set()
    server.for_service(SERVICE)(delivery)
    await eventually(lambda: seam.replies)
    server.take_back("plugin-analytics", "1")
    await server.drain(1.0)

    assert seam.codes == [None]
    assert delivery.settled == ["ack"]


async def test_call_that_is_taken_back_before_its_handler_began_is_not_run() -> None:
    seam = Serving()
    server, delivery = make_server(seam), make_delivery(call())
    server.for_service(SERVICE)(delivery)
    server.take_back("plugin-analytics", "1")
    server.for_service(SERVICE)(make_delivery(call("GET"), number=2))
    seam.release.set()
    await server.drain(1.0)

    assert seam.ran == ["GET"]
    assert delivery.settled == ["ack"]
    assert seam.codes == [None]


@pytest.mark.parametrize("concurrency", [1, 32, 1_000, 60_000])
def test_prefetch_leaves_room_for_refusals_and_fits_into_16_bits(concurrency: int) -> None:
    server = make_server(Refusing(), concurrency=concurrency)

    assert concurrency < server.prefetch < 2**16
    assert concurrency > 1_000 or server.prefetch >= (1 + ROOM_PER_WORKER) * concurrency + REFUSED_AT_ONCE


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_call_that_comes_again_while_it_is_here_is_run_once_and_answered(method: str) -> None:
    """The connection was lost: RabbitMQ hands out again what runs here and what waits here."""
    seam = Serving()
    server = make_server(seam)
    first = [make_delivery(call(method), number=number) for number in (1, 2)]
    again = [make_delivery(call(method), number=number, redelivered=True) for number in (1, 2)]
    for delivery in (*first, *again):
        server.for_service(SERVICE)(delivery)
    seam.release.set()
    await server.drain(1.0)

    assert seam.ran == [method, method]
    assert seam.codes == [None, None]
    assert [delivery.settled for delivery in (*first, *again)] == [["ack"]] * 4


class Disconnected(Serving):
    """Loses the connection so many times before a reply is confirmed."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self.losses = losses
        self.release.set()

    async def publish(self, message: Message, **options: Any) -> None:
        if self.losses:
            self.losses -= 1
            raise NotConnectedError("lost before the confirm")
        await super().publish(message, **options)


async def test_reply_that_was_lost_with_its_connection_is_published_again() -> None:
    """After a restart of RabbitMQ nobody hands out the call again: this is the only word of a POST that was run."""
    seam = Disconnected(losses=2)
    server, delivery = make_server(seam), make_delivery(call())
    server.for_service(SERVICE)(delivery)
    await server.drain(2.0)

    assert seam.codes == [None]
    assert delivery.settled == ["ack"]


async def test_call_that_comes_again_while_its_reply_waits_for_the_connection_is_not_run_again() -> None:
    seam = Disconnected(losses=1)
    server, again = make_server(seam), make_delivery(call(), redelivered=True)
    server.for_service(SERVICE)(make_delivery(call()))
    await eventually(lambda: seam.losses == 0)
    server.for_service(SERVICE)(again)
    await server.drain(2.0)

    assert seam.ran == ["POST"]
    assert seam.codes == [None]
    assert again.settled == ["ack"]


async def test_reply_is_given_up_at_the_deadline_of_its_caller() -> None:
    seam = Disconnected(losses=1000)
    server, delivery = make_server(seam), make_delivery(call(), budget=100)
    server.for_service(SERVICE)(delivery)
    await server.drain(5.0)

    assert seam.replies == []
    assert delivery.settled == ["requeue"]


@pytest.mark.parametrize(
    ("reply_to", "publisher"),
    [
        ("plugin-billing.1", "plugin-analytics"),
        ("plugin-analytics", "plugin-analytics"),
        ("plugin-analytics-2.1", "plugin-analytics"),
        ("amq.rabbitmq.reply-to.abc", "plugin-analytics"),
        ("plugin-analytics.1", None),
        (None, None),
    ],
)
async def test_call_that_wants_its_reply_elsewhere_is_neither_run_nor_answered(
    reply_to: str | None, publisher: str | None
) -> None:
    """The callee's word would be believed there: a stranger could answer somebody else's call through it."""
    seam = Serving()
    server, delivery = make_server(seam), make_delivery(call())
    delivery.message.reply_to, delivery.publisher = reply_to, publisher
    server.for_service(SERVICE)(delivery)
    await server.drain(1.0)

    assert (seam.ran, seam.replies) == ([], [])
    assert delivery.settled == ["reject"]


class Speechless(Serving):
    """Cannot write what it should publish, or is not let."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.release.set()

    async def publish(self, _message: Message, **_options: Any) -> None:
        raise self.error


@pytest.mark.parametrize("error", [TypeError("no AMQP value"), PublisherRefusedError("403")], ids=["unwritable", "403"])
async def test_call_whose_reply_can_never_be_published_gives_its_place_back(error: Exception) -> None:
    """Given back to RabbitMQ it would come again for ever; unsettled it would hold its place in the prefetch."""
    server, delivery = make_server(Speechless(error)), make_delivery(call())
    server.for_service(SERVICE)(delivery)
    await server.drain(1.0)

    assert delivery.settled == ["reject"]
    assert server.load == 0


async def test_tenant_that_is_no_text_is_not_echoed() -> None:
    seam = Serving()
    seam.release.set()
    server, delivery = make_server(seam), make_delivery(call())
    delivery.message.headers = {**delivery.message.headers, "x-tenant-id": 1e300}
    server.for_service(SERVICE)(delivery)
    await server.drain(1.0)

    assert [message.headers["x-tenant-id"] for message in seam.messages] == [None]


async def test_handler_that_is_late_is_cancelled_and_its_call_settled() -> None:
    """Its caller gave up by itself: unanswered, the call would hold its place in the prefetch for ever."""
    seam = Serving()
    server, delivery = make_server(seam), make_delivery(call(), budget=30)
    server.for_service(SERVICE)(delivery)

    assert await eventually(lambda: delivery.settled == ["ack"])
    assert seam.codes == ["CALL_TIMEOUT"]
    assert server.load == 0

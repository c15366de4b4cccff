"""Calls on their way: published again after a lost connection, taken back when nobody waits any more."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from contracts.calls import METHODS, REPEATABLE_METHODS, CallReply, CallRequest, CallResult
from contracts.codec import BUDGET_HEADER, CALLER_HEADER, TENANT_HEADER, encode
from contracts.errors import (
    CallTimeoutError,
    NotConnectedError,
    OverloadedError,
    RejectedPublishError,
    ReturnedMessageError,
    ServiceNotFoundError,
    ServiceUnavailableError,
    TransportError,
    UnconfirmedPublishError,
)
from contracts.topology import Topology
from plugin_runtime.calls.client import CallClient
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline
from plugin_runtime.transport.base import Message
from tests.unit.plugin_runtime.deliveries import make_delivery
from tests.unit.plugin_runtime.tokens import FakeTokens
from tests.waiting import eventually

CRM = Target("plugin-crm", "crm.contacts", "1.0.0")
BROKER = Target("plugin-system", "system.data", "1.0.0")
OK = CallReply(status=200, data="served")
RETURNED = ReturnedMessageError("plexica.calls", "acme-corp.crm.contacts.1.0.0")


@dataclass
class Wire:
    """A transport that keeps what is published, and refuses it as the test says, one error after the other."""

    identity: str = "plugin-analytics"
    published: list[Message] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[TransportError] = field(default_factory=list)

    def publish_soon(self, message: Message, **options: Any) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.publish(message, **options))

    async def publish(self, message: Message, **options: Any) -> None:
        self.published.append(message)
        self.options.append(options)
        await asyncio.sleep(0)
        if self.refusals:
            raise self.refusals.pop(0)

    def of(self, kind: str) -> list[Message]:
        return [message for message in self.published if message.type == kind]


class Bench:
    """A client over a wire, and one call that is under way."""

    def __init__(
        self, *refusals: TransportError, method: str = "GET", target: Target = CRM, timeout: float = 5
    ) -> None:
        self.wire = Wire(refusals=list(refusals))
        transport: Any = self.wire
        self.client = CallClient(transport, Topology(), instance="1", tokens=FakeTokens())
        request = CallRequest(method=method, path="/contacts")
        self.call: asyncio.Task[CallResult] = asyncio.ensure_future(
            self.client.call("acme-corp", target, request, deadline=Deadline.after(timeout), context=Context())
        )

    async def confirmed(self) -> None:
        await eventually(self.client._pending.published)

    def answer(self) -> None:
        (first, *_) = self.wire.of("call")
        body = encode(OK.to_json())
        delivery = make_delivery(exchange="plexica.replies", routing_key="plugin-analytics.1", body=body)
        delivery.message = Message(body=body, type="reply", message_id="r", correlation_id=first.correlation_id)
        self.client.on_reply(delivery)


@pytest.mark.parametrize("method", sorted(REPEATABLE_METHODS))
async def test_call_that_may_run_twice_is_published_again_once_for_each_reconnect(method: str) -> None:
    bench = Bench(method=method)
    await bench.confirmed()

    for count in (2, 3):
        bench.client.on_reconnected()
        await eventually(lambda count=count: len(bench.wire.published) == count)
    bench.answer()

    assert (await bench.call).data == "served"
    assert len({message.correlation_id for message in bench.wire.published}) == 1
    assert len({message.message_id for message in bench.wire.published}) == 3
    budgets = [message.headers[BUDGET_HEADER] for message in bench.wire.published]
    assert budgets == sorted(budgets, reverse=True, key=lambda budget: int(budget or 0))


@pytest.mark.parametrize("method", sorted(METHODS - REPEATABLE_METHODS))
async def test_call_that_may_not_run_twice_waits_for_its_reply_after_a_reconnect(method: str) -> None:
    bench = Bench(method=method)
    await bench.confirmed()

    bench.client.on_reconnected()
    await bench.client._publisher._publishing.drain(1)
    bench.answer()

    assert (await bench.call).data == "served"
    assert len(bench.wire.published) == 1


async def test_call_that_was_answered_meanwhile_is_not_published_again() -> None:
    bench = Bench()
    await bench.confirmed()
    bench.client.on_reconnected()
    bench.answer()
    await bench.call

    await bench.client._publisher._publishing.drain(1)

    assert len(bench.wire.published) == 1


async def test_call_that_was_never_confirmed_sees_to_itself() -> None:
    """Its confirm may still come: published again by the reconnect too, it would go out twice."""
    bench = Bench(UnconfirmedPublishError("no confirm in time"))
    await eventually(lambda: bench.wire.published)

    bench.client.on_reconnected()
    await bench.client._publisher._publishing.drain(1)
    bench.answer()

    assert (await bench.call).data == "served"
    assert len(bench.wire.published) == 1


@pytest.mark.parametrize("refusal", [RETURNED, RejectedPublishError("full")], ids=lambda found: type(found).__name__)
async def test_call_that_cannot_be_published_again_is_not_said_to_be_not_run(refusal: TransportError) -> None:
    bench = Bench(method="PUT")
    await bench.confirmed()
    bench.wire.refusals.append(refusal)

    bench.client.on_reconnected()

    with pytest.raises(ServiceUnavailableError, match="published again after a lost connection") as caught:
        await bench.call
    assert caught.value.details["mayHaveRun"] is True


async def test_call_whose_first_publish_was_lost_is_not_said_to_be_not_run() -> None:
    bench = Bench(NotConnectedError("lost before the confirm"), RETURNED)

    with pytest.raises(ServiceUnavailableError) as caught:
        await bench.call
    assert caught.value.details["mayHaveRun"] is True


@pytest.mark.parametrize(
    ("refusal", "error"),
    [(RETURNED, ServiceNotFoundError), (RejectedPublishError("full"), OverloadedError)],
    ids=lambda found: getattr(found, "__name__", type(found).__name__),
)
async def test_call_that_was_refused_at_first_was_surely_not_run(
    refusal: TransportError, error: type[Exception]
) -> None:
    bench = Bench(refusal, method="POST")

    with pytest.raises(error):
        await bench.call


async def test_republishing_that_fails_leaves_the_call_waiting() -> None:
    bench = Bench()
    await bench.confirmed()
    bench.wire.refusals.append(NotConnectedError("lost again"))

    bench.client.on_reconnected()
    await bench.client._publisher._publishing.drain(1)
    bench.answer()

    assert (await bench.call).data == "served"


async def cancelled(bench: Bench, when: Callable[[], object]) -> None:
    await eventually(when)
    bench.call.cancel()
    await asyncio.gather(bench.call, return_exceptions=True)
    await bench.client._publisher._publishing.drain(1)


async def test_call_whose_caller_is_cancelled_is_taken_back_at_its_callee() -> None:
    bench = Bench()
    await cancelled(bench, lambda: bench.wire.published)

    (call,), (cancel,) = bench.wire.of("call"), bench.wire.of("cancel")
    assert bench.call.cancelled()
    assert cancel.correlation_id == call.correlation_id
    assert cancel.body == b""
    assert not cancel.persistent
    assert cancel.headers == {TENANT_HEADER: "acme-corp", CALLER_HEADER: "plugin-analytics"}
    assert {**bench.wire.options[-1], "timeout": 0} == {
        "exchange": "plexica.cancel",
        "routing_key": "plugin-crm",
        "mandatory": False,
        "timeout": 0,
    }


async def test_call_that_cannot_be_taken_back_is_cancelled_all_the_same() -> None:
    bench = Bench()
    await bench.confirmed()
    bench.wire.refusals.append(NotConnectedError("lost"))

    await cancelled(bench, lambda: True)

    assert bench.call.cancelled()


async def test_call_to_the_broker_is_not_taken_back() -> None:
    bench = Bench(target=BROKER)
    await cancelled(bench, lambda: bench.wire.published)

    assert bench.wire.of("cancel") == []


async def test_call_that_ends_at_its_deadline_is_not_taken_back() -> None:
    """Its callee carries the same deadline."""
    bench = Bench(timeout=0.05)

    with pytest.raises(CallTimeoutError):
        await bench.call
    await bench.client._publisher._publishing.drain(1)

    assert bench.wire.of("cancel") == []


async def test_call_that_is_given_up_while_the_connection_is_lost_is_not_published_again() -> None:
    bench = Bench(NotConnectedError("lost before the confirm"))
    await cancelled(bench, lambda: bench.wire.published)

    assert len(bench.wire.of("call")) == 1


async def test_call_that_is_given_up_before_it_was_sent_is_never_sent() -> None:
    """It waits in line while the connection is away: a program that gave up and paid again would pay twice."""
    bench = Bench(method="POST")
    in_line: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    bench.wire.publish_soon = lambda *_, **__: in_line  # type: ignore[method-assign]
    await asyncio.sleep(0)
    bench.call.cancel()
    await asyncio.gather(bench.call, return_exceptions=True)

    assert in_line.cancelled()

"""Calls out, over a transport whose every publish is in the test's hand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from contracts.calls import CallReply, CallRequest
from contracts.codec import GRANT_HEADER, encode
from contracts.errors import (
    CallTimeoutError,
    NotConnectedError,
    NotRunningError,
    OutcomeUnknownError,
    ServiceUnavailableError,
    UnauthenticatedError,
)
from contracts.topology import Topology
from plugin_runtime.calls.client import CallClient
from plugin_runtime.calls.outgoing import PAUSE_SECONDS
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline
from plugin_runtime.transport.base import Message
from tests.unit.plugin_runtime.deliveries import make_delivery
from tests.unit.plugin_runtime.tokens import FakeTokens

CRM = Target("plugin-crm", "crm.contacts", "1.0.0")
OK = CallReply(status=200, data="served")


class FakeTransport:
    """Keeps what is published and lets the test say what becomes of it."""

    identity = "plugin-analytics"

    def __init__(self, becomes: Callable[[Message], Awaitable[None]]) -> None:
        self.published: list[Message] = []
        self._becomes = becomes

    def publish_soon(self, message: Message, **options: Any) -> asyncio.Future[None]:
        return asyncio.ensure_future(self.publish(message, **options))

    async def publish(self, message: Message, **_options: Any) -> None:
        self.published.append(message)
        await self._becomes(message)


class Bench:
    """A client, and a callee that answers with these replies, one after the other."""

    def __init__(self, *replies: CallReply, loses_connection: bool = False) -> None:
        self.tokens = FakeTokens()
        self._replies = list(replies)
        self._loses_connection = loses_connection
        self.transport: Any = FakeTransport(self._answer)
        self.client = CallClient(self.transport, Topology(), instance="1", tokens=self.tokens)

    async def call(self, tenant: str = "acme-corp") -> Any:
        request = CallRequest(method="GET", path="/contacts")
        found = await self.client.call(tenant, CRM, request, deadline=Deadline.after(0.5), context=Context())
        return found.data

    async def _answer(self, call: Message) -> None:
        if self._replies:
            body = encode(self._replies.pop(0).to_json())
            delivery = make_delivery(exchange="plexica.replies", routing_key="plugin-analytics.1", body=body)
            message = Message(body=body, type="reply", message_id="r", correlation_id=call.correlation_id)
            delivery.message = message
            self.client.on_reply(delivery)
        if self._loses_connection:
            await asyncio.sleep(0)
            raise NotConnectedError("lost before the confirm")


async def test_call_whose_reply_overtook_its_lost_confirm_is_not_published_again() -> None:
    bench = Bench(OK, loses_connection=True)

    assert await bench.call() == "served"
    await bench.client._publisher._publishing.drain(2 * PAUSE_SECONDS)
    assert len(bench.transport.published) == 1


async def test_call_that_was_lost_with_its_connection_is_published_again_until_its_deadline() -> None:
    bench = Bench(loses_connection=True)

    with pytest.raises(CallTimeoutError):
        await bench.call()
    assert len(bench.transport.published) > 1


async def test_call_carries_the_grant_of_its_tenant() -> None:
    bench = Bench(OK, OK)
    await bench.call("acme-corp")
    await bench.call("_")

    assert [message.headers.get(GRANT_HEADER) for message in bench.transport.published] == ["acme-corp 0", None]


def refused(**details: str) -> CallReply:
    return CallReply.of_error(UnauthenticatedError("the grant ended 60 s ago", **details))


async def test_call_that_was_refused_for_its_grant_is_made_once_more_with_another() -> None:
    bench = Bench(refused(header=GRANT_HEADER), OK)

    assert await bench.call() == "served"
    assert [message.headers[GRANT_HEADER] for message in bench.transport.published] == ["acme-corp 0", "acme-corp 1"]


async def test_call_whose_key_the_callee_cannot_ask_for_is_made_once_more_with_another() -> None:
    unavailable = ServiceUnavailableError("the key of the grant is not known here", header=GRANT_HEADER)
    bench = Bench(CallReply.of_error(unavailable), OK)

    assert await bench.call() == "served"
    assert bench.tokens.renewals == 1


async def test_call_is_made_no_third_time() -> None:
    bench = Bench(refused(header=GRANT_HEADER), refused(header=GRANT_HEADER), OK)

    with pytest.raises(UnauthenticatedError):
        await bench.call()
    assert len(bench.transport.published) == 2


async def test_call_that_was_refused_for_another_reason_is_not_repeated() -> None:
    bench = Bench(refused(), OK)

    with pytest.raises(UnauthenticatedError):
        await bench.call()
    assert bench.tokens.renewals == 0


async def test_refusal_stands_while_no_other_grant_is_to_be_had() -> None:
    bench = Bench(refused(header=GRANT_HEADER), OK)
    bench.tokens.is_broker_away = True

    with pytest.raises(UnauthenticatedError):
        await bench.call()
    assert len(bench.transport.published) == 1


async def test_call_that_waits_for_its_grant_ends_with_the_stop() -> None:
    bench, granted = Bench(), asyncio.Event()

    async def token(_tenant: str, _deadline: Deadline) -> str:
        await granted.wait()
        return "late"

    bench.tokens.token = token  # type: ignore[method-assign]
    call = asyncio.ensure_future(bench.call())
    await asyncio.sleep(0)
    await bench.client.close()
    granted.set()

    with pytest.raises(NotRunningError):
        await call


@pytest.mark.parametrize("details", [[1], "text"])
async def test_reply_whose_details_are_no_object_is_nonsense(details: Any) -> None:
    bench = Bench(CallReply(status=404, error={"code": "SERVICE_NOT_FOUND", "message": "no", "details": details}))

    with pytest.raises(OutcomeUnknownError, match="must have an object of details"):
        await bench.call()

"""Calls that RabbitMQ hands out again: what may not run twice is refused in one way, whatever is wrong with it."""

from collections.abc import Callable
from typing import Any

import pytest

from contracts.calls import MAX_BODY_BYTES, METHODS, REPEATABLE_METHODS, CallReply
from contracts.codec import decode, encode
from contracts.errors import PermissionDeniedError, ServiceUnavailableError, UnauthenticatedError
from contracts.manifest import Service
from contracts.topology import Topology
from plugin_runtime.calls.admission import Admission
from plugin_runtime.calls.answers import Answers
from plugin_runtime.calls.server import CallServer
from plugin_runtime.identity import Origin
from plugin_runtime.transport.base import Message
from tests.unit.plugin_runtime.deliveries import FakeDelivery

SERVICE = Service.parse(
    {"name": "crm.contacts", "version": "1.0.0", "endpoints": [{"method": "POST", "path": "/contacts"}]}
)


class Refusing:
    """A gate, tenants, a router and a transport in one; each of the first three refuses if it is told to."""

    identity = "plugin-crm"

    def __init__(self, refusal: Exception | None = None, *, serves: bool = True) -> None:
        self._refusal = refusal
        self._serves = serves
        self.replies: list[CallReply] = []

    def call_now(self, *_: Any) -> Origin:
        if self._refusal is not None:
            raise self._refusal
        return Origin("acme-corp", "plugin-analytics", "crm.contacts.1.0.0", "call")

    def serves_now(self, *_: Any) -> bool:
        return self._serves

    def match(self, *_: Any) -> Any:
        raise PermissionDeniedError("no such endpoint, or not for you")

    async def publish(self, message: Message, **_options: Any) -> None:
        self.replies.append(CallReply.from_json(decode(message.body)))


async def answer_to(body: bytes, seam: Any, *, redelivered: bool = True, budget: int = 1000) -> str:
    """The code with which a callee refuses a call."""
    server = CallServer(
        admission=Admission(
            gate=seam, tenants=seam, routers={SERVICE.name: seam}, services=[SERVICE], myself=seam.identity
        ),
        answers=Answers(seam, Topology(), instance="one", dead_letters=seam),
        tenants=seam,
        myself=seam.identity,
        services={SERVICE.name: SERVICE.version},
        concurrency=1,
    )
    message = Message(
        body=body,
        type="call",
        message_id="1",
        correlation_id="1",
        reply_to="plugin-analytics.1",
        headers={"x-budget-ms": budget},
    )
    delivery = FakeDelivery(message, "plexica.calls", "acme-corp.crm.contacts.1.0.0", redelivered=redelivered)
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

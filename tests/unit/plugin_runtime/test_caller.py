"""Calls by name: made again where nothing was run, within their deadline, their retries and the budget."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from contracts.calls import CallMetadata, CallRequest, CallResult
from contracts.errors import (
    CallTimeoutError,
    CodedError,
    InvalidRequestError,
    OverloadedError,
    RateLimitedError,
    ServiceUnavailableError,
)
from plugin_runtime.calls.budget import FLOOR, SHARE
from plugin_runtime.calls.caller import Caller
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Context, Deadline

METADATA = CallMetadata(
    plugin="plugin-crm", service="crm.contacts", version="1.0.0", instance="i", duration_seconds=0.0
)
SERVED = CallResult(status=200, headers={}, data="served", metadata=METADATA)


def busy(retry_after: float = 0.0) -> OverloadedError:
    return OverloadedError("the queue is full", retryAfter=retry_after)


class Callee:
    """Refuses as the test says, one after the other, then answers."""

    def __init__(self, *refusals: CodedError, always: Callable[[], CodedError] | None = None) -> None:
        self._refusals = list(refusals)
        self._always = always
        self.calls = 0

    async def call(self, *_: Any, **__: Any) -> CallResult:
        self.calls += 1
        if self._always:
            raise self._always()
        if self._refusals:
            raise self._refusals.pop(0)
        return SERVED


class Place:
    """Knows one service of one plugin."""

    def __init__(self, plugin: str = "plugin-crm") -> None:
        self._target = Target(plugin, "crm.contacts", "1.0.0")

    async def find(self, *_: object) -> Target:
        return self._target

    async def catch_up(self, *_: object) -> bool:
        return False


async def call(caller: Caller, method: str = "POST", **options: Any) -> Any:
    request = CallRequest(method=method, path="/contacts")
    return (await caller.request("acme-corp", "crm.contacts", request, **options)).data


@pytest.mark.parametrize(
    "refusal",
    [
        busy(),
        RateLimitedError("too often", retryAfter=0.01),
        ServiceUnavailableError("the key of the grant is not known", retryAfter=0.01),
    ],
    ids=lambda error: error.code,
)
async def test_post_that_was_not_taken_is_made_again(refusal: CodedError) -> None:
    callee = Callee(refusal)

    assert await call(Caller(callee, Place())) == "served"
    assert callee.calls == 2


async def test_the_last_refusal_is_the_answer() -> None:
    callee = Callee(busy(), busy(), OverloadedError("still full"))

    with pytest.raises(OverloadedError, match="still full"):
        await call(Caller(callee, Place()))
    assert callee.calls == 3


@pytest.mark.parametrize(("setting", "asked", "calls"), [(0, None, 1), (3, 0, 1), (0, 1, 2), (1, None, 2)])
async def test_a_call_says_how_often_it_is_made_again_else_the_setting_does(
    setting: int, asked: int | None, calls: int
) -> None:
    callee = Callee(always=busy)

    with pytest.raises(OverloadedError):
        await call(Caller(callee, Place(), retries=setting), retries=asked)
    assert callee.calls == calls


@pytest.mark.parametrize("retries", [-1, 11, 1.5, True, "2"])
async def test_retries_that_are_no_such_number_are_refused_before_anything_is_sent(retries: Any) -> None:
    callee = Callee()

    with pytest.raises(InvalidRequestError, match="retries must be a whole number from 0 to 10, found"):
        await call(Caller(callee, Place()), retries=retries)
    assert callee.calls == 0


async def test_call_that_would_be_made_again_after_its_deadline_fails_at_once() -> None:
    """With what it heard: that nothing was run."""
    callee = Callee(busy(retry_after=60.0))

    with pytest.raises(OverloadedError):
        await asyncio.wait_for(call(Caller(callee, Place()), timeout=30), 5)
    assert callee.calls == 1


async def test_call_inside_a_handler_is_made_again_within_the_deadline_of_its_caller() -> None:
    callee = Callee(busy(retry_after=10.0))
    context = Context(deadline=Deadline.after(5))

    with pytest.raises(OverloadedError):
        await asyncio.wait_for(call(Caller(callee, Place()), timeout=30, context=context), 2)


async def test_call_of_a_handler_whose_deadline_is_spent_is_refused_before_anything_is_sent() -> None:
    callee = Callee()

    with pytest.raises(CallTimeoutError, match=r"API call timeout after 0s: POST crm\.contacts /contacts"):
        await call(Caller(callee, Place()), timeout=30, context=Context(deadline=Deadline.after(0)))
    assert callee.calls == 0


async def test_the_brokers_refusals_are_left_to_whoever_asked() -> None:
    callee = Callee(busy())

    with pytest.raises(OverloadedError):
        await call(Caller(callee, Place("plugin-system")))
    assert callee.calls == 1


async def test_retries_never_multiply_an_overload() -> None:
    callee = Callee(always=busy)
    caller = Caller(callee, Place(), retries=10, clock=lambda: 0.0)

    await asyncio.gather(*(call(caller) for _ in range(1000)), return_exceptions=True)

    assert callee.calls <= 1000 + 1000 * SHARE + FLOOR

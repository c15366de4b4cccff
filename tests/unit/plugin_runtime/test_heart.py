"""The heart beats on, whatever it found to be due: nothing that is slow or fails makes an instance look dead."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.errors import NotConnectedError
from contracts.registry import HeartbeatAnswer
from plugin_runtime import heart as heart_module
from plugin_runtime.heart import Heart
from tests.waiting import eventually

BEAT_SECONDS = 0.01


def answered(*, known: bool = True, revision: int = 1) -> HeartbeatAnswer:
    return HeartbeatAnswer(known=known, revision=revision, lease_seconds=15.0)


def _fail(failures: list[Exception]) -> None:
    if failures:
        raise failures.pop()


class Body:
    """What a heart keeps alive: each of its works can be held up or fail."""

    def __init__(self) -> None:
        self.beats = self.registrations = self.renewals = self.at_once = 0
        self.answer = answered()
        self.registers, self.renews = asyncio.Event(), asyncio.Event()
        self.registers.set()
        self.renews.set()
        self.failing_beats: list[Exception] = []
        self.failing_registrations: list[Exception] = []
        self.heart = Heart(
            instance="one",
            beat=self.beat,
            is_complete=lambda revision: revision == 1,
            register=self.register,
            renew=self.renew,
        )

    async def beat(self) -> HeartbeatAnswer:
        self.beats += 1
        _fail(self.failing_beats)
        return self.answer

    async def register(self) -> None:
        self.registrations += 1
        self.at_once += 1
        assert self.at_once == 1
        try:
            await self.registers.wait()
            _fail(self.failing_registrations)
        finally:
            self.at_once -= 1
        self.answer = answered()

    async def renew(self) -> None:
        self.renewals += 1
        await self.renews.wait()

    async def beats_on(self, count: int = 5) -> None:
        expected = self.beats + count
        await eventually(lambda: self.beats >= expected)


@pytest.fixture
async def body(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Body]:
    monkeypatch.setattr(heart_module, "AFTER_A_MISS_SECONDS", BEAT_SECONDS)
    body = Body()
    body.heart.start(BEAT_SECONDS)
    yield body
    await body.heart.stop()


async def test_grants_that_are_slow_to_come_hold_up_no_heartbeat(body: Body) -> None:
    body.renews.clear()
    await eventually(lambda: body.renewals)

    await body.beats_on()
    assert body.renewals == 1


async def test_registration_that_is_slow_holds_up_no_heartbeat_and_is_made_once(body: Body) -> None:
    body.registers.clear()
    body.answer = answered(known=False)
    await eventually(lambda: body.registrations)
    await body.beats_on()
    body.registers.set()

    await body.beats_on()
    assert body.registrations == 1


@pytest.mark.parametrize("answer", [{"known": False}, {"revision": 2}])
async def test_instance_that_is_not_known_or_missed_something_registers_again(
    body: Body, answer: dict[str, Any]
) -> None:
    await body.beats_on()
    assert body.registrations == 0
    body.answer = answered(**answer)

    await eventually(lambda: body.registrations == 1)


@pytest.mark.parametrize("error", [NotConnectedError("gone"), RuntimeError("ours to mend")])
async def test_heartbeat_that_fails_is_followed_by_others(body: Body, error: Exception) -> None:
    with capture_logs() as logs:
        body.failing_beats.append(error)
        await body.beats_on()

    expected = "plugin.heartbeat_missed" if isinstance(error, NotConnectedError) else "plugin.heartbeat_failed"
    assert [one["event"] for one in logs] == [expected]


async def test_registration_that_fails_is_made_again(body: Body) -> None:
    body.registers.clear()
    body.heart.lose_track()
    await eventually(lambda: body.registrations)
    body.failing_registrations.append(NotConnectedError("gone"))
    body.registers.set()

    assert await eventually(lambda: body.registrations == 2)


async def test_track_that_is_lost_while_the_instance_registers_is_found_by_another_registration(body: Body) -> None:
    body.registers.clear()
    body.heart.lose_track()
    await eventually(lambda: body.registrations)
    body.heart.lose_track()
    body.registers.set()

    assert await eventually(lambda: body.registrations == 2)


async def test_heart_that_stopped_leaves_nothing_under_way(body: Body) -> None:
    body.registers.clear()
    body.heart.lose_track()
    await eventually(lambda: body.at_once)
    await body.heart.stop()

    assert body.at_once == 0
    assert all(task.cancelled() for task in body.heart._tasks)

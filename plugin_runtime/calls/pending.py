"""Calls that wait for their replies: correlation id to waiting caller, each at most until its deadline."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from contracts.calls import CallReply
from contracts.errors import CodedError
from plugin_runtime.context import Deadline
from plugin_runtime.deadlines import AlarmClock
from plugin_runtime.transport.base import HeaderValue


class Answer(NamedTuple):
    """A reply and the instance that gave it."""

    reply: CallReply
    instance: str


@dataclass(slots=True, kw_only=True)
class Waiting:
    """One caller that waits: whose answer it would believe, and what it publishes.

    Attributes:
        key: The call's routing key.
        body: The call as it crosses the wire.
        headers: The call's, without what is left of its deadline.
        confirm: What its first publish waits for; None before.
        is_published: RabbitMQ confirmed that it has the call.
    """

    callee: str
    service: str
    version: str
    method: str
    deadline: Deadline
    key: str
    body: bytes
    headers: Mapping[str, HeaderValue]
    future: asyncio.Future[Answer]
    confirm: asyncio.Future[None] | None = None
    is_published: bool = False


class Pending:
    """All calls in flight of one instance, over its one reply queue.

    A call whose deadline comes ends with `TimeoutError`.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._clock = AlarmClock(self._waiting, self._give_up)

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, correlation_id: str) -> bool:
        return correlation_id in self._waiting

    def published(self) -> list[tuple[str, Waiting]]:
        """The calls that RabbitMQ has taken and nobody has answered yet."""
        return [
            (correlation_id, waiting)
            for correlation_id, waiting in self._waiting.items()
            if waiting.is_published and not waiting.future.done()
        ]

    def add(self, correlation_id: str, waiting: Waiting) -> None:
        """A caller begins to wait.

        Raises:
            ValueError: Another one waits under this id.
        """
        if correlation_id in self._waiting:
            raise ValueError(f"correlation id {correlation_id} is in use")
        self._waiting[correlation_id] = waiting
        self._clock.add(waiting.deadline.at, correlation_id)

    def remove(self, correlation_id: str) -> None:
        """A caller stopped waiting, whatever the reason. A later reply finds nobody."""
        self._waiting.pop(correlation_id, None)

    def callee_of(self, correlation_id: str | None) -> str | None:
        """The plugin whose answer is awaited; None when nobody waits."""
        waiting = self._waiting.get(correlation_id or "")
        return waiting.callee if waiting else None

    def close(self) -> None:
        """Nobody waits any more, or will."""
        self._clock.stop()

    def answer(self, correlation_id: str, answer: Answer) -> bool:
        """Give the caller its reply; False when nobody waits any more."""
        waiting = self._waiting.get(correlation_id)
        if waiting is None or waiting.future.done():
            return False
        waiting.future.set_result(answer)
        return True

    def fail(self, correlation_id: str, error: CodedError) -> None:
        """End one call with an error, if it still waits."""
        waiting = self._waiting.get(correlation_id)
        if waiting is not None and not waiting.future.done():
            waiting.future.set_exception(error)

    def fail_version(self, service: str, version: str, error_for: Callable[[Waiting], CodedError]) -> int:
        """End every call to a service version whose last instance went; return how many they were."""
        return self._fail(lambda waiting: (waiting.service, waiting.version) == (service, version), error_for)

    def fail_all(self, error_for: Callable[[Waiting], CodedError]) -> int:
        """End every call; return how many they were."""
        return self._fail(lambda _: True, error_for)

    def _give_up(self, correlation_id: str) -> None:
        future = self._waiting[correlation_id].future
        if not future.done():
            future.set_exception(TimeoutError())

    def _fail(self, concerns: Callable[[Waiting], bool], error_for: Callable[[Waiting], CodedError]) -> int:
        hit = [waiting for waiting in self._waiting.values() if concerns(waiting) and not waiting.future.done()]
        for waiting in hit:
            waiting.future.set_exception(error_for(waiting))
        return len(hit)

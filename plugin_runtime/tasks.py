"""Handlers at work: tasks that are counted, bounded and awaited at the end."""

import asyncio
import contextvars
import time
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


def was_asked_to_stop() -> bool:
    """Whether the current task itself is being cancelled, rather than something that a handler awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class TaskSet:
    """Tasks started from plain callbacks, none of which is ever forgotten.

    A task's unexpected exception is logged and ends nothing else. Each runs in a copy of the context in which the set
    was made: what a publisher bound to its log never shows in a handler's.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = contextvars.copy_context()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a piece of work."""
        # Asked for once: in Python 3.11 each question for the running loop is a system call.
        self._loop = self._loop or asyncio.get_running_loop()
        task = self._loop.create_task(work, name=self._name, context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def until_idle(self, timeout: float) -> None:
        """Wait until no work is under way, what this work begins included; at most so many seconds."""
        give_up_at = time.monotonic() + timeout
        while self._tasks and (left := give_up_at - time.monotonic()) > 0:
            await asyncio.wait(set(self._tasks), timeout=left)

    def current(self) -> "asyncio.Task[Any] | None":
        """The task that runs now, which need not be one of these."""
        return asyncio.current_task(self._loop)

    async def drain(self, grace_seconds: float) -> int:
        """Wait for all work under way, at most so long, then cancel the rest; return how many were cancelled."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=grace_seconds)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("task.failed", task=self._name, exc_info=error)

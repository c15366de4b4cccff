"""Waiting without sleeping blindly: poll until something is true, at most so long."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Literal

POLL_SECONDS = 0.02


async def eventually(predicate: Callable[[], object | Awaitable[object]], timeout: float = 10.0) -> Literal[True]:
    """Return True once ``predicate`` (a function or coroutine function) holds; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        holds = predicate()
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return True
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout:g} s: {inspect.getsource(predicate).strip()}")
        await asyncio.sleep(POLL_SECONDS)


def eventually_blocking(predicate: Callable[[], object], timeout: float, failure: str) -> None:
    """The same without an event loop, for the start of processes."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(failure)
        time.sleep(0.1)

"""A process that runs until SIGTERM or SIGINT, then stops in order."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

Serve = Callable[[asyncio.Event, asyncio.Event], Awaitable[None]]
"""Serves: sets the first event once it does, and returns after the second one is set."""


async def run_until_signalled(serve: Serve) -> None:
    """Serve until a signal comes; one that comes before it serves ends the wait for RabbitMQ or the broker at once.

    Raises whatever ``serve`` raises.
    """
    stopped, serving = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    running = asyncio.ensure_future(serve(serving, stopped))
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not serving.is_set():
        running.cancel()  # there is nothing to finish yet
    with suppress(asyncio.CancelledError):
        await running

"""Which event loop a process of the bus runs on: uvloop where it is installed (extra ``speed``), else asyncio's own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    import uvloop
except ModuleNotFoundError:
    new_event_loop = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a program to its end, as `asyncio.run` does; raises whatever it raises."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main)

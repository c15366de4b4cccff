"""A bar that fills as time passes, on a terminal."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

TICK_SECONDS = 0.1


@contextmanager
def bar(console: Console, name: str, seconds: float) -> Iterator[None]:
    """Show a bar for something that takes about so long; it is gone at the end. Needs a running event loop."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    # Drawn from the event loop: rich's own thread would take time from what is being measured.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task(f"{name:>14}", total=seconds)
        ticking = asyncio.get_running_loop().create_task(_tick(progress, task, seconds))
        try:
            yield
        finally:
            ticking.cancel()


async def _tick(progress: Progress, task: int, seconds: float) -> None:
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        progress.update(task, completed=passed, refresh=True)  # type: ignore[arg-type]
        await asyncio.sleep(TICK_SECONDS)

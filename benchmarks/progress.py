"""What a run shows while it runs, and the RabbitMQ node it has for itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.rabbitmq import RabbitMQNode, start_node


@contextmanager
def private_node(console: Console) -> Iterator[RabbitMQNode]:
    """A RabbitMQ node that nobody else uses."""
    with console.status("starting RabbitMQ"):
        node = start_node()
    try:
        yield node
    finally:
        node.discard()


class Steps:
    """The progress bar of a run."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def telling(self, who: str) -> Callable[[str], None]:
        """What shows what somebody is doing."""
        return lambda what: self._progress.update(self._task, description=f"{who} {what}")

    def advance(self) -> None:
        """One step is done."""
        self._progress.advance(self._task)


@contextmanager
def progress(console: Console, total: int) -> Iterator[Steps]:
    """A bar for so many steps, gone at the end."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        yield Steps(progress, total)

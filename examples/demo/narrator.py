"""What the audience sees: steps, facts with their times, and the verdict."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.table import Table


class DemoError(Exception):
    """A step did not come out as it should."""


class Narrator:
    """Tells the story and keeps count."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._facts = 0
        self._steps = 0
        self._began = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A chapter of the story."""
        self._steps += 1
        self._console.print(f"\n[bold cyan]{self._steps}[/] [bold]{title}[/]")
        yield

    def tell(self, text: str) -> None:
        """Something that happened."""
        self._console.print(f"  [dim]·[/] {text}")

    def fact(self, text: str, found: object, expected: object, *, seconds: float | None = None) -> None:
        """Something that must have come out right; the demo ends here if it did not.

        Raises:
            DemoError: It names what was found and expected.
        """
        if found != expected:
            raise DemoError(f"{text}: expected {expected!r}, found {found!r}")
        self._facts += 1
        took = f" [dim]({seconds * 1000:.1f} ms)[/]" if seconds is not None else ""
        self._console.print(f"  [green]✓[/] {text}{took}")

    def table(self, *columns: str, rows: Sequence[tuple[str, ...]]) -> None:
        """A small table."""
        table = Table(*columns, box=None, padding=(0, 2), header_style="dim")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def ended(self) -> int:
        """The verdict of a story that came to its end; the exit status."""
        seconds = time.monotonic() - self._began
        said = f"{self._facts} facts in {self._steps} steps came out right"
        self._console.print(f"\n[bold green]Done:[/] {said} ({seconds:.1f} s)")
        return 0

    def failed(self, error: BaseException) -> int:
        """The verdict of a story that broke off; the exit status."""
        text = str(error) or "it took too long"
        where = f"in step {self._steps}" if self._steps else "before the first step"
        self._console.print(f"\n[bold red]Failed[/] {where}: {escape(text)}", soft_wrap=True)
        return 1

    def interrupted(self) -> int:
        """The verdict of a story that somebody broke off; the exit status that shells expect of Ctrl-C."""
        self._console.print("\n[bold yellow]Interrupted[/], and cleared up")
        return 130


class Watch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

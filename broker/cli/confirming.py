"""The question before what cannot be taken back."""

import sys

import typer


def confirm(question: str) -> None:
    """Ask on standard error, and go on only after a yes.

    Raises:
        typer.Abort: The answer was no, or Ctrl-C.
        typer.Exit: Nobody is there to answer, status 1; standard error says which option answers.
    """
    try:
        is_wanted = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        typer.echo("\nnobody answered, and nothing was done: to do it without being asked, add --yes", err=True)
        raise typer.Exit(1) from None
    if not is_wanted:
        raise typer.Abort

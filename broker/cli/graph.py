"""``plexica deps graph``: the dependencies of a tenant as a picture."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from broker.cli.command import Operator, asking_in_tenant
from broker.cli.gathering import gathered
from broker.cli.options import Output, SomePlugin
from broker.cli.output import write_file
from broker.cli.tree import tree
from broker.dependencies.drawing import DependencyGraph, dot, mermaid
from broker.dependencies.svg import svg

Format = Literal["text", "mermaid", "dot", "svg"]
DRAWN: Mapping[str, Callable[[DependencyGraph], str]] = {"mermaid": mermaid, "dot": dot, "svg": svg}


@asking_in_tenant
async def graph(
    operator: Operator,
    plugin: SomePlugin = None,
    kind: Annotated[Format, typer.Option("--format", "-f", help="How to draw it.")] = "text",
    output: Output = None,
) -> None:
    """Draw who needs whom in a tenant, with versions, ranges, and what is missing in red.

    Everything the broker knows, or what PLUGIN needs, all the way.
    """
    found = await gathered(operator, plugin)
    if output is not None:
        write_file(output, _text(found, plugin, kind))
    elif operator.out.as_json:
        operator.out.json_lines(asdict(found))
    elif kind != "text":
        typer.echo(_text(found, plugin, kind), nl=False)
    else:
        for line in tree(found, plugin):
            operator.out.say(line)


def _text(found: DependencyGraph, plugin: str | None, kind: str) -> str:
    text = "\n".join(line.plain for line in tree(found, plugin)) if kind == "text" else DRAWN[kind](found)
    return text.rstrip("\n") + "\n"


def add_to(app: typer.Typer) -> None:
    """Let it stand among the other questions about dependencies."""
    app.command(epilog="Example: plexica deps graph --tenant acme-corp --format svg --output graph.svg")(graph)

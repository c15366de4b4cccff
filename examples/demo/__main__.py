"""``python -m examples.demo [--url amqp://...]``: exit status 0 only if every step came out right."""

import argparse
import asyncio
import sys

from rich.console import Console

from contracts import PlexicaError
from examples.demo.narrator import DemoError, Narrator
from examples.demo.processes import over_rabbitmq
from examples.demo.stage import embedded
from examples.demo.story import tell
from plugin_runtime import configure_logs

LONGEST_DEMO_SECONDS = 60.0


async def play(url: str | None, narrator: Narrator) -> None:
    """Set the stage, tell the story, clear up."""
    stage = over_rabbitmq(url) if url else embedded()
    async with asyncio.timeout(LONGEST_DEMO_SECONDS), stage as setting:
        await tell(setting, narrator)


def main() -> int:
    """Play the demo and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--url", help="play over this RabbitMQ, as separate processes; embedded in one without it")
    url = parser.parse_args().url
    configure_logs(level="error")
    narrator = Narrator(Console(highlight=False))
    try:
        asyncio.run(play(url or None, narrator))
    except (DemoError, PlexicaError, TimeoutError) as error:
        return narrator.failed(error)
    return narrator.ended()


if __name__ == "__main__":
    sys.exit(main())

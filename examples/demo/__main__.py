"""``python -m examples.demo [--url amqp://... | --compose]``: exit status 0 only if every step came out right."""

import argparse
import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager

from rich.console import Console

from contracts import PlexicaError
from examples.demo.composed import in_containers
from examples.demo.narrator import DemoError, Narrator
from examples.demo.processes import over_rabbitmq
from examples.demo.stage import Stage, embedded
from examples.demo.story import tell
from plugin_runtime import configure_logs

LONGEST_DEMO_SECONDS = 60.0


async def play(stage: AbstractAsyncContextManager[Stage], narrator: Narrator) -> None:
    """Set the stage, tell the story, clear up."""
    playing = asyncio.current_task()
    if playing is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    async with asyncio.timeout(LONGEST_DEMO_SECONDS), stage as setting:
        await tell(setting, narrator)


def chosen_stage() -> AbstractAsyncContextManager[Stage]:
    """The stage that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--url", help="play over this RabbitMQ, as separate processes; embedded in one without it")
    ways.add_argument("--compose", action="store_true", help="play with the running containers of compose.yaml")
    chosen = parser.parse_args()
    if chosen.compose:
        return in_containers()
    return over_rabbitmq(chosen.url) if chosen.url else embedded()


def main() -> int:
    """Play the demo and say how it went."""
    stage = chosen_stage()
    configure_logs(level="error")
    narrator = Narrator(Console(highlight=False))
    try:
        asyncio.run(play(stage, narrator))
    except (DemoError, PlexicaError, TimeoutError) as error:
        return narrator.failed(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return narrator.interrupted()
    return narrator.ended()


if __name__ == "__main__":
    sys.exit(main())

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
PICTURE_WIDTH = 92


async def play(stage: AbstractAsyncContextManager[Stage], narrator: Narrator) -> None:
    """Set the stage, tell the story, clear up."""
    playing = asyncio.current_task()
    if playing is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    async with asyncio.timeout(LONGEST_DEMO_SECONDS), stage as setting:
        await tell(setting, narrator)


def chosen() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--url", help="play over this RabbitMQ, as separate processes; embedded in one without it")
    ways.add_argument("--compose", action="store_true", help="play with the running containers of compose.yaml")
    parser.add_argument("--picture", metavar="FILE", help="save what was shown as an SVG picture")
    return parser.parse_args()


def chosen_stage(wanted: argparse.Namespace) -> AbstractAsyncContextManager[Stage]:
    """The stage for it."""
    if wanted.compose:
        return in_containers()
    return over_rabbitmq(wanted.url) if wanted.url else embedded()


def main() -> int:
    """Play the demo and say how it went."""
    wanted = chosen()
    configure_logs(level="error")
    console = Console(highlight=False, record=bool(wanted.picture), width=PICTURE_WIDTH if wanted.picture else None)
    status = tell_all(wanted, Narrator(console))
    if wanted.picture:
        console.save_svg(wanted.picture, title="make demo")
    return status


def tell_all(wanted: argparse.Namespace, narrator: Narrator) -> int:
    """Tell the story to its end, however it ends; the exit status."""
    try:
        asyncio.run(play(chosen_stage(wanted), narrator))
    except (DemoError, PlexicaError, TimeoutError) as error:
        return narrator.failed(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return narrator.interrupted()
    return narrator.ended()


if __name__ == "__main__":
    sys.exit(main())

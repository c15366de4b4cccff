"""Where the story plays: broker and plugins as processes of their own, over RabbitMQ, under a prefix of their own."""

import asyncio
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from examples.demo.narrator import DemoError
from examples.demo.stage import narrating_plugin
from plugin_runtime import Plugin
from plugin_runtime.transport.address import Address

STOP_SECONDS = 10.0
START_SECONDS = 20.0
REACH_SECONDS = 5.0
LOOK_SECONDS = 0.05
LAST_LINES = 15


class ProcessStage:
    """Processes that share one RabbitMQ."""

    tenant = "acme-corp"
    runs_already = False

    def __init__(self, url: str, prefix: str, folder: Path, narrator: Plugin) -> None:
        self.narrator = narrator
        self.name = f"separate processes over RabbitMQ, prefix '{prefix}'"
        self.prefix = prefix
        self._folder = folder
        self._environment = {
            **os.environ,
            "PLEXICA_URL": url,
            "PLEXICA_PREFIX": prefix,
            "PLEXICA_STORE": str(folder / "broker.db"),
            "PLEXICA_TENANT": self.tenant,
            "PLEXICA_OPERATORS": narrator.id,
            "PYTHONUNBUFFERED": "1",
        }
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def start_broker(self) -> None:
        """Start ``python -m broker``."""
        await self._spawn("broker", "-m", "broker")

    async def start(self, plugin: str) -> None:
        """Start the plugin's own entry point."""
        await self._spawn(plugin, "-m", f"examples.{plugin.removeprefix('plugin-')}")

    async def stop(self, plugin: str) -> None:
        """Send SIGTERM and wait until the process ended."""
        process = self._running.pop(plugin)
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            status = await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise DemoError(f"{plugin} did not stop within {STOP_SECONDS:g} s\n{self._log(plugin)}") from None
        if status != 0:
            raise DemoError(f"{plugin} ended with status {status}\n{self._log(plugin)}")

    async def until_broker_serves(self) -> None:
        """Wait for the broker; one that ends instead has said why in its last line."""
        process = self._running["broker"]
        async with asyncio.timeout(START_SECONDS):
            while not self._broker_served():
                if process.returncode is not None:
                    raise DemoError(self._log("broker").rpartition("\n")[2])
                await asyncio.sleep(LOOK_SECONDS)

    async def clear(self) -> list[str]:
        """Stop what still runs, the broker last, delete every exchange and queue; return what went wrong."""
        wrong: list[str] = []
        for name in sorted(self._running, key=lambda name: name == "broker"):
            try:
                await self.stop(name)
            except DemoError as error:
                wrong.append(str(error))
        if self._broker_served():
            await self._spawn("teardown", "-m", "broker.cli", "teardown", "--yes")
            if await self._running.pop("teardown").wait() != 0:
                wrong.append(f"the queues that begin with '{self.prefix}' are left\n{self._log('teardown')}")
        return wrong

    async def _spawn(self, name: str, *arguments: str) -> None:
        # A session of their own: Ctrl-C is for the demo, which then stops them in order.
        with self._log_file(name).open("wb") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def _broker_served(self) -> bool:
        log = self._log_file("broker")
        return log.exists() and "broker.started" in log.read_text(errors="replace")

    def _log_file(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _log(self, name: str) -> str:
        place = self._log_file(name)
        lines = place.read_text(errors="replace").splitlines() if place.exists() else []
        return "\n".join(lines[-LAST_LINES:])


@asynccontextmanager
async def over_rabbitmq(url: str) -> AsyncIterator[ProcessStage]:
    """A broker process on the RabbitMQ at ``url``, with the narrator connected from here."""
    prefix = f"demo-{secrets.token_hex(3)}."
    narrator = narrating_plugin()
    with tempfile.TemporaryDirectory(prefix="plexica-demo-") as folder:
        stage = ProcessStage(url, prefix, Path(folder), narrator)
        await reach(url)
        try:
            await stage.start_broker()
            await stage.until_broker_serves()
            async with narrator.connected(url, prefix=prefix, tenants=[stage.tenant]):
                yield stage
        except BaseException:
            await stage.clear()  # what broke off is told, not what broke after it
            raise
        if wrong := await stage.clear():
            raise DemoError("; ".join(wrong))


async def reach(url: str) -> None:
    """Refuse an address that cannot be one, or at which nobody listens, before anything is started."""
    address = Address.parse(url)
    try:
        async with asyncio.timeout(REACH_SECONDS):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError) as error:
        raise DemoError(
            f"no RabbitMQ answers at {address.shown}: {error or 'it took too long'}; `make demo` without URL needs none"
        ) from error
    writer.close()

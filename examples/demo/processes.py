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

STOP_SECONDS = 10.0
LAST_LINES = 15


class ProcessStage:
    """Processes that share one RabbitMQ."""

    tenant = "acme-corp"
    runs_already = False

    def __init__(self, url: str, prefix: str, folder: Path, narrator: Plugin) -> None:
        self.narrator = narrator
        self.name = f"separate processes over RabbitMQ, every name begins with '{prefix}'"
        self._folder = folder
        self._environment = {
            **os.environ,
            "PLEXICA_URL": url,
            "PLEXICA_PREFIX": prefix,
            "PLEXICA_STORE": str(folder / "broker.db"),
            "PLEXICA_TENANT": self.tenant,
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

    async def clear(self) -> None:
        """Stop what still runs, the broker last, and delete every exchange and queue of the demo."""
        for name in [*(name for name in self._running if name != "broker"), "broker"]:
            if name in self._running:
                await self.stop(name)
        await self._spawn("teardown", "-m", "broker.cli", "teardown", "--yes")
        process = self._running.pop("teardown")
        if await process.wait() != 0:
            raise DemoError(f"the demo's queues could not be deleted\n{self._log('teardown')}")

    async def _spawn(self, name: str, *arguments: str) -> None:
        with self._log_file(name).open("wb") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env=self._environment, stdout=log, stderr=log
            )

    def _log_file(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _log(self, name: str) -> str:
        lines = self._log_file(name).read_text(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:])


@asynccontextmanager
async def over_rabbitmq(url: str) -> AsyncIterator[ProcessStage]:
    """A broker process on the RabbitMQ at ``url``, with the narrator connected from here."""
    prefix = f"demo-{secrets.token_hex(3)}."
    narrator = narrating_plugin()
    with tempfile.TemporaryDirectory(prefix="plexica-demo-") as folder:
        stage = ProcessStage(url, prefix, Path(folder), narrator)
        try:
            await stage.start_broker()
            async with narrator.connected(url, prefix=prefix, tenants=[stage.tenant]):
                yield stage
        finally:
            await stage.clear()

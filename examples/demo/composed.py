"""Where the story plays: in the containers of compose.yaml, which run already, in a tenant of its own."""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from examples.demo.narrator import DemoError
from examples.demo.stage import narrating_plugin
from plugin_runtime import Plugin

PROJECT_FOLDER = Path(__file__).parents[2]
WAYS = (("docker", "compose"), ("docker-compose",))
ANSWER_SECONDS = 40.0


class Compose:
    """The containers that compose.yaml made; variables as COMPOSE_PROJECT_NAME choose which."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    @classmethod
    async def found(cls) -> "Compose":
        """By ``docker compose``, or the older ``docker-compose``; `DemoError` if there is neither."""
        for command in WAYS:
            status, _, _ = await _run(*command, "version")
            if status == 0:
                return cls(command)
        raise DemoError("neither 'docker compose' nor 'docker-compose' answers")

    async def call(self, *arguments: str) -> str:
        """What the command prints; `DemoError` with its complaint if it fails."""
        status, said, complaint = await _run(*self._command, *arguments)
        if status != 0:
            raise DemoError(f"{' '.join((*self._command, *arguments))}: {complaint or said}")
        return said

    async def url(self) -> str:
        """RabbitMQ as this machine reaches it: the broker's own address, at the port that is published here."""
        inside = urlsplit(await self.call("exec", "-T", "broker", "printenv", "PLEXICA_URL"))
        published = await self.call("port", "rabbitmq", str(inside.port or 5672))
        host, _, port = published.rpartition(":")
        login = inside.netloc.rpartition("@")[0]
        reachable = "127.0.0.1" if host in {"0.0.0.0", "[::]"} else host  # noqa: S104 - read, not bound
        return inside._replace(netloc=f"{login}@{reachable}:{port}").geturl()


class ComposedStage:
    """Containers that others started and go on using: all they notice is that one plugin stops for a moment."""

    runs_already = True

    def __init__(self, compose: Compose, tenant: str, narrator: Plugin) -> None:
        self.narrator = narrator
        self.tenant = tenant
        self.name = f"in the running containers of compose.yaml, tenant '{tenant}'"
        self._compose = compose
        self._stopped: list[str] = []

    async def start(self, plugin: str) -> None:
        """Start the plugin's container."""
        await self._compose.call("start", _service(plugin))

    async def stop(self, plugin: str) -> None:
        """Stop the plugin's container, which sends SIGTERM and waits."""
        self._stopped.append(plugin)
        await self._compose.call("stop", _service(plugin))

    async def clear(self) -> None:
        """Start again what was stopped, and remove the tenant with all that is installed in it."""
        await self.narrator.platform.remove_tenant(self.tenant, force=True)
        for plugin in self._stopped:
            await self.start(plugin)


@asynccontextmanager
async def in_containers() -> AsyncIterator[ComposedStage]:
    """The containers of compose.yaml, with the narrator connected from here."""
    compose = await Compose.found()
    narrator = narrating_plugin()
    tenant = f"demo-{secrets.token_hex(3)}"
    async with narrator.connected(await compose.url(), prefix="", tenants=[tenant]):
        stage = ComposedStage(compose, tenant, narrator)
        try:
            yield stage
        finally:
            await stage.clear()


def _service(plugin: str) -> str:
    return plugin.removeprefix("plugin-")


async def _run(*command: str) -> tuple[int, str, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=PROJECT_FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        return 127, "", str(error)
    try:
        said, complaint = await asyncio.wait_for(process.communicate(), ANSWER_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return 124, "", f"no answer in {ANSWER_SECONDS:g} s"
    return process.returncode or 0, said.decode().strip(), complaint.decode(errors="replace").strip()

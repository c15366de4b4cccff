"""A small plugin that answers what it is asked, in a tenant of its own: what ``plexica bench`` measures by default.

It runs as a process of its own, as plugins do, and ends when its standard input does: it outlives no command, however
that ends. Tenant, plugin and service exist for one run; all three are gone after it.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from broker.cli.command import Operator
from contracts.errors import PlexicaError, PluginNotFoundError, StartError, TenantNotFoundError
from plugin_runtime import Call, Plugin, RuntimeSettings, configure_logs
from plugin_runtime.context import new_instance

READY = b"ready\n"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
METHOD, PATH = "GET", "/echo"


@dataclass(frozen=True, slots=True)
class Echo:
    """One run's names."""

    run: str

    @property
    def tenant(self) -> str:
        """The throw-away tenant."""
        return f"bench-{self.run}"

    @property
    def service(self) -> str:
        """The service with the one endpoint."""
        return f"bench-{self.run}.echo"

    def plugin(self) -> Plugin:
        """The plugin, with its handler."""
        endpoint = {"method": METHOD, "path": PATH, "description": "Answers its query"}
        service = {"name": self.service, "version": "1.0.0", "endpoints": [endpoint]}
        made = Plugin.from_manifest(
            {
                "id": f"plugin-bench-{self.run}",
                "name": "Echo",
                "version": "1.0.0",
                "description": "Made by plexica bench for one run",
                "api": {"services": [service]},
            }
        )

        @made.service(self.service).get(PATH)
        async def echo(call: Call) -> dict[str, list[str]]:
            return call.query.to_json()

        return made


@asynccontextmanager
async def echoing(operator: Operator) -> AsyncIterator[Echo]:
    """An echo that runs; at the end, also after Ctrl-C, its process, plugin and tenant are gone.

    Raises:
        StartError: Its process does not come up; the message ends with what that said.
        CodedError: The broker refuses the tenant or the plugin.
    """
    echo = Echo(new_instance()[:8])
    manifest = echo.plugin().manifest
    async with AsyncExitStack() as stack:
        # Before it is made: Ctrl-C may come while the broker makes it.
        stack.push_async_callback(_forgotten, operator, echo.tenant, manifest.id)
        try:
            await operator.platform.create_tenant(echo.tenant)
        except PlexicaError:
            stack.pop_all()  # nothing was made, and who could not make it could not remove it either
            raise
        await operator.platform.publish_manifest(manifest)
        await operator.in_tenant(echo.tenant).install(manifest.id)
        await stack.enter_async_context(_process(operator.settings, echo))
        yield echo


async def _forgotten(operator: Operator, tenant: str, plugin: str) -> None:
    """Remove plugin and tenant; what cannot be removed now is told, with the command that does it later."""
    try:
        with suppress(PluginNotFoundError):
            await operator.platform.remove_plugin(plugin, force=True)
    except PlexicaError as error:
        operator.out.note(f"{plugin} is left behind ({error}): plexica plugin remove {plugin} --force")
    try:
        with suppress(TenantNotFoundError):
            await operator.platform.remove_tenant(tenant, force=True)
    except PlexicaError as error:
        operator.out.note(f"{tenant} is left behind ({error}): plexica tenant remove {tenant} --force")


@asynccontextmanager
async def _process(settings: RuntimeSettings, echo: Echo) -> AsyncIterator[None]:
    environment = {
        **os.environ,
        "PLEXICA_URL": settings.url,
        "PLEXICA_PREFIX": settings.prefix,
        "PLEXICA_TENANT": echo.tenant,
    }
    # In a session of its own, Ctrl-C at the terminal is the command's alone: it measures to the end, then cleans up.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, echo.run, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        await _came_up(process)
        yield
    finally:
        await _ended(process)


async def _came_up(process: Process) -> None:
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    assert process.stderr is not None  # noqa: S101
    try:
        async with asyncio.timeout(START_SECONDS):
            if await process.stdout.readline() == READY:
                return
            said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
    except TimeoutError:
        said = [f"nothing for {START_SECONDS:g} s"]
    text = f"the echo plugin did not come up; it said: {said[-1] if said else 'nothing'}"
    raise StartError(f"{text}; measure an endpoint of your own: plexica bench SERVICE METHOD PATH -t TENANT")


async def _ended(process: Process) -> None:
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def serve(run: str) -> None:
    """Serve until standard input ends; ``PLEXICA_URL`` and the other settings say where."""
    echo = Echo(run)
    async with echo.plugin().connected(tenants=[echo.tenant]):
        sys.stdout.buffer.write(READY)
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    configure_logs(level="error")
    try:
        asyncio.run(serve(sys.argv[1]))
    except PlexicaError as error:
        sys.exit(str(error))

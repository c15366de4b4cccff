"""aiohttp's server and client, as its "Quickstart" pages use them: one session, JSON both ways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, web

from benchmarks.load import Echo


async def echo_back(request: web.Request) -> web.Response:
    return web.json_response(await request.json())


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    host, _, port = address.partition(":")
    application = web.Application()
    application.add_routes([web.post("/contacts", echo_back)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, host, int(port)).start()
    yield
    await runner.cleanup()


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    async with ClientSession(f"http://{address}") as session:

        async def echo(data: Any) -> Any:
            async with session.post("/contacts", json=data) as response:
                return await response.json()

        yield echo

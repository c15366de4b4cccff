"""grpc.aio: a unary-unary method by generic handlers, so that no stub is generated; JSON in place of protobuf."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from benchmarks.load import Echo
from benchmarks.payload import dumps, loads


async def echo_back(data: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: ARG001
    return data


@asynccontextmanager
async def serving(address: str) -> AsyncIterator[None]:
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(echo_back, request_deserializer=loads, response_serializer=dumps)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": method}),))
    server.add_insecure_port(address)
    await server.start()
    yield
    await server.stop(None)


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Echo]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel.unary_unary("/bench.Echo/Echo", request_serializer=dumps, response_deserializer=loads)

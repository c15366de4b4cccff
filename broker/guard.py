"""What stands before every endpoint of the broker: no lock, no answer; and RabbitMQ's faults are not the caller's."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import structlog

from broker.lock import RETRY_AFTER_SECONDS, Ready
from contracts.errors import ServiceUnavailableError, TransportError
from plugin_runtime import Call, Plugin

_log = structlog.get_logger()

Answer = Callable[..., Awaitable[Any]]


def guard(plugin: Plugin, check: Ready) -> None:
    """Put ``check`` before every endpoint mounted so far, and answer a `TransportError` as SERVICE_UNAVAILABLE.

    Args:
        plugin: The broker's own.
        check: Raises what the caller is told while nothing may be run.
    """
    for service in plugin.definition.services.values():
        service.endpoints[:] = [replace(mark, handler=_guarded(mark.handler, check)) for mark in service.endpoints]


def _guarded(handler: Answer, check: Ready) -> Answer:
    @wraps(handler)
    async def answer(call: Call, **params: str) -> Any:
        await check()
        try:
            return await handler(call, **params)
        except TransportError as error:
            # Topology changes before its transaction commits, so nothing was done: trying again is safe.
            _log.warning("endpoint.rabbitmq_failed", method=call.method, path=call.path, error=str(error))
            text = f"{call.method} {call.path} could not be done in RabbitMQ: {error}"
            raise ServiceUnavailableError(text, retryAfter=RETRY_AFTER_SECONDS) from error

    return answer

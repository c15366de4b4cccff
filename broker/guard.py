"""What stands before every endpoint of the broker.

No lock, no answer; nothing that was asked is silently ignored; and RabbitMQ's faults are not the caller's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import structlog

from broker.lock import RETRY_AFTER_SECONDS, Ready
from broker.requests import check_form, known_query_keys
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
    offered = {service.name: service for service in plugin.manifest.api.services}
    for name, service in plugin.definition.services.items():
        service.endpoints[:] = [
            replace(
                mark,
                handler=_guarded(mark.handler, check, known_query_keys(offered[name], mark.method, mark.path)),
            )
            for mark in service.endpoints
        ]


def _guarded(handler: Answer, check: Ready, known: tuple[str, ...]) -> Answer:
    @wraps(handler)
    async def answer(call: Call, **params: str) -> Any:
        check_form(call.method, call.query, call.body, known)
        await check()
        try:
            return await handler(call, **params)
        except TransportError as error:
            # Topology changes before its transaction commits, so nothing was done: trying again is safe.
            _log.warning("endpoint.rabbitmq_failed", method=call.method, path=call.path, error=str(error))
            text = f"{call.method} {call.path} could not be done in RabbitMQ: {error}"
            raise ServiceUnavailableError(text, retryAfter=RETRY_AFTER_SECONDS) from error

    return answer

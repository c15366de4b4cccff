"""Whether a handler fits what it is put on: judged before anything connects, in one sentence."""

import inspect
import re

from contracts.errors import InvalidEndpointError, InvalidSubscriptionError
from plugin_runtime.typed.annotations import BODY, RESERVED
from plugin_runtime.typed.handlers import Handler, HandlerTypes

_PARAM = re.compile(r":([A-Za-z_][A-Za-z0-9_]*)")


def path_params(path: str) -> list[str]:
    """The names of a path's parameters, in order.

    >>> path_params("/contacts/:id/notes/:note")
    ['id', 'note']
    """
    return _PARAM.findall(path)


def check_endpoint_handler(handler: Handler, *, plugin: str, service: str, method: str, path: str) -> None:
    """A handler is ``async``, takes the call first, then the path's parameters by name, and ``body``, ``query`` or not.

    Raises:
        InvalidEndpointError: Names plugin, service, endpoint, what was found and what is expected.
    """
    place = f"{plugin}: {service} {method} {path}: handler '{_name(handler)}'"
    if not inspect.iscoroutinefunction(handler):
        raise InvalidEndpointError(f"{place} must be an 'async def', found {_kind(handler)}")
    expected = path_params(path)
    found = _parameters(handler)
    if found is None or not found or sorted(_from_path(found[1:], expected)) != sorted(expected):
        wanted = ", ".join(["call", *expected])
        shown = inspect.signature(handler)
        raise InvalidEndpointError(f"{place} must take ({wanted}), found {shown}; 'query' and 'body' may stand beside")
    if method == "GET" and BODY in inspect.signature(handler).parameters and BODY not in expected:
        raise InvalidEndpointError(f"{place} takes '{BODY}', but a GET has none: take 'query', or answer POST")


def handler_types(handler: Handler, *, plugin: str, service: str, method: str, path: str) -> HandlerTypes:
    """The types of a handler that was checked, ready to be used.

    Raises:
        InvalidEndpointError: Pydantic can do nothing with one; the message names it.
    """
    try:
        return HandlerTypes.of(handler, path_params(path))
    except ValueError as error:
        place = f"{plugin}: {service} {method} {path}: handler '{_name(handler)}'"
        raise InvalidEndpointError(f"{place}: {error}") from error


def check_listener(handler: Handler, *, plugin: str, pattern: str) -> None:
    """A subscription's handler is ``async`` and takes one argument.

    Raises:
        InvalidSubscriptionError: Names plugin, pattern, what was found and what is expected.
    """
    place = f"{plugin}: subscription to '{pattern}': handler '{_name(handler)}'"
    if not inspect.iscoroutinefunction(handler):
        raise InvalidSubscriptionError(f"{place} must be an 'async def', found {_kind(handler)}")
    found = _parameters(handler)
    if found is None or len(found) != 1:
        raise InvalidSubscriptionError(f"{place} must take (event), found {inspect.signature(handler)}")


def _from_path(names: list[str], expected: list[str]) -> list[str]:
    """The parameters that only a path can fill."""
    return [name for name in names if name in expected or name not in RESERVED]


def _parameters(handler: Handler) -> list[str] | None:
    """The names a caller must fill; None where ``*args`` or ``**kwargs`` hide them."""
    found: list[str] = []
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            return None
        if parameter.default is parameter.empty or not found:
            found.append(parameter.name)
    return found


def _name(handler: object) -> str:
    return str(getattr(handler, "__qualname__", handler))


def _kind(handler: object) -> str:
    return "a plain function" if inspect.isfunction(handler) else type(handler).__name__

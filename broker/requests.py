"""What endpoints ask of a call before they delegate: its tenant, names in its path, values of its query.

Which query keys an endpoint knows stands in ``broker/plugin.json``, as ``metadata.query`` of the endpoint.
"""

from collections.abc import Callable, Collection
from typing import Any

from contracts.calls import Query
from contracts.errors import InvalidRequestError, did_you_mean
from contracts.manifest import Service
from contracts.names import NO_TENANT
from contracts.wire import describe

_FLAGS = {"true": True, "false": False}
_MOST_DIGITS = 9
_BODILESS = frozenset({"GET", "DELETE"})
"""What these mean by a body is not defined (RFC 9110, 9.3.1 and 9.3.5)."""


def known_query_keys(service: Service, method: str, path: str) -> tuple[str, ...]:
    """The query keys that an endpoint of the broker knows, as its manifest lists them."""
    endpoint = next(item for item in service.endpoints if (item.method, item.path) == (method, path))
    return tuple((endpoint.metadata.model_extra or {}).get("query", ()))


def check_form(method: str, query: Query, body: Any, known: Collection[str]) -> None:
    """Refuse what an endpoint would silently ignore.

    Raises:
        InvalidRequestError: A query key that the endpoint does not know, one that is given more than once, or a body
            where none is expected.
    """
    for key in query:
        if key not in known:
            listed = f"expected {', '.join(sorted(known))}" if known else "none is expected"
            raise InvalidRequestError(f"query: unknown key {describe(key)}{did_you_mean(key, known)}; {listed}")
        if len(query.all(key)) > 1:
            raise InvalidRequestError(f"{key} must be given once, found {len(query.all(key))} values")
    if method in _BODILESS and body is not None:
        raise InvalidRequestError(f"{method} takes no body, found {describe(body)}")


def checked(field: str, check: Callable[[str], str], value: str) -> str:
    """A name that passed its check; `InvalidRequestError` names the field."""
    try:
        return check(value)
    except ValueError as error:
        raise InvalidRequestError(f"{field}: {error}") from error


def tenant_of(tenant: str) -> str:
    """The tenant of a call that needs one; `InvalidRequestError` for none."""
    if tenant == NO_TENANT:
        raise InvalidRequestError("Tenant ID required")
    return tenant


def flag(query: Query, name: str) -> bool:
    """A query value that is ``true`` or ``false``, the latter when absent; `InvalidRequestError` for anything else."""
    text = query.get(name, "false")
    if text not in _FLAGS:
        raise InvalidRequestError(f"{name} must be true or false, found {describe(text)}")
    return _FLAGS[text]


def whole_number(query: Query, name: str, default: int, most: int) -> int:
    """A query value from 1 to ``most``; `InvalidRequestError` for anything else."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and 1 <= int(text) <= most):
        raise InvalidRequestError(f"{name} must be a whole number from 1 to {most}, found {describe(text)}")
    return int(text)

"""What endpoints ask of a call before they delegate: its tenant, names in its path, values of its query."""

from collections.abc import Callable

from contracts.calls import Query
from contracts.errors import InvalidRequestError
from contracts.names import NO_TENANT
from contracts.wire import describe

_FLAGS = {"true": True, "false": False}
_MOST_DIGITS = 9


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

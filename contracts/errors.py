"""Every error of the bus, and the closed table by which errors cross the wire.

The tree is grouped by who must act::

    PlexicaError
    ├── DefinitionError           the plugin's author
    │   ├── InvalidManifestError
    │   ├── InvalidEndpointError
    │   ├── DuplicateEndpointError
    │   └── InvalidSubscriptionError
    ├── CodedError                whoever asked: these cross the wire, see ``CODES``
    │   ├── CallError             the caller
    │   ├── RegistryError         the deployer
    │   └── SharedDataError       the writer
    ├── TransportError            the operator of RabbitMQ
    │   ├── NotConnectedError
    │   │   └── UnreachableError
    │   ├── ReturnedMessageError
    │   ├── RejectedPublishError
    │   ├── UnconfirmedPublishError
    │   ├── MissingQueueError
    │   │   └── MissingVhostError
    │   ├── LockedQueueError
    │   ├── PublisherRefusedError
    │   │   └── LoginRefusedError
    │   └── MalformedMessageError
    └── StartError                the operator of our processes
        ├── InvalidUrlError
        ├── NotRunningError
        └── BrokerLockedError

What crosses the wire is a code, a message and data: never a class path, a pickle or a traceback.
A code has one class and one HTTP status; the class name is the code in CamelCase with ``Error`` behind it.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self


class PlexicaError(Exception):
    """The root: everything this project raises on purpose."""


class DefinitionError(PlexicaError):
    """A plugin's author wrote something that cannot work; raised before anything connects."""


class InvalidManifestError(DefinitionError):
    """A ``plugin.json`` breaks rules.

    Attributes:
        source: Where the manifest came from: a path, or ``manifest`` for a dict.
        errors: Every broken rule as ``(dotted path, message)``, in the order of the document.
    """

    def __init__(self, source: str, errors: Iterable[tuple[str, str]]) -> None:
        self.source = source
        self.errors = list(errors)
        lines = [f"  {path}: {message}" if path else f"  {message}" for path, message in self.errors]
        count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
        super().__init__("\n".join([f"{source} has {count}:", *lines]))


class InvalidEndpointError(DefinitionError):
    """An endpoint handler does not fit its path, or manifest and handlers do not match."""


class DuplicateEndpointError(DefinitionError):
    """Two handlers answer the same method and path."""


class InvalidSubscriptionError(DefinitionError):
    """A subscription's pattern, name or handler breaks a rule."""


class CodedError(PlexicaError):
    """An error that crosses the wire as a code, a message and data.

    Attributes:
        code: The stable word of the closed table, e.g. ``SERVICE_NOT_FOUND``.
        status: The HTTP status that belongs to the code.
        message: One sentence that names what was found and expected.
        details: JSON data that belongs to the message.
    """

    code: ClassVar[str] = ""
    status: int = 500

    def __init__(self, message: str, **details: Any) -> None:
        self.message = message
        self.details: dict[str, Any] = details
        super().__init__(message)

    @classmethod
    def from_wire(cls, message: str, details: Mapping[str, Any], status: int) -> Self:
        """The error as its receiver raises it; ``status`` only matters to `RemoteError`."""
        del status
        error = cls(message)
        error.details.update(details)
        return error


class CallError(CodedError):
    """A call did not bring the answer that the caller asked for."""


class TenantNotFoundError(CallError):
    """No tenant of that name exists."""

    code = "TENANT_NOT_FOUND"
    status = 404


class PluginNotFoundError(CallError):
    """No plugin of that id is known, or it is not installed in the tenant."""

    code = "PLUGIN_NOT_FOUND"
    status = 404


class ServiceNotFoundError(CallError):
    """The service is not installed in the tenant, or nobody serves it now."""

    code = "SERVICE_NOT_FOUND"
    status = 404


class PluginMismatchError(CallError):
    """The service belongs to another plugin than the caller named; details: ``owner``."""

    code = "PLUGIN_MISMATCH"
    status = 400


class EndpointNotFoundError(CallError):
    """The service has no such method and path; details: ``available``."""

    code = "ENDPOINT_NOT_FOUND"
    status = 404


class VersionMismatchError(CallError):
    """The service is there, but no installed version is in the range; details: ``versions``."""

    code = "VERSION_MISMATCH"
    status = 409


class ServiceUnavailableError(CallError):
    """The service is away; nothing was run, trying again is safe; details: ``retryAfter`` seconds."""

    code = "SERVICE_UNAVAILABLE"
    status = 503


class OverloadedError(CallError):
    """The callee's queue is full; nothing was run, trying again is safe; details: ``retryAfter`` seconds."""

    code = "OVERLOADED"
    status = 503


class RateLimitedError(CallError):
    """The caller used up its calls per minute; nothing was run; details: ``retryAfter`` seconds."""

    code = "RATE_LIMITED"
    status = 429


class CallTimeoutError(CallError):
    """The deadline passed without an answer; whether the callee ran the call is unknown."""

    code = "CALL_TIMEOUT"
    status = 504


class OutcomeUnknownError(CallError):
    """The callee went away while it ran a call that may not be repeated."""

    code = "OUTCOME_UNKNOWN"
    status = 502


class InvalidRequestError(CallError):
    """A field is missing, of the wrong type or out of its limits; the message names it."""

    code = "INVALID_REQUEST"
    status = 400


class UnauthenticatedError(CallError):
    """The message does not prove who sent it."""

    code = "UNAUTHENTICATED"
    status = 401


class PermissionDeniedError(CallError):
    """The caller may not do this; details: ``missing``."""

    code = "PERMISSION_DENIED"
    status = 403


class UndeclaredDependencyError(CallError):
    """The caller's manifest does not declare the service; details: ``caller``, ``service`` and the ``line`` to add."""

    code = "UNDECLARED_DEPENDENCY"
    status = 403


class RemoteError(CallError):
    """The handler answered with a status of 400 or more, or raised an unexpected exception.

    Attributes:
        status: The status the handler chose; 500 for an unexpected exception.
        data: The JSON value the handler answered with.
    """

    code = "REMOTE"

    def __init__(self, message: str, *, status: int = 500, data: Any = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.status = status
        self.data = data

    @classmethod
    def from_wire(cls, message: str, details: Mapping[str, Any], status: int) -> Self:
        """The remote handler's own answer; its data is carried in ``details``."""
        return cls(message, status=status, data=dict(details) or None)


class RegistryError(CodedError):
    """The registry or a lifecycle operation refused."""


class NameTakenError(RegistryError):
    """Another plugin owns that service name; details: ``owner``."""

    code = "NAME_TAKEN"
    status = 409


class UnresolvableError(RegistryError):
    """Install or upgrade would leave dependencies unmet; details: resolve's whole answer."""

    code = "UNRESOLVABLE"
    status = 409


class StillRequiredError(RegistryError):
    """Installed plugins require what should go; details: ``blockedBy``."""

    code = "STILL_REQUIRED"
    status = 409


class IncompatibleRuntimeError(RegistryError):
    """The plugin's ``plugin_runtime`` is not one that this broker speaks with; details: ``accepted``."""

    code = "INCOMPATIBLE_RUNTIME"
    status = 426


class SharedDataError(CodedError):
    """Shared data refused a write."""


class StaleRevisionError(SharedDataError):
    """A compare-and-set lost; details: ``expected`` and ``found`` revision."""

    code = "STALE_REVISION"
    status = 409


class NotOwnerError(SharedDataError):
    """The namespace's owner does not let this plugin write or read; details: ``owner``."""

    code = "NOT_OWNER"
    status = 403


class QuotaExceededError(SharedDataError):
    """The value or the tenant's data would be larger than allowed; details: ``limit``."""

    code = "QUOTA_EXCEEDED"
    status = 429


class TransportError(PlexicaError):
    """RabbitMQ, or the way to it, did not do what was asked."""


class NotConnectedError(TransportError):
    """There is no connection now, or it was lost before the answer: what was under way is unknown."""


class UnreachableError(NotConnectedError):
    """Nobody is at the address: the host name is not known, or nobody listens at the port."""


class ReturnedMessageError(TransportError):
    """No queue is bound for the routing key (``Basic.Return``); nothing was stored."""

    def __init__(self, exchange: str, routing_key: str) -> None:
        self.exchange = exchange
        self.routing_key = routing_key
        super().__init__(f"no queue is bound to exchange '{exchange}' for routing key '{routing_key}'")


class RejectedPublishError(TransportError):
    """RabbitMQ refused to take the message (``Basic.Nack``): a queue with reject-publish is full."""


class UnconfirmedPublishError(TransportError):
    """No publisher confirm came in time: the message may or may not have been stored."""


class MissingQueueError(TransportError):
    """A queue or exchange does not exist (AMQP 404 NOT_FOUND)."""


class MissingVhostError(MissingQueueError):
    """The vhost of the address does not exist (AMQP 530 NOT_ALLOWED)."""


class LockedQueueError(TransportError):
    """Another connection holds the queue exclusively (AMQP 405 RESOURCE_LOCKED)."""


class PublisherRefusedError(TransportError):
    """RabbitMQ refused the message's ``user_id`` or the login's permissions (406 or 403)."""


class LoginRefusedError(PublisherRefusedError):
    """RabbitMQ does not know the login or its password (403), or does not let it use the vhost (530)."""


class MalformedMessageError(TransportError):
    """A delivery does not have the form its exchange and type ask for."""


class StartError(PlexicaError):
    """A process cannot start as it is configured."""


class InvalidUrlError(StartError):
    """``PLEXICA_URL`` is not an address that the bus can use; the message says what is expected."""


class NotRunningError(StartError):
    """A plugin was asked for something that needs a connection before it was connected."""


class BrokerLockedError(StartError):
    """Another broker runs on this vhost or this store."""


def _table(root: type[CodedError]) -> dict[str, type[CodedError]]:
    found: dict[str, type[CodedError]] = {}
    for child in root.__subclasses__():
        if child.code:
            found[child.code] = child
        found.update(_table(child))
    return found


CODES: Mapping[str, type[CodedError]] = _table(CodedError)
"""The closed table: code -> class. A code from outside it is raised as `RemoteError`."""


def error_from_wire(code: str, message: str, details: Mapping[str, Any], status: int) -> CodedError:
    """Build the exception that a coded answer stands for.

    Args:
        code: A word of ``CODES``; any other becomes a `RemoteError` that keeps ``status``.
        message: The sentence for people.
        details: JSON data that belongs to it.
        status: The HTTP status that came with it.
    """
    return CODES.get(code, RemoteError).from_wire(message, details, status)


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest known word, or an empty string."""
    near = nearest(found, known)
    return f"; did you mean '{near}'?" if near else ""


def nearest(found: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, or None if none is."""
    near = difflib.get_close_matches(found, list(known), n=1)
    return near[0] if near else None

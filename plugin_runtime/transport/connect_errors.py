"""Why a connection could not be made, said to whoever must mend it: with the address, never with the password. Pure."""

import errno
import socket
import traceback
from collections.abc import Iterator

from aiormq.exceptions import AuthenticationError, InvalidFrameError, ProbableAuthenticationError
from pamqp.commands import Connection

from contracts.errors import LoginRefusedError, MissingVhostError, NotConnectedError, TransportError, UnreachableError
from plugin_runtime.transport.address import Address

# RabbitMQ's texts of Connection.Close with 530 NOT_ALLOWED, its answer to Connection.Open.
NO_VHOST = "NOT_ALLOWED - vhost"
NO_ACCESS = "NOT_ALLOWED - access to vhost"
LIMIT = "limit"
"""Stands behind ``NO_ACCESS`` when user or vhost have as many connections as they may: that passes."""

# Connections to both addresses of a host (IPv6 and IPv4) fail in one OSError that has only this text.
REFUSED = f"[Errno {errno.ECONNREFUSED}]"


def connect_error(error: BaseException, address: Address) -> TransportError:
    """The error of the bus for an attempt to connect that failed; chain it with ``raise ... from``.

    Args:
        error: What the AMQP client raised.
        address: Where it tried to connect to.

    Returns:
        `LoginRefusedError` or `MissingVhostError` where another attempt would fail again; `UnreachableError` where
        nobody is at the address; `NotConnectedError` for anything else.
    """
    text = _closed_with(error) or str(error) or type(error).__name__
    if isinstance(error, ProbableAuthenticationError):
        return LoginRefusedError(
            f"RabbitMQ at {address.shown} refused the password of '{address.login}', or knows no such user:"
            " check PLEXICA_URL"
        )
    if isinstance(error, AuthenticationError):
        return LoginRefusedError(f"RabbitMQ at {address.shown} takes no password: {text}")
    if NO_ACCESS in text and LIMIT not in text:
        return LoginRefusedError(
            f"RabbitMQ at {address.shown} does not let '{address.login}' use vhost '{address.vhost}':"
            f" rabbitmqctl set_permissions -p {address.vhost} {address.login} '.*' '.*' '.*'"
        )
    if NO_VHOST in text:
        return MissingVhostError(
            f"RabbitMQ at {address.shown} has no vhost '{address.vhost}': rabbitmqctl add_vhost {address.vhost}"
        )
    return _unreachable(error, address) or NotConnectedError(f"no connection to RabbitMQ at {address.shown}: {text}")


def is_refusal(error: TransportError) -> bool:
    """Whether a failed attempt to connect will fail again: the login or the vhost was refused."""
    return isinstance(error, LoginRefusedError | MissingVhostError)


def _unreachable(error: BaseException, address: Address) -> UnreachableError | None:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return UnreachableError(
                f"host name '{address.host}' leads nowhere ({cause.strerror}): is PLEXICA_URL right?"
            )
        if isinstance(cause, ConnectionRefusedError) or (isinstance(cause, OSError) and REFUSED in str(cause)):
            return UnreachableError(
                f"nobody listens at {address.host}:{address.port} (connection refused):"
                " is RabbitMQ running, is PLEXICA_URL right?"
            )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _closed_with(error: BaseException) -> str | None:
    """RabbitMQ's text when it closes a connection instead of opening the vhost.

    The AMQP client does not expect Connection.Close at that point and drops its text; only the frame in which it
    raised still holds it. Should that change, a refused vhost is waited for like a lost connection.
    """
    if not isinstance(error, InvalidFrameError):
        return None
    *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
    found = innermost.f_locals.get("frame")
    return found.reply_text if isinstance(found, Connection.Close) else None

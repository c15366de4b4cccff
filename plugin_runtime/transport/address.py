"""The address of RabbitMQ: what ``PLEXICA_URL`` says, parsed once."""

import ipaddress
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from contracts.errors import InvalidUrlError

HEARTBEAT_SECONDS = 10
"""Short, so that both sides notice a dead connection within half a minute."""

LONGEST_HEARTBEAT_SECONDS = 65534
"""A short of AMQP 0-9-1 (Connection.Tune); beyond it the client would send none at all, without a word."""

DEFAULT_LOGIN = "guest"
DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}
EXPECTED = "expected e.g. 'amqp://user:password@host:5672/vhost'"


@dataclass(frozen=True, slots=True)
class Address:
    """Where RabbitMQ is and as whom to log in.

    Attributes:
        url: The URL as it was given, with the password: it goes to the AMQP client and nowhere else.
        shown: The URL without password and query, for people and logs.
        login: The RabbitMQ user.
        host: The host name or IP address.
        port: The port; 5672, or 5671 for ``amqps``, when the URL names none.
        vhost: The vhost; ``/`` when the URL names none.
        heartbeat_seconds: How often an idle connection shows that it is alive.
    """

    url: str
    shown: str
    login: str
    host: str
    port: int
    vhost: str
    heartbeat_seconds: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse an ``amqp://`` or ``amqps://`` URL.

        Raises:
            InvalidUrlError: The scheme is another, or host, port or heartbeat cannot be read.
        """
        parts = _split(url)
        if parts.scheme == "memory":
            raise InvalidUrlError(
                f"'{url}' can reach nobody by memory:// from a process of its own; {EXPECTED}, or run plugin and "
                "broker in one process with broker.testing.running()"
            )
        if parts.scheme not in {"amqp", "amqps"}:
            raise InvalidUrlError(f"'{_typed(url)}' has scheme '{parts.scheme}', not amqp or amqps; {EXPECTED}")
        if not parts.hostname:
            raise InvalidUrlError(f"'{_shown(parts)}' names no host to connect to; {EXPECTED}")
        return cls(
            url=url,
            shown=_shown(parts),
            login=unquote(parts.username or DEFAULT_LOGIN),
            host=parts.hostname,
            port=parts.port or DEFAULT_PORTS[parts.scheme],
            vhost=unquote(parts.path[1:]) or "/",
            heartbeat_seconds=_heartbeat(parts),
        )

    @property
    def is_loopback(self) -> bool:
        """Whether RabbitMQ runs on this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError as error:
        raise InvalidUrlError(f"the URL is not an address: {error}; {EXPECTED}") from error
    return parts


def _typed(url: str) -> str:
    """What was typed, without whatever may be a password."""
    return url.rpartition("@")[2]


def _shown(parts: SplitResult) -> str:
    user = f"{parts.username}@" if parts.username else ""
    return f"{parts.scheme}://{user}{parts.netloc.rpartition('@')[2]}{parts.path}"


def _heartbeat(parts: SplitResult) -> int:
    given = parse_qs(parts.query).get("heartbeat", [str(HEARTBEAT_SECONDS)])[-1]
    if not given.isdecimal():
        raise InvalidUrlError(f"heartbeat={given} in '{_shown(parts)}' is not a number of seconds")
    if len(given) > len(str(LONGEST_HEARTBEAT_SECONDS)) or int(given) > LONGEST_HEARTBEAT_SECONDS:
        raise InvalidUrlError(
            f"heartbeat={given[:9]} in '{_shown(parts)}' is too long: at most {LONGEST_HEARTBEAT_SECONDS} seconds"
        )
    return int(given)

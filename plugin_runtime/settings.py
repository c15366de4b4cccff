"""What a plugin process reads from its environment, once, at its entry point."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import InvalidUrlError, StartError
from contracts.names import check_tenant

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
SCHEMES = ("amqp", "amqps")


class RuntimeSettings(BaseSettings):
    """The settings of a plugin, from variables that begin with ``PLEXICA_``.

    Attributes:
        url: Where RabbitMQ is, e.g. ``amqp://plugin-crm:secret@rabbitmq:5672/plexica``.
        prefix: Stands before every exchange and queue; the broker's own must be the same.
        tenant: The tenant of calls made outside a handler.
        insecure: Believe publishers that RabbitMQ cannot check, on a host that is not this one.
        strict: Refuse to start when a required dependency is missing, rather than start DEGRADED.
        concurrency: How many calls, and how many events of one subscription, are worked on at once.
        grace_seconds: How long a stop waits for work in flight.
    """

    model_config = SettingsConfigDict(env_prefix="PLEXICA_", frozen=True, extra="ignore")

    url: str = DEFAULT_URL
    prefix: str = ""
    tenant: Annotated[str, AfterValidator(check_tenant)] = "default"
    insecure: bool = False
    strict: bool = False
    concurrency: int = Field(default=32, gt=0)
    grace_seconds: float = Field(default=30.0, ge=0)

    @classmethod
    def read(cls, **overrides: object) -> "RuntimeSettings":
        """Read the environment; arguments that are not None win over it.

        Raises:
            StartError: A variable has a value it may not have; the message names it.
        """
        given = {key: value for key, value in overrides.items() if value is not None}
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            lines = [f"PLEXICA_{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors()]
            raise StartError("; ".join(lines)) from error


def check_url(url: str) -> str:
    """An AMQP address, or an error that says what is wrong with it and shows a right one.

    Raises:
        InvalidUrlError: Another scheme, no host, or a port that is none; never shows a password.
    """
    example = f"expected e.g. '{DEFAULT_URL}'"
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise InvalidUrlError(f"PLEXICA_URL is not an address: {error}; {example}") from error
    if parts.scheme == "memory":
        raise InvalidUrlError(
            f"PLEXICA_URL is '{url}', but a process of its own can reach nobody by memory://; {example}, or run plugin "
            "and broker in one process with broker.testing.running()"
        )
    if parts.scheme not in SCHEMES:
        raise InvalidUrlError(f"PLEXICA_URL has scheme '{parts.scheme}', not amqp or amqps; {example}")
    if not parts.hostname or not port_is_fine:
        raise InvalidUrlError(f"PLEXICA_URL names no host to connect to; {example}")
    return url


def without_password(url: str) -> str:
    """The address as a log may show it."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{parts.hostname}{port}{parts.path}"

"""The broker's configuration: one frozen value, read from the environment at the entry point and passed down."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from contracts.errors import StartError
from contracts.names import check_plugin_id, check_prefix
from plugin_runtime.logs import LogFormat
from plugin_runtime.transport.factory import DEFAULT_TRANSPORT, TransportKind

ENVIRONMENT_PREFIX = "PLEXICA_"


def _words(value: object) -> object:
    """What stands between commas."""
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _plugin_ids(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(check_plugin_id(word) for word in value)


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BrokerSettings(BaseSettings):
    """What an operator may choose; each field is read from ``PLEXICA_`` and its name in capitals.

    Attributes:
        url: RabbitMQ's address, vhost included.
        prefix: Stands before every exchange and queue, so that several buses can share one vhost.
        store: The SQLite file; made if it is not there.
        auto_install: Development only: a plugin that registers for an unknown tenant creates it and is installed.
        operators: Plugins that may administer: create tenants, install, publish and remove what is not their own; they
            get a grant for every tenant. Comma-separated in the environment. The command line always may; with
            ``auto_install`` everybody may administer, though only in tenants where it is installed.
        lease_seconds: An instance that was not heard of for so long is gone.
        heartbeat_seconds: How often an instance is told to report; less than half a lease.
        transport: How messages travel: ``lean``, or ``aio-pika`` to leave all to that library; the same on the wire.
        insecure: Accept publishers that RabbitMQ does not vouch for, off loopback too.
        log_format: ``console`` for people, ``json`` for machines, ``auto`` for whichever standard error is.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True)

    url: str = "amqp://guest:guest@127.0.0.1:5672/"
    prefix: Annotated[str, AfterValidator(check_prefix)] = ""
    store: Path = Path("plexica.db")
    auto_install: bool = False
    operators: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_plugin_ids)] = ()
    lease_seconds: Seconds = 15.0
    heartbeat_seconds: Seconds = 5.0
    transport: TransportKind = DEFAULT_TRANSPORT
    insecure: bool = False
    log_format: LogFormat = "auto"

    @model_validator(mode="after")
    def _survive_a_lost_heartbeat(self) -> Self:
        if self.heartbeat_seconds * 2 >= self.lease_seconds:
            raise ValueError(
                f"heartbeat_seconds must be less than half of lease_seconds, "
                f"found {self.heartbeat_seconds:g} and {self.lease_seconds:g}"
            )
        return self

    @classmethod
    def read(cls, **overrides: object) -> Self:
        """Read the environment; arguments that are not None win over it.

        Raises:
            StartError: A variable is not what it must be; the message names each, but not its value, which may hold
                a password.
        """
        try:
            return cls(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            lines = (f"{_variable(found['loc'])}{found['msg'].removeprefix('Value error, ')}" for found in problems)
            raise StartError("; ".join(lines)) from None


def _variable(place: tuple[int | str, ...]) -> str:
    return f"{ENVIRONMENT_PREFIX}{str(place[0]).removeprefix(ENVIRONMENT_PREFIX.lower()).upper()}: " if place else ""

"""What a plugin process reads from its environment, once, at its entry point."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import StartError
from contracts.names import check_prefix, check_tenant
from plugin_runtime.calls.remedy import DEFAULT_RETRIES, MOST_RETRIES
from plugin_runtime.logs import LogFormat
from plugin_runtime.transport.factory import DEFAULT_TRANSPORT, TransportKind

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"


class RuntimeSettings(BaseSettings):
    """The settings of a plugin, from variables that begin with ``PLEXICA_``.

    Attributes:
        url: Where RabbitMQ is, e.g. ``amqp://plugin-crm:secret@rabbitmq:5672/plexica``.
        prefix: Stands before every exchange and queue; the broker's own must be the same.
        tenant: The tenant of calls made outside a handler.
        transport: How messages travel: ``lean``, or ``aio-pika`` to leave all to that library; the same on the wire.
        insecure: Believe publishers that RabbitMQ cannot check, on a host that is not this one.
        strict: Refuse to start when a required dependency is missing, rather than start DEGRADED.
        concurrency: How many calls, and how many events of one subscription, are worked on at once.
        retries: How often a call that its callee did not take is made again, unless the call says otherwise.
        grace_seconds: How long a stop waits for work in flight.
        log_format: ``console`` for people, ``json`` for machines, ``auto`` for whichever standard error is.
    """

    model_config = SettingsConfigDict(env_prefix="PLEXICA_", frozen=True, extra="ignore")

    url: str = DEFAULT_URL
    prefix: Annotated[str, AfterValidator(check_prefix)] = ""
    tenant: Annotated[str, AfterValidator(check_tenant)] = "default"
    transport: TransportKind = DEFAULT_TRANSPORT
    insecure: bool = False
    strict: bool = False
    concurrency: int = Field(default=32, gt=0)
    retries: int = Field(default=DEFAULT_RETRIES, ge=0, le=MOST_RETRIES)
    grace_seconds: float = Field(default=30.0, ge=0)
    log_format: LogFormat = "auto"

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
            lines = [
                f"PLEXICA_{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}"
                for item in error.errors()
            ]
            raise StartError("; ".join(lines)) from error

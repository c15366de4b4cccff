"""What becomes of an event after its handler: done, another attempt later, or dead. Pure.

Attempts are counted across crashes: ``x-attempt`` counts what handlers refused, RabbitMQ's delivery count what
processes did not survive.
"""

import random
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.errors import (
    DefinitionError,
    InvalidRequestError,
    MalformedMessageError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from contracts.topology import RETRY_DELAYS_SECONDS

ATTEMPTS = len(RETRY_DELAYS_SECONDS) + 1
JITTER = 0.2


class Reject(Exception):  # noqa: N818 - the handler's own word
    """Raised by a handler: trying again would not help, put the event to the dead letters at once."""


HOPELESS = (
    Reject,
    DefinitionError,
    InvalidRequestError,
    MalformedMessageError,
    PermissionDeniedError,
    UnauthenticatedError,
    ValidationError,
)
"""Failures that another attempt cannot mend."""


@dataclass(frozen=True, slots=True)
class Done:
    """Acknowledge."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Publish again into the delay queue ``step``, to come back after ``delay_seconds``; then acknowledge."""

    step: int
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Bury:
    """Publish to the dead letters with the error; then acknowledge."""


def decide(error: Exception | None, *, attempt: int, chance: float | None = None) -> Done | Retry | Bury:
    """What to do with an event.

    Args:
        error: What its handler raised; None if it returned.
        attempt: 1 for the first.
        chance: A number in [0, 1) that spreads the delay by up to 20 % either way; random when None.
    """
    if error is None:
        return Done()
    if isinstance(error, HOPELESS) or attempt >= ATTEMPTS:
        return Bury()
    share = random.random() if chance is None else chance  # noqa: S311 - jitter is no secret
    delay = RETRY_DELAYS_SECONDS[attempt - 1]
    return Retry(step=attempt, delay_seconds=delay * (1 - JITTER + 2 * JITTER * share))

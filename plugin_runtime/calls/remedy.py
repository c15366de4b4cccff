"""What may be done about a call that failed: whether it may be made again, and after what. Pure.

::

    SERVICE_NOT_FOUND      nobody was bound, or the callee serves the tenant no more: surely not run, so any method
                           may go again, once the registry was asked what is true now
    SERVICE_UNAVAILABLE    the last instance of the version went: it may have run, so GET, PUT and DELETE go once more
                           to another version (POST and PATCH are OUTCOME_UNKNOWN, which is never made again)

Of a POST or PATCH that RabbitMQ hands out again, whatever else is wrong with it, a callee says OUTCOME_UNKNOWN
(`calls.server`): its other refusals are surely of calls that were not run.

A handler's own errors never look like these: it answers with a status, and an error of a call that it made is its own
fault (REMOTE). The broker's services are different: their codes are answers, and who asks again is the caller.
"""

from collections.abc import Sequence
from enum import Enum, auto

from contracts.calls import REPEATABLE_METHODS
from contracts.errors import CodedError, ServiceNotFoundError, ServiceUnavailableError
from contracts.names import SYSTEM_PLUGIN

MOST_REMEDIES = 2
"""How often one call is made again."""


class Remedy(Enum):
    """What comes before a call is made again."""

    ASK = auto()
    """What the caller knew was behind: have the registry say what is true now."""

    ELSEWHERE = auto()
    """What the caller knows is right by now: look for another version."""


def remedy(error: CodedError, *, callee: str, method: str, applied: Sequence[Remedy]) -> Remedy | None:
    """What may be done about a call that failed, or None when its error is the answer.

    Args:
        error: How the call ended.
        callee: The plugin that was called.
        method: The call's method.
        applied: What was done about earlier failures of the same call.
    """
    if callee == SYSTEM_PLUGIN or len(applied) >= MOST_REMEDIES:
        return None
    if isinstance(error, ServiceNotFoundError):
        return Remedy.ASK
    if isinstance(error, ServiceUnavailableError) and method in REPEATABLE_METHODS and Remedy.ELSEWHERE not in applied:
        return Remedy.ELSEWHERE
    return None

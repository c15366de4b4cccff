"""What may be done about a call that failed: whether it may be made again, when, and after what. Pure.

The whole policy::

    code                 was it run?   made again            after
    SERVICE_NOT_FOUND    no            any method, ASK       the registry was asked what is true now
    SERVICE_UNAVAILABLE  perhaps (*)   GET, PUT, DELETE,     another version was looked for
                                       once, ELSEWHERE
    SERVICE_UNAVAILABLE  no            any method, LATER     retryAfter and a back-off
    OVERLOADED           no            any method, LATER     retryAfter and a back-off
    RATE_LIMITED         no            any method, LATER     the same, if retryAfter is 2 s at most
    UNAUTHENTICATED      no            any method, once      another grant was got, if the grant was at fault; so for
                                                             SERVICE_UNAVAILABLE (`calls.client`)
    everything else      -             never                 it is the answer

    (*) ``mayHaveRun`` in its details: the last instance of the version went, or was found gone when the call was
        published again. POST and PATCH are OUTCOME_UNKNOWN then, which is never made again.

ASK and ELSEWHERE lead to where the call is not known to fail, at most twice in all. LATER goes where it failed: at most
``retries`` times (2 unless the plugin's setting or the call says otherwise), each wait longer by full jitter, never
beyond the deadline (if retryAfter is, the call fails at once), and out of the budget of the process (`calls.budget`):
a callee that has too much to do gets at most a tenth more.

Of a POST or PATCH that RabbitMQ hands out again, whatever else is wrong with it, a callee says OUTCOME_UNKNOWN
(`calls.admission`): its other refusals are surely of calls that were not run. A connection that is lost is another
matter: what became of a call then is not known, and `calls.outgoing` publishes those again that may run twice.

A handler's own errors never look like these: it answers with a status, and an error of a call that it made is its own
fault (REMOTE). The broker's services are different: their codes are answers, and who asks again is the caller.
"""

import math
from collections.abc import Sequence
from enum import Enum, auto

from contracts.calls import REPEATABLE_METHODS
from contracts.errors import (
    CodedError,
    OverloadedError,
    RateLimitedError,
    ServiceNotFoundError,
    ServiceUnavailableError,
)
from contracts.names import SYSTEM_PLUGIN

MOST_MOVES = 2
"""How often one call goes somewhere else, by ASK or ELSEWHERE."""

DEFAULT_RETRIES = 2
"""How often one call is made again LATER, unless told otherwise."""

MOST_RETRIES = 10

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0
SHORT_WAIT_SECONDS = 2.0
"""A caller over its rate is made to wait for so long at most; a longer wait is for the program to plan."""


class Remedy(Enum):
    """What comes before a call is made again."""

    ASK = auto()
    """What the caller knew was behind: have the registry say what is true now."""

    ELSEWHERE = auto()
    """What the caller knows is right by now: look for another version."""

    LATER = auto()
    """The callee took no more calls: wait, and call it again."""


def remedy(
    error: CodedError, *, callee: str, method: str, applied: Sequence[Remedy], retries: int = DEFAULT_RETRIES
) -> Remedy | None:
    """What may be done about a call that failed, or None when its error is the answer.

    Args:
        error: How the call ended.
        callee: The plugin that was called.
        method: The call's method.
        applied: What was done about earlier failures of the same call.
        retries: How often it may be made LATER.
    """
    if callee == SYSTEM_PLUGIN:
        return None
    later = applied.count(Remedy.LATER)
    can_move, can_wait = len(applied) - later < MOST_MOVES, later < retries
    if isinstance(error, ServiceNotFoundError):
        return Remedy.ASK if can_move else None
    if isinstance(error, ServiceUnavailableError) and error.details.get("mayHaveRun"):
        is_moved = not can_move or Remedy.ELSEWHERE in applied
        return Remedy.ELSEWHERE if method in REPEATABLE_METHODS and not is_moved else None
    if isinstance(error, RateLimitedError):
        can_wait = can_wait and _retry_after(error, default=math.inf) <= SHORT_WAIT_SECONDS
    elif not isinstance(error, OverloadedError | ServiceUnavailableError):
        return None
    return Remedy.LATER if can_wait else None


def pause_seconds(error: CodedError, *, retried: int, remaining_seconds: float, jitter: float) -> float | None:
    """How long to wait before a call is made LATER; None when it cannot be answered by its deadline any more.

    Args:
        error: How the call ended; its ``retryAfter`` is the least that is waited.
        retried: How often the call was made LATER before.
        remaining_seconds: What is left until its deadline.
        jitter: From 0 to 1: which part of the back-off is waited.
    """
    least = _retry_after(error, default=0.0)
    room = remaining_seconds - least
    if room <= 0:
        return None
    longest = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0**retried)
    # At least half of what is left is for the call itself.
    return least + jitter * min(longest, room / 2)


def _retry_after(error: CodedError, *, default: float) -> float:
    """The seconds that the callee asks for; what is no such number counts as not said."""
    said = error.details.get("retryAfter")
    return said if isinstance(said, int | float) and not isinstance(said, bool) and said >= 0 else default

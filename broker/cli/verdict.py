"""What measurements tell, as far as it can be told honestly. Pure."""

from collections import Counter
from collections.abc import Sequence

from broker.cli.measuring import Measured

MESSAGES = 2
"""A call and its reply: each goes through RabbitMQ once."""

MOST_OF_IT = 0.7
BUSY = 0.9
NO_MORE = 1.1
"""More calls in flight that bring less than a tenth more brought nothing."""

Sentences = list[str]


def verdict(message: Measured, single: Measured, loads: Sequence[Measured]) -> Sentences:
    """In some sentences, what a call's time goes to, what limits the calls a second, and what failed.

    Args:
        message: Bare messages through RabbitMQ to whoever published them, one at a time.
        single: Calls, one at a time.
        loads: Calls with several in flight, fewest first.
    """
    return [*_of_time(message, single), *_of_load([single, *loads]), *_of_failures([single, *loads])]


def _of_time(message: Measured, single: Measured) -> Sentences:
    one, whole = message.p50_seconds, single.p50_seconds
    if one is None or whole is None:
        return []
    ways, rest = MESSAGES * one, whole - MESSAGES * one
    told = f"Two bare messages through RabbitMQ take {_ms(ways)}, a call and its reply {_ms(whole)}"
    if ways >= MOST_OF_IT * whole:
        return [f"{told}: the way over RabbitMQ dominates."]
    return [f"{told}: the endpoint and Python at both ends dominate with {_ms(rest)}."]


def _of_load(stages: Sequence[Measured]) -> Sentences:
    best = max(stages, key=lambda stage: stage.per_second)
    if best.per_second == 0 or len(stages) == 1:
        return []
    peak = f"The most was {best.per_second:,.0f} calls/s, with {best.in_flight} in flight"
    if best.busy >= BUSY:
        return [f"{peak}; this command itself then used a whole CPU, so the bus may do more for several callers."]
    *before, last = stages
    if last.per_second < NO_MORE * max(stage.per_second for stage in before):
        return [f"{peak}; more in flight brought no more: look at the CPU of the plugin's instances and of RabbitMQ."]
    return [f"{peak}; it still grew, so that is no limit: try more with --in-flight."]


def _of_failures(stages: Sequence[Measured]) -> Sentences:
    failures: Counter[str] = Counter()
    for stage in stages:
        failures.update(stage.failures)
    told = ", ".join(f"{count} {word}" for word, count in failures.most_common())
    return [f"Not answered well: {told}."] if told else []


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"

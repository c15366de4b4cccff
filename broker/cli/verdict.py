"""What measurements tell, as far as it can be told honestly. Pure."""

from collections import Counter
from collections.abc import Sequence

from broker.cli.measuring import Measured
from contracts.manifest import Metadata

MESSAGES = 2
"""A call and its reply: each goes through RabbitMQ once."""

MOST_OF_IT = 0.7
BUSY = 0.9
NO_MORE = 1.1
"""More calls in flight that bring less than a tenth more brought nothing."""

Sentences = list[str]
NO_LIMITS = Metadata()


def verdict(message: Measured, single: Measured, loads: Sequence[Measured], limits: Metadata = NO_LIMITS) -> Sentences:
    """In some sentences, what a call's time goes to, what limits the calls a second, and what failed.

    Where calls failed, nothing is said of the calls a second: what refuses calls also limits them.

    Args:
        message: Bare messages through RabbitMQ to whoever published them, one at a time.
        single: Calls, one at a time.
        loads: Calls with several in flight, fewest first.
        limits: What the endpoint's metadata allows.
    """
    stages = [single, *loads]
    return [*_of_time(message, single), *(_of_failures(stages) or _of_load(stages, limits)), *_of_limits(limits)]


def _of_time(message: Measured, single: Measured) -> Sentences:
    one, whole = message.p50_seconds, single.p50_seconds
    if one is None or whole is None:
        return []
    ways, rest = MESSAGES * one, whole - MESSAGES * one
    told = f"Two bare messages through RabbitMQ take {_ms(ways)}, a call and its reply {_ms(whole)}"
    if ways >= MOST_OF_IT * whole:
        return [f"{told}: the way over RabbitMQ dominates."]
    return [f"{told}: the endpoint and Python at both ends dominate with {_ms(rest)}."]


def _of_load(stages: Sequence[Measured], limits: Metadata) -> Sentences:
    best = max(stages, key=lambda stage: stage.per_second)
    if best.per_second == 0 or len(stages) == 1:
        return []
    peak = f"The most was {best.per_second:,.0f} calls/s, with {best.in_flight} in flight"
    if best.busy >= BUSY:
        return [f"{peak}; this command itself then used a whole CPU, so the bus may do more for several callers."]
    *before, last = stages
    if last.per_second < NO_MORE * max(stage.per_second for stage in before):
        told = f"{peak}; more in flight brought no more"
        where = "" if limits.concurrency else ": look at the CPU of the plugin's instances and of RabbitMQ"
        return [f"{told}{where}."]
    return [f"{peak}; it still grew, so that is no limit: try more with --in-flight."]


def _of_failures(stages: Sequence[Measured]) -> Sentences:
    failures: Counter[str] = Counter()
    for stage in stages:
        failures.update(stage.failures)
    if not failures:
        return []
    failed, answered = failures.total(), sum(len(stage.durations) for stage in stages)
    told = ", ".join(f"{count:,} {word}" for word, count in failures.most_common())
    only = f"the figures are of the {answered:,} answered ones only" if answered else "there are no figures"
    return [f"{failed:,} of {failed + answered:,} calls were refused or failed ({told}): {only}."]


def _of_limits(limits: Metadata) -> Sentences:
    told = []
    if limits.rate_limit is not None:
        told.append(f"rateLimit {limits.rate_limit}, so many calls a minute for each tenant and caller")
    if limits.concurrency is not None:
        told.append(f"concurrency {limits.concurrency}, so many calls at once in each instance")
    return [f"The endpoint's metadata sets a limit: {'; '.join(told)}."] if told else []


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"

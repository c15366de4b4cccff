"""Figures: those of one round, their medians, and a whole run as JSON. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

Figures = Mapping[str, float]
"""What was measured of one peer in one round, or the medians of several, by name; what could not be read is not there.

Of calls:

* ``p50_us``, ``p99_us``: microseconds that half of the calls, and 99 of 100, took at most, with one in flight.
* ``rate_64``, ``rate_256``: calls a second with so many in flight.
* ``cpu_ms``: milliseconds of CPU that 1000 calls cost server and client together, with 64 in flight.
* ``server_cpu_ms``: the server's part of it.
* ``rabbitmq_cpu_ms``: what the same calls cost RabbitMQ.
* ``memory_mib``: resident memory of server and client together, after all calls.
"""


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure by itself, of the rounds in which it was read."""
    names = dict.fromkeys(name for one in rounds for name in one)
    return {name: statistics.median(one[name] for one in rounds if name in one) for name in names}


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one peer.

    Attributes:
        key: Its name in the catalogue.
        title: Its name in tables.
        usage: How it was used.
        versions: Versions of what it consists of.
        rounds: The figures of each round.
        problem: Why it was not measured, or not to the end.
        subject: What was measured of it; each subject has a table of its own, see `benchmarks.report`.
    """

    key: str
    title: str
    usage: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    rounds: tuple[Figures, ...] = ()
    problem: str | None = None
    subject: str = "calls"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A whole run: when (ISO 8601), on what, how, and every figure."""

    taken_at: str
    machine: Mapping[str, Any]
    settings: Mapping[str, Any]
    results: tuple[Result, ...]

    def figures(self) -> dict[str, Figures]:
        """The medians by the peers' keys, of those that were measured; a peer's subjects together."""
        found: dict[str, Figures] = {}
        for result in self.results:
            if result.rounds:
                found[result.key] = {**found.get(result.key, {}), **medians(result.rounds)}
        return found

    def to_json(self) -> dict[str, Any]:
        """JSON values; the medians are in it for those who read it without us."""
        results = [{**asdict(result), "medians": medians(result.rounds)} for result in self.results]
        return {**asdict(self), "results": results}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """The run that `to_json` wrote.

        Raises:
            ValueError: It is not of this shape.
        """
        try:
            return cls(**{**document, "results": tuple(_result(item) for item in document["results"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no run of 'make bench': {error!r}") from error


def _result(item: Mapping[str, Any]) -> Result:
    known = {name: value for name, value in item.items() if name != "medians"}
    return Result(**{**known, "rounds": tuple(item["rounds"])})

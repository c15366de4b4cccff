"""Figures: those of one round, their medians, and a whole run as JSON. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured of one peer in one round, or the medians of several rounds.

    Attributes:
        p50_us: Microseconds that half of the calls took at most, with one in flight.
        p99_us: The same for 99 of 100 calls.
        rate_64: Calls a second with 64 in flight.
        rate_256: Calls a second with 256 in flight.
        cpu_ms: Milliseconds of CPU that 1000 calls cost server and client together, with 64 in flight.
        server_cpu_ms: The server's part of it.
        rabbitmq_cpu_ms: What 1000 calls cost RabbitMQ; None where it cannot be read, or is not used.
        memory_mib: Resident memory of server and client together, after all calls.
    """

    p50_us: float
    p99_us: float
    rate_64: float
    rate_256: float
    cpu_ms: float
    server_cpu_ms: float
    rabbitmq_cpu_ms: float | None
    memory_mib: float


def medians(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure by itself; of those that were read at all."""
    found: dict[str, float | None] = {}
    for item in fields(Figures):
        values = [value for one in rounds if (value := getattr(one, item.name)) is not None]
        found[item.name] = statistics.median(values) if values else None
    return Figures(**found)  # type: ignore[arg-type]


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
    """

    key: str
    title: str
    usage: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    rounds: tuple[Figures, ...] = ()
    problem: str | None = None

    @property
    def figures(self) -> Figures | None:
        """The medians; None if nothing was measured."""
        return medians(self.rounds) if self.rounds else None


@dataclass(frozen=True, kw_only=True)
class Run:
    """A whole run: where, with what, and every figure."""

    taken_at: str
    machine: Mapping[str, Any]
    settings: Mapping[str, Any]
    results: tuple[Result, ...]

    def figures(self) -> dict[str, Figures]:
        """The medians by the peers' keys."""
        return {result.key: found for result in self.results if (found := result.figures) is not None}

    def to_json(self) -> dict[str, Any]:
        """JSON values; the medians are in it for those who read it without us."""
        results = [
            {**asdict(result), "medians": asdict(found) if (found := result.figures) else None}
            for result in self.results
        ]
        return {**asdict(self), "results": results}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """The run that `to_json` wrote.

        Raises:
            ValueError: It is not of this shape.
        """
        try:
            results = tuple(_result(item) for item in document["results"])
            return cls(
                taken_at=document["taken_at"],
                machine=document["machine"],
                settings=document["settings"],
                results=results,
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no run of make bench: {error!r}") from error


def _result(item: Mapping[str, Any]) -> Result:
    known = {name: value for name, value in item.items() if name != "medians"}
    return Result(**{**known, "rounds": tuple(Figures(**one) for one in item["rounds"])})

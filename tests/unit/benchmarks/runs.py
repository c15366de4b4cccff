"""Runs of the comparison as they might have been."""

from typing import Any

from benchmarks.figures import Result, Run

MACHINE = {
    "cores": 2,
    "processor": "A & B",
    "system": "Linux 6.1",
    "python": "3.11.7",
    "rabbitmq": "3.10.8",
    "erlang": "25.2.3",
}


def figures(**others: float) -> dict[str, float]:
    """What one round might give."""
    whole = {"p50_us": 200.0, "p99_us": 400.0, "rate_64": 8000.0, "rate_256": 9000.0}
    return {**whole, "cpu_ms": 100.0, "server_cpu_ms": 50.0, "rabbitmq_cpu_ms": 60.0, "memory_mib": 80.0, **others}


def result(key: str, *rounds: dict[str, float], title: str | None = None, problem: str | None = None) -> Result:
    """A peer of such rounds."""
    return Result(key=key, title=title or f"The {key}", usage="as it says", rounds=rounds, problem=problem)


def run(*results: Result, **settings: Any) -> Run:
    """A run of such peers."""
    settings = {"rounds": 3, **settings}
    return Run(taken_at="2026-11-22T20:15:00+00:00", machine=MACHINE, settings=settings, results=results)

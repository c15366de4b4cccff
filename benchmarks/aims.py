"""The aims, one row each, and whether a run reached them. Pure.

An aim is a ratio of two peers' figures in one run, so that a slow or a busy machine does not change it. A new subject
adds its rows to `AIMS`, and the names of its figures to `benchmarks.figures`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from benchmarks.figures import Figures
from benchmarks.peers.catalogue import LIMIT, OURS, TUTORIAL


class Verdict(Enum):
    """What a run says of an aim."""

    REACHED = "reached"
    MISSED = "not reached"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Aim:
    """One figure of ours, divided by another's.

    Attributes:
        subject: What is spoken of; rows of one subject stand together.
        figure: The name of the figure.
        other: The key of the peer.
        bound: What the ratio must be.
        is_least: Whether it must be at least the bound, rather than at most.
        is_stretch: Whether it is hoped for rather than asked.
        ours: The key of the row of ours that is judged.
    """

    subject: str
    figure: str
    other: str
    bound: float
    is_least: bool = True
    is_stretch: bool = False
    ours: str = OURS

    def text(self, titles: Mapping[str, str]) -> str:
        """The aim in words, e.g. ``>= 6 x aio-pika, its RPC tutorial``."""
        words = f"{'>=' if self.is_least else '<='} {self.bound:g} x {titles.get(self.other, self.other)}"
        return f"{words} (stretch)" if self.is_stretch else words


@dataclass(frozen=True)
class Judged:
    """An aim beside what was found; `found` is None where a side was not measured."""

    aim: Aim
    found: float | None
    verdict: Verdict


RATE = "calls/s, 64 in flight"
P50 = "p50, one in flight"
CPU = "CPU per 1000 calls, both sides"

AIMS: tuple[Aim, ...] = (
    Aim(RATE, "rate_64", TUTORIAL, 6),
    Aim(RATE, "rate_64", "faststream", 10),
    Aim(RATE, "rate_64", "nameko", 18),
    Aim(RATE, "rate_64", "grpc", 3),
    Aim(RATE, "rate_64", "aiohttp", 1.5),
    Aim(RATE, "rate_64", LIMIT, 0.40),
    Aim(RATE, "rate_64", LIMIT, 0.50, is_stretch=True),
    Aim(RATE, "rate_64", "nats-speed", 0.8, is_stretch=True, ours="ours-speed"),
    Aim(P50, "p50_us", TUTORIAL, 0.55, is_least=False),
    Aim(P50, "p50_us", LIMIT, 1.9, is_least=False),
    Aim(P50, "p50_us", LIMIT, 1.45, is_least=False, is_stretch=True),
    Aim(CPU, "cpu_ms", TUTORIAL, 0.2, is_least=False),
    Aim(CPU, "cpu_ms", TUTORIAL, 0.1, is_least=False, is_stretch=True),
)


def ratio(figures: Mapping[str, Figures], figure: str, one: str, other: str) -> float | None:
    """One peer's figure, divided by another's; None where either is missing."""
    dividend, divisor = figures.get(one, {}).get(figure), figures.get(other, {}).get(figure)
    return dividend / divisor if dividend is not None and divisor else None


def judge(aim: Aim, figures: Mapping[str, Figures]) -> Judged:
    """What the medians of a run, by the peers' keys, say of an aim."""
    found = ratio(figures, aim.figure, aim.ours, aim.other)
    if found is None:
        return Judged(aim, None, Verdict.UNKNOWN)
    is_reached = found >= aim.bound if aim.is_least else found <= aim.bound
    return Judged(aim, found, Verdict.REACHED if is_reached else Verdict.MISSED)


def judged(figures: Mapping[str, Figures], aims: Sequence[Aim] = AIMS) -> list[Judged]:
    """All aims, in their order."""
    return [judge(aim, figures) for aim in aims]

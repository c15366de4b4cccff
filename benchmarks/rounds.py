"""Peers in interleaved rounds, and what became of each."""

from collections.abc import Mapping, Sequence

from benchmarks.figures import Figures, Result
from benchmarks.machine import library_version, versions
from benchmarks.measuring import Stage, measure
from benchmarks.peers.catalogue import LIMIT, Peer
from benchmarks.processes import BenchmarkError
from benchmarks.progress import Steps


def in_rounds(
    peers: Sequence[Peer], rounds: int, stage: Stage, steps: Steps, missing: Mapping[str, str]
) -> tuple[Result, ...]:
    """Measure every peer in every round, each round beginning with another one; a step a peer and round.

    Args:
        peers: Who, in the order of the results.
        rounds: How often.
        stage: Where.
        steps: Shows how far it is.
        missing: Why some cannot be measured, by key. One that fails is not measured again.
    """
    problems = dict(missing)
    found: dict[str, list[Figures]] = {peer.key: [] for peer in peers}
    for number in range(rounds):
        for peer in turned(peers, number):
            if peer.key not in problems:
                try:
                    found[peer.key].append(measure(peer, stage, steps.telling(f"{peer.title}:")))
                except BenchmarkError as error:
                    problems[peer.key] = f"failed: {error}"
            steps.advance()
    return tuple(
        Result(
            key=peer.key,
            title=peer.title,
            usage=peer.usage,
            versions=versions(peer.distributions) | (library_version("librabbitmq") if peer.key == LIMIT else {}),
            rounds=tuple(found[peer.key]),
            problem=problems.get(peer.key),
        )
        for peer in peers
    )


def count(word: str) -> int:
    """A number of rounds on the command line.

    Raises:
        ValueError: It is no number, or less than 1.
    """
    if (number := int(word)) < 1:
        raise ValueError(word)
    return number


def turned(peers: Sequence[Peer], number: int) -> list[Peer]:
    """The same peers, beginning with another one in each round: nobody is always measured after the same neighbour."""
    first = number % len(peers) if peers else 0
    return [*peers[first:], *peers[:first]]

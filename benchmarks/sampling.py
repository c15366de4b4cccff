"""Where a process spends its time, by sampling: every millisecond of its CPU, the stack of its main thread is noted.

Sampling leaves the proportions as they are, which a tracing profiler does not: that makes many small functions look
dear. Time in C, such as a socket's ``send`` or a JSON reader, counts for the Python function that called it.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from types import FrameType

FOLDER = "BENCH_SAMPLES"
"""The variable that says where samples are written, one file a role."""
EVERY_SECONDS = 0.001

Samples = Mapping[tuple[str, ...], int]
"""How often each stack was seen; a stack is from the outside in, a function ``file:name``."""


@contextmanager
def sampled(role: str) -> Iterator[None]:
    """Sample this process if it is asked to, and write what was seen at the end."""
    if not (folder := os.environ.get(FOLDER)):
        yield
        return
    seen: Counter[tuple[str, ...]] = Counter()

    def note(_: int, frame: FrameType | None) -> None:
        seen[stack_of(frame)] += 1

    before = signal.signal(signal.SIGPROF, note)
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, EVERY_SECONDS, EVERY_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
        (Path(folder) / f"{role}.json").write_text(json.dumps([[*stack, count] for stack, count in seen.items()]))


def stack_of(frame: FrameType | None) -> tuple[str, ...]:
    """The functions that are running, from the outside in."""
    stack = []
    while frame is not None:
        stack.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    return tuple(reversed(stack))


def read(path: Path) -> Samples:
    """What `sampled` wrote."""
    return {tuple(stack): count for *stack, count in json.loads(path.read_text())}


def during(samples: Samples, mark: str) -> Samples:
    """The samples of the event loop's work: those below a function; what a process does to start and end is not."""
    return {stack: count for stack, count in samples.items() if any(mark in function for function in stack)}


def by_part(samples: Samples, parts: Sequence[tuple[str, str]]) -> Counter[str]:
    """Samples by the part of the program whose function was running.

    Args:
        samples: All of them.
        parts: Fragments of file names and the part that each means; the first that fits counts.
    """
    found: Counter[str] = Counter()
    for stack, count in samples.items():
        file = stack[-1].rpartition(":")[0]
        found[next((part for fragment, part in parts if fragment in file), "other")] += count
    return found


def by_function(samples: Samples) -> list[tuple[str, int, int]]:
    """Functions, the samples in which each itself was running, and those in which it was anywhere on the stack."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, count in samples.items():
        own[stack[-1]] += count
        whole.update(dict.fromkeys(stack, count))
    return sorted(((name, own[name], whole[name]) for name in whole), key=lambda one: (-one[1], -one[2], one[0]))


def short(function: str) -> str:
    """A function by its module's last words, e.g. ``calls/server.py:CallServer.accept``."""
    file, _, name = function.rpartition(":")
    return f"{'/'.join(PurePath(file).parts[-2:])}:{name}"


def collapsed(samples: Samples) -> str:
    """Lines as flame graph programs read them: functions between semicolons, then the count."""
    return "\n".join(f"{';'.join(short(function) for function in stack)} {count}" for stack, count in samples.items())

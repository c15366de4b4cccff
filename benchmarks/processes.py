"""Processes that a benchmark starts: wait until they serve, ask them to work, read their clocks, end them."""

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from benchmarks.load import Done, Phase

START_SECONDS = 60.0
STOP_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""How much longer than its phase a client may take: what is in flight at the end of a phase is waited for."""

CLOCK_OF_PROCESS = 2
"""CPUCLOCK_SCHED: with it, Linux makes the id of the CPU clock of a whole process from its pid."""


class BenchmarkError(Exception):
    """A process did not do what it was started for; its last words are in the message."""


class Running:
    """A process that prints ``ready`` when it serves; end it with ``with``."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._name = " ".join((Path(command[0]).name, *command[1:]))  # figures name no folder of this machine
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        """Wait for nothing: see `wait_for`."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.stop()

    def wait_for(self, word: str, within: float = START_SECONDS) -> str:
        """The next line of standard output that holds a word.

        Raises:
            BenchmarkError: It ended, or said nothing in time.
        """
        until = time.monotonic() + within
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise BenchmarkError(f"no '{word}' within {within:g} s from {self._name}{self._last_words()}") from None
            if not line:
                self._process.wait(STOP_SECONDS)
                raise BenchmarkError(f"ended: {self._name}{self._last_words()}")
            if word in line:
                return line

    def perform(self, phase: Phase) -> Done:
        """Have a client do a phase.

        Raises:
            BenchmarkError: It failed, or did not come to an end.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(phase.line() + "\n")
        self._process.stdin.flush()
        return Done.parse(self.wait_for("{", phase.seconds + PATIENCE_SECONDS))

    def finish(self) -> None:
        """End the client's input and wait until it has cleared up.

        Raises:
            BenchmarkError: It takes too long.
        """
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._wait()

    def terminate(self) -> None:
        """SIGTERM, and wait until it has cleared up; `BenchmarkError` if it takes too long."""
        self._process.terminate()
        self._wait()

    def _wait(self) -> None:
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"does not end: {self._name}{self._last_words()}") from None

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not heed it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        for stream in (self._process.stdin, self._errors):
            if stream is not None and not stream.closed:
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        return f": {said[-1]}" if said else ""


def cpu_seconds(pid: int) -> float:
    """The CPU time that all threads of a process have used, to the nanosecond; Linux only."""
    return time.clock_gettime((~pid << 3) | CLOCK_OF_PROCESS)


def resident_bytes(pid: int) -> int:
    """The memory of a process that lies in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def pid_by_variable(program: str, variable: str) -> int | None:
    """The process of a program that has ``NAME=value`` in its environment; None where there is none on this machine."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, environment = (folder / "comm").read_text(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if program in name and variable.encode() in environment.split(b"\0"):
            return int(folder.name)
    return None


def check_platform() -> None:
    """Raise SystemExit where the clocks of other processes cannot be read."""
    if not sys.platform.startswith("linux"):
        sys.exit("the benchmarks read the CPU clocks of other processes as Linux offers them: run them on Linux")

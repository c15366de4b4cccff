"""Compiles the C peer into a folder."""

import subprocess
from pathlib import Path

from benchmarks.processes import BenchmarkError

SOURCES = Path(__file__).parent / "peers" / "librabbitmq"


def compile_c(folder: Path) -> Path:
    """Build the server and the client; return where they are.

    Raises:
        BenchmarkError: The compiler said no.
    """
    for role in ("serve", "call"):
        source = str(SOURCES / f"{role}.c")
        command = ["cc", "-O2", "-o", str(folder / role), source, "-lrabbitmq"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(f"cc failed on {source}: {done.stderr.strip().splitlines()[-1]}")
    return folder

"""The pytest plugin comes with the distribution, and costs those nothing who do not use it."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

LOOK = """
import sys

def test_nothing_of_ours_is_loaded():
    ours = {name for name in sys.modules if name.partition(".")[0] in {"broker", "contracts", "plugin_runtime"}}
    assert ours == {"broker", "broker.testing_fixtures"}
    assert not {"aio_pika", "aiosqlite", "pydantic", "structlog"} & set(sys.modules)
"""


def test_pytest_finds_the_fixture_by_itself() -> None:
    assert [found.value for found in entry_points(group="pytest11", name="plexica")] == ["broker.testing_fixtures"]


def test_a_run_without_the_fixture_loads_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "test_look.py").write_text(LOOK)
    command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider"]

    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)

    assert ran.returncode == 0, ran.stdout

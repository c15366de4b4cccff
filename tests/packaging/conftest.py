"""What is built for PyPI, and a place where nothing else is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def uv(*arguments: str | Path) -> None:
    """Run uv, which `make` puts beside Python."""
    executable = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert executable is not None, "uv is needed: pip install uv"
    environment = {"UV_SYSTEM_CERTS": "1", **os.environ}
    command = [executable, *map(str, arguments)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    place = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", place)
    return place


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def sdist(built: Path) -> Path:
    (found,) = built.glob("*.tar.gz")
    return found


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment after ``pip install plexica-bus``: no extra, no test tool."""
    place = tmp_path_factory.mktemp("bare")
    constraints = place / "constraints.txt"
    uv("export", "--frozen", "--quiet", "--no-emit-project", "--no-hashes", "--output-file", constraints)
    uv("venv", "--quiet", "--python", sys.executable, place / "venv")
    scripts = place / "venv" / "bin"
    uv("pip", "install", "--quiet", "--python", scripts / "python", "--constraints", constraints, wheel)
    return scripts

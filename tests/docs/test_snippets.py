"""The page on testing tells the truth: its tests are complete, and they pass."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
BLOCK = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)
STRICTLY = (
    "-Werror",
    # pytest-asyncio makes a spare event loop on Python 3.11 and leaves it to the garbage collector.
    "-Wignore:unclosed event loop:ResourceWarning",
    "-Wignore:unclosed <socket:ResourceWarning",
    "-oasyncio_default_fixture_loop_scope=function",
)


def run_pytest(place: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-pno:cacheprovider", *options]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=60)


def test_every_program_of_the_page_has_a_name() -> None:
    page = PAGE.read_text()

    assert page.count("```python") == len(BLOCK.findall(page)) == 4


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_the_tests_of_the_page_pass(tmp_path: Path, mode: str) -> None:
    for name, program in BLOCK.findall(PAGE.read_text()):
        (tmp_path / name).write_text(program)

    ran = run_pytest(tmp_path, f"-oasyncio_mode={mode}", *STRICTLY)

    assert "5 passed" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 0


def test_without_pytest_asyncio_the_fixture_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "hidden.py").write_text("import sys\nsys.modules['pytest_asyncio'] = None\n")
    (tmp_path / "test_it.py").write_text("def test_it(plexica): pass\n")

    ran = run_pytest(tmp_path, "-pno:asyncio", "-pno:plexica", "-phidden", "-pbroker.testing_fixtures")

    assert "the fixture 'plexica' needs pytest-asyncio, which is not installed" in ran.stdout
    assert "1 error" in ran.stdout

"""With uvloop and orjson, or without."""

import sys
from importlib import import_module

import pytest

from benchmarks.processes import Running
from benchmarks.speed import FAST, MODULES, hide_unless_fast

PROGRAM = """
from benchmarks.speed import hide_unless_fast, run
hide_unless_fast()
import asyncio
from contracts import codec
async def main():
    print("ready", codec._orjson is not None, "uvloop" in type(asyncio.get_running_loop()).__module__)
run(main())
"""


@pytest.mark.parametrize(
    ("environment", "told"), [({FAST: ""}, "ready False False"), ({FAST: "yes"}, "ready True True")]
)
def test_the_bus_finds_them_in_the_rows_that_name_them_only(environment: dict[str, str], told: str) -> None:
    with Running([sys.executable, "-c", PROGRAM], environment) as running:
        assert running.wait_for("ready").strip() == told


def test_what_is_hidden_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FAST, raising=False)
    for module in MODULES:
        monkeypatch.setitem(sys.modules, module, sys)

    hide_unless_fast()

    for module in MODULES:
        with pytest.raises(ModuleNotFoundError):
            import_module(module)

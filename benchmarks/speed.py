"""With uvloop and orjson, or without: both are there, so whoever is measured without them must not find them."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any

FAST = "BENCH_FAST"
"""The variable by which a peer's processes run with them."""
MODULES = ("orjson", "uvloop")


def is_fast() -> bool:
    """Whether this process runs with them."""
    return bool(os.environ.get(FAST))


def hide_unless_fast() -> None:
    """Make them look as if they were not installed, for whatever is imported after this."""
    if not is_fast():
        sys.modules.update(dict.fromkeys(MODULES))  # type: ignore[arg-type]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a program on the loop that it is to be measured with."""
    if is_fast():
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)

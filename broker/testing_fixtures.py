"""The pytest fixture ``plexica``, which pytest finds by itself (entry point ``pytest11``).

Every run of pytest imports this module where the distribution is installed, whatever it tests. So nothing of ours is
imported before a test asks for the fixture, and a missing extra is told then.
"""

from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from broker.testing import StartBus

if find_spec("pytest_asyncio"):
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def plexica() -> "AsyncIterator[StartBus]":
        """Buses in this process that stop after the test, each a broker and plugins; see `broker.testing.running`.

        ``bus = await plexica(crm, marketing, tenants=["acme-corp"])``
        """
        try:
            from broker.testing import buses
        except ModuleNotFoundError as error:
            pytest.fail(f"the fixture 'plexica' needs '{error.name}': pip install 'plexica-bus[broker]'")

        async with buses() as start:
            yield start

else:

    @pytest.fixture
    def plexica() -> None:
        """A starter of buses, where pytest-asyncio is installed."""
        pytest.fail("the fixture 'plexica' needs pytest-asyncio, which is not installed")

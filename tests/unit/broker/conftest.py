"""A store in memory, and what stands on it."""

from collections.abc import AsyncIterator

import pytest

from broker.outbox.store import Outbox
from broker.storage.database import Database
from broker.tenants.store import Tenants
from tests.unit.broker.shared import TENANT, Bench


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    opened = await Database.open(None)
    yield opened
    await opened.close()


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


@pytest.fixture
def tenants(database: Database) -> Tenants:
    return Tenants(database)


@pytest.fixture
async def bench(database: Database, outbox: Outbox) -> Bench:
    made = Bench(database, outbox)
    await made.tenants.create(TENANT)
    return made

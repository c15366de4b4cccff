"""An operator's desk for each test."""

from pathlib import Path

import pytest

from tests.unit.broker.cli.desk import Desk


@pytest.fixture
def plexica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in ("PLEXICA_URL", "PLEXICA_PREFIX", "PLEXICA_TENANT", "PLEXICA_STORE"):
        monkeypatch.delenv(name, raising=False)
    return Desk(tmp_path)

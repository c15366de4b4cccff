"""One run of compose.yaml for all tests here, and a plugin that looks at it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from examples.demo.stage import narrating_plugin
from plugin_runtime import TenantClient
from tests.containers.compose import ComposeProject, reason_to_skip

HERE = Path(__file__).parent
LONGEST_TEST_SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.containers)
            item.add_marker(pytest.mark.timeout(LONGEST_TEST_SECONDS))


@pytest.fixture(scope="session")
def project() -> Iterator[ComposeProject]:
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    project = ComposeProject()
    try:
        project.call("build")
        project.up()
        yield project
    finally:
        project.down(volumes=True)


@pytest.fixture
async def acme(project: ComposeProject) -> AsyncIterator[TenantClient]:
    """Tenant acme-corp, as a plugin sees it that may call every sample."""
    observer = narrating_plugin()
    async with observer.connected(project.url, prefix="", tenants=["acme-corp"]):
        yield observer.tenant("acme-corp")

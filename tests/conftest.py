"""Fixtures of the whole suite."""

from collections.abc import Iterator

import pytest

from tests.rabbitmq import RabbitMQNode, start_node


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "rabbitmq_node" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.rabbitmq)


@pytest.fixture(scope="session")
def rabbitmq_node() -> Iterator[RabbitMQNode]:
    node = start_node()
    yield node
    node.discard()


@pytest.fixture
def vhost(rabbitmq_node: RabbitMQNode) -> Iterator[str]:
    name = rabbitmq_node.create_vhost()
    yield name
    rabbitmq_node.delete_vhost(name)


@pytest.fixture
def vhost_url(rabbitmq_node: RabbitMQNode, vhost: str) -> str:
    return rabbitmq_node.url(vhost)

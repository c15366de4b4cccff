"""The same worlds as in the acceptance tests: in memory and over RabbitMQ."""

from tests.acceptance.conftest import open_world, world

__all__ = ["open_world", "world"]

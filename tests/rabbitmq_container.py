"""A RabbitMQ node in a container, on fixed ports so that it can be stopped and started again."""

import os

import docker
from docker.errors import DockerException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from tests.ports import free_port
from tests.rabbitmq_settings import ERLANG_ARGUMENTS, PLUGINS

IMAGE = os.environ.get("PLEXICA_TEST_RABBITMQ_IMAGE", "rabbitmq:4-management")
AMQP_PORT, MANAGEMENT_PORT = 5672, 15672
ENABLE_PLUGINS = f"rabbitmq-plugins enable --offline {' '.join(PLUGINS)}"
COMMAND = ["sh", "-c", f"{ENABLE_PLUGINS} && exec docker-entrypoint.sh rabbitmq-server"]
"""Given to the image's entry point, which runs what does not begin with ``rabbitmq`` as it is."""

CONTAINER_ERRORS = (DockerException, OSError)


def engine_answers() -> bool:
    """Whether a container engine runs here."""
    try:
        client = docker.from_env(timeout=5)
    except CONTAINER_ERRORS:
        return False
    try:
        return bool(client.ping())
    except CONTAINER_ERRORS:
        return False
    finally:
        client.close()


class ContainerServer:
    """One container, removed with its data at the end."""

    def __init__(self) -> None:
        # We stop the container ourselves; Ryuk would need an image of its own.
        testcontainers_config.ryuk_disabled = True
        self.amqp_port, self.management_port = free_port(), free_port()
        self._container = (
            DockerContainer(IMAGE)
            .with_bind_ports(AMQP_PORT, self.amqp_port)
            .with_bind_ports(MANAGEMENT_PORT, self.management_port)
            .with_command(COMMAND)
            .with_env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG_ARGUMENTS)
        )
        self._exists = False

    @property
    def host(self) -> str:
        """Where the container's ports are reached."""
        found: str = self._container.get_container_host_ip() if self._exists else "localhost"
        return "127.0.0.1" if found == "localhost" else found

    def start(self) -> None:
        """Create the container, or start it again."""
        if self._exists:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._exists = True

    def stop(self) -> None:
        """Stop the container; its data stay."""
        self._container.get_wrapped_container().stop(timeout=15)

    def discard(self) -> None:
        """Remove the container and close the engine's client."""
        if self._exists:
            self._container.stop()
            self._exists = False
        self._container.get_docker_client().client.close()

    def describe(self) -> str:
        """The end of the server's log, for a failed start."""
        if not self._exists:
            return "no container"
        return bytes(self._container.get_wrapped_container().logs(tail=40)).decode(errors="replace")

    def is_running(self) -> bool:
        """Whether the container runs."""
        if not self._exists:
            return False
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return bool(wrapped.status == "running")

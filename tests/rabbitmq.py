"""A private RabbitMQ node for the run, and how to hurt it.

The node comes from a container engine if one answers, else from a RabbitMQ installed here, else from Debian's package,
which root may install. ``PLEXICA_TEST_RABBITMQ`` = ``container`` or ``local`` forces a way,
``PLEXICA_TEST_RABBITMQ_IMAGE`` chooses the image. Whatever is started is stopped at the end, also after a failure.
"""

import atexit
import itertools
import os
from typing import Any, Protocol

from tests.ports import is_listening
from tests.rabbitmq_container import CONTAINER_ERRORS, ContainerServer, engine_answers
from tests.rabbitmq_local import LocalServer, can_install, install, server_path
from tests.rabbitmq_management import ADMIN, Management
from tests.waiting import eventually_blocking

START_TIMEOUT_SECONDS = 120.0
HOW_TO_GET_ONE = """\
These tests need RabbitMQ 3.10 or newer, and there is none. Any one of these will do:
  - a running Docker or Podman engine (DOCKER_HOST may say where); the image is rabbitmq:4-management
  - a RabbitMQ server on this machine: apt-get install rabbitmq-server, or brew install rabbitmq
Without RabbitMQ: pytest -m 'not rabbitmq'"""


class Server(Protocol):
    """Something that runs RabbitMQ; `start` may be called again after `stop`."""

    amqp_port: int
    management_port: int

    @property
    def host(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def discard(self) -> None: ...
    def describe(self) -> str: ...
    def is_running(self) -> bool: ...


class RabbitMQNode:
    """A running node: make vhosts and users on it, look into it, cut it off."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._names = itertools.count(1)

    @property
    def management_url(self) -> str:
        """Where the management API is."""
        return f"http://{self._server.host}:{self._server.management_port}"

    def url(self, vhost: str, user: str = ADMIN, password: str | None = None) -> str:
        """The AMQP URL of a vhost; the password is the user's name unless given."""
        return f"amqp://{user}:{password or user}@{self._server.host}:{self._server.amqp_port}/{vhost}"

    # Its life

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        self._server.start()
        try:
            eventually_blocking(self._is_up_or_dead, START_TIMEOUT_SECONDS, "RabbitMQ did not start in time")
            assert self._server.is_running(), "RabbitMQ stopped while it was starting"
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self._server.describe()}") from error

    def stop(self) -> None:
        """Stop the node; its data stay."""
        self._server.stop()

    def restart(self) -> None:
        """Stop the node and start it again."""
        self.stop()
        self.start()

    def discard(self) -> None:
        """Stop the node for good and remove its data."""
        self._server.discard()

    # What is on it

    def create_vhost(self, name: str | None = None) -> str:
        """Make a vhost that the administrator may use, and return its name."""
        vhost = name or f"test-{next(self._names)}"
        self._api.call("PUT", "vhosts", vhost, body={})
        self._permit(vhost, ADMIN)
        return vhost

    def delete_vhost(self, name: str) -> None:
        """Remove a vhost; connections to it are closed."""
        self._api.call("DELETE", "vhosts", name)

    def create_user(
        self, name: str, password: str, vhost: str, *, configure: str = "", write: str = "", read: str = ""
    ) -> None:
        """Make a user, or change it, and say what it may do in a vhost."""
        self._api.call("PUT", "users", name, body={"password": password, "tags": ""})
        self._permit(vhost, name, configure=configure, write=write, read=read)

    def delete_user(self, name: str) -> None:
        """Remove a user."""
        self._api.call("DELETE", "users", name)

    def queues(self, vhost: str) -> list[dict[str, Any]]:
        """The queues of a vhost, as the management API tells them."""
        return list(self._api.call("GET", "queues", vhost))

    def delete_queue(self, vhost: str, name: str) -> None:
        """Delete a queue with what is in it; `LookupError` for one that another connection holds exclusively."""
        self._api.call("DELETE", "queues", vhost, name)

    def bindings(self, vhost: str) -> list[dict[str, Any]]:
        """The bindings of a vhost."""
        return list(self._api.call("GET", "bindings", vhost))

    def connection_names(self) -> list[str]:
        """The names that clients gave their connections."""
        return [str(one.get("user_provided_name", "")) for one in self._api.call("GET", "connections")]

    def close_connections(self, name_prefix: str) -> int:
        """Close the connections whose clients named them so, and return how many they were."""
        listed = self._api.call("GET", "connections")
        chosen = [one for one in listed if str(one.get("user_provided_name", "")).startswith(name_prefix)]
        for one in chosen:
            self._api.call("DELETE", "connections", one["name"])
        return len(chosen)

    @property
    def _api(self) -> Management:
        return Management(self.management_url)

    def _is_up_or_dead(self) -> bool:
        if not self._server.is_running():
            return True
        return is_listening(self._server.host, self._server.amqp_port) and self._api.answers()

    def _permit(self, vhost: str, user: str, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        rights = {"configure": configure, "write": write, "read": read}
        self._api.call("PUT", "permissions", vhost, user, body=rights)


def start_node() -> RabbitMQNode:
    """Start a node by the first way that works here."""
    forced = os.environ.get("PLEXICA_TEST_RABBITMQ", "")
    if forced == "container" or (not forced and engine_answers()):
        try:
            return _started(ContainerServer())
        except (*CONTAINER_ERRORS, AssertionError):
            if forced or not server_path():
                raise
    if can_install():
        install()  # also waits for another worker that is about it
    executable = server_path()
    if executable is None:
        raise AssertionError(HOW_TO_GET_ONE)
    return _started(LocalServer(executable))


def _started(server: Server) -> RabbitMQNode:
    node = RabbitMQNode(server)
    atexit.register(node.discard)
    try:
        node.start()
    except BaseException:
        node.discard()
        raise
    return node

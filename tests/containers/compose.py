"""The containers of compose.yaml under a project name, ports and a login of their own."""

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.rabbitmq_management import Management
from tests.waiting import eventually_blocking

ROOT = Path(__file__).parents[2]
WAYS = (("docker", "compose"), ("docker-compose",))
IMAGES = ("rabbitmq:4-management", "python:3.11-slim-bookworm")
SERVICES = ("rabbitmq", "broker", "crm", "analytics", "marketing", "invoicing")
WANTED = "PLEXICA_TEST_CONTAINERS"

UP_SECONDS = 400.0
HEALTHY_SECONDS = 90.0
# An image whose first process does not pass SIGTERM on is killed after that; ours stop within a second.
STOP_SECONDS = 10


def reason_to_skip() -> str | None:
    """Why the containers cannot run here, None if they can."""
    if os.environ.get(WANTED) != "1":
        return f"takes minutes: make test-containers, or {WANTED}=1"
    if compose_command() is None:
        return "neither 'docker compose' nor 'docker-compose' answers"
    if _run("docker", "info").returncode != 0:
        return "no container engine answers"
    missing = [image for image in IMAGES if not _is_there(image)]
    return f"images are not here and cannot be pulled: {', '.join(missing)}" if missing else None


def compose_command() -> tuple[str, ...] | None:
    """``docker compose``, or the older ``docker-compose``."""
    return next((command for command in WAYS if _run(*command, "version").returncode == 0), None)


class ComposeProject:
    """One run of compose.yaml."""

    def __init__(self) -> None:
        command = compose_command()
        assert command is not None
        self._command = (*command, "--file", str(ROOT / "compose.yaml"))
        self._name = f"plexica-test-{secrets.token_hex(3)}"
        self._user, self._password = "plexica-test", secrets.token_hex(8)
        self._amqp_port, self._management_port = free_port(), free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")},
            "BIND_ADDRESS": "127.0.0.1",
            "COMPOSE_PROJECT_NAME": self._name,
            "IMAGE_TAG": "test",
            "RABBITMQ_DEFAULT_PASS": self._password,
            "RABBITMQ_DEFAULT_USER": self._user,
            "RABBITMQ_MANAGEMENT_PORT": str(self._management_port),
            "RABBITMQ_PORT": str(self._amqp_port),
        }

    @property
    def url(self) -> str:
        """RabbitMQ, from this machine."""
        return f"amqp://{self._user}:{self._password}@127.0.0.1:{self._amqp_port}/plexica"

    @property
    def management(self) -> Management:
        """RabbitMQ's management API, from this machine."""
        return Management(f"http://127.0.0.1:{self._management_port}", self._user, self._password)

    def up(self, *services: str) -> None:
        """Create and start what is not running, with what it depends on, and wait until all of it is healthy."""
        self.call("up", "--detach", *services)
        self.wait_healthy()

    def down(self, *, volumes: bool = False) -> None:
        """Stop and remove the containers, with their data if asked to."""
        self.call("down", "--timeout", str(STOP_SECONDS), *(["--volumes"] if volumes else []))

    def stop(self, service: str) -> None:
        """Stop a service's container."""
        self.call("stop", "--timeout", str(STOP_SECONDS), service)

    def restart(self, service: str) -> None:
        """Stop a service's container and start it again."""
        self.call("restart", "--timeout", str(STOP_SECONDS), service)

    def wait_healthy(self) -> None:
        """Wait until every container that exists and was not stopped is healthy."""
        try:
            eventually_blocking(self._all_healthy, HEALTHY_SECONDS, "not healthy in time")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.health()}\n{self.logs()}") from error

    def health(self) -> dict[str, str]:
        """What health checks say of each service whose container runs."""
        labels = ("com.docker.compose.project", "com.docker.compose.service")
        listed = _run("docker", "ps", "--quiet", "--filter", f"label={labels[0]}={self._name}").stdout.split()
        if not listed:
            return {}
        containers: list[dict[str, Any]] = json.loads(_run("docker", "inspect", *listed).stdout or "[]")
        return {one["Config"]["Labels"][labels[1]]: one["State"]["Health"]["Status"] for one in containers}

    def logs(self) -> str:
        """The end of every container's log."""
        return _run(*self._command, "logs", "--tail", "20", environment=self.environment).stdout

    def call(self, *arguments: str) -> str:
        """Call compose and return what it prints; `AssertionError` with its complaint if it fails."""
        done = _run(*self._command, *arguments, environment=self.environment)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}\n{self.logs()}"
        return done.stdout

    def _all_healthy(self) -> bool:
        found = self.health()
        return bool(found) and set(found.values()) == {"healthy"}


def _is_there(image: str) -> bool:
    return (
        _run("docker", "image", "inspect", image).returncode == 0
        or _run("docker", "pull", "--quiet", image).returncode == 0
    )


def _run(*command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=UP_SECONDS
        )
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))

"""A RabbitMQ node as a child process: own data, ports, cookie and epmd; nothing of an installed service is touched."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.ports import free_port
from tests.rabbitmq_settings import ERLANG_ARGUMENTS, PLUGINS
from tests.waiting import eventually_blocking

# Debian's command on PATH changes to the service's user; the scripts beside the library do not.
SERVER_PATHS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server")
STOP_TIMEOUT_SECONDS = 60.0
POLICY_RC_D = Path("/usr/sbin/policy-rc.d")
INSTALL_LOCK = Path(tempfile.gettempdir()) / "plexica-tests-install.lock"

CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
collect_statistics_interval = 1000
disk_free_limit.absolute = 50MB
log.console = true
log.file = false
"""


def server_path() -> str | None:
    """The RabbitMQ server of this machine, None if there is none."""
    known = next((path for path in SERVER_PATHS if Path(path).exists()), None)
    return known or shutil.which("rabbitmq-server")


def can_install() -> bool:
    """Whether the server can be installed here: root on Debian or a child of it."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install() -> None:
    """Install Debian's rabbitmq-server if there is none, not as a service; of several workers, one does it."""
    with INSTALL_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if server_path() is None:
            _install()


def _install() -> None:
    sys.stderr.write("tests: installing rabbitmq-server with apt-get; it is not started as a service\n")
    guards = not POLICY_RC_D.exists()
    if guards:
        # invoke-rc.d asks this file before it starts a freshly installed service; 101 forbids it.
        POLICY_RC_D.write_text("#!/bin/sh\nexit 101\n")
        POLICY_RC_D.chmod(0o755)
    try:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", "rabbitmq-server"]):
            subprocess.run(["apt-get", *arguments], check=True, env=environment, stdout=sys.stderr)  # noqa: S607
    finally:
        if guards:
            POLICY_RC_D.unlink()


class LocalServer:
    """The server process and its epmd, in a folder of their own."""

    def __init__(self, executable: str) -> None:
        self._executable = executable
        self.host = "127.0.0.1"
        self.amqp_port, self.management_port = free_port(), free_port()
        self._distribution_port, self._epmd_port = free_port(), free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="plexica-rabbitmq-"))
        self._log = self._folder / "server.log"
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._configure()

    def start(self) -> None:
        """Start the process; it takes some seconds until it answers."""
        if self._epmd is None:
            self._epmd = self._spawn(["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        self._server = self._spawn([self._executable])

    def stop(self) -> None:
        """Stop the node as an operator would; its data stay."""
        server, self._server = self._server, None
        if server is not None:
            server.terminate()
            server.wait(STOP_TIMEOUT_SECONDS)

    def discard(self) -> None:
        """Kill what runs and remove the data."""
        for process in (self._server, self._epmd):
            if process is not None and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._server = self._epmd = None
        eventually_blocking(self._removed, 10.0, f"{self._folder} cannot be removed")

    def describe(self) -> str:
        """The end of the server's log, for a failed start."""
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else "no log"

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._server is not None and self._server.poll() is None

    def _removed(self) -> bool:
        shutil.rmtree(self._folder, ignore_errors=True)
        return not self._folder.exists()

    def _configure(self) -> None:
        config = CONFIG.format(amqp=self.amqp_port, management=self.management_port)
        (self._folder / "rabbitmq.conf").write_text(config)
        (self._folder / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n")
        (self._folder / "advanced.config").write_text("[].\n")

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
        folder = self._folder
        return inherited | {
            "HOME": str(folder),  # the Erlang cookie is made there
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(folder / "conf.d"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"plexica-{self.amqp_port}@localhost",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
        }

"""The broker as a plugin: it is written with the runtime it serves, and registers with itself."""

import time
from collections.abc import Callable, Sequence
from importlib.resources import files

from broker.provisioning.provisioner import Provisioner
from contracts.grants import SILENCE_SECONDS, GrantList, VerificationKey
from contracts.names import SYSTEM_PLUGIN
from contracts.registry import HeartbeatAnswer, RegisterAnswer
from plugin_runtime import Plugin
from plugin_runtime.calls.caller import Caller

NEVER_SECONDS = 3600.0


def system_plugin() -> Plugin:
    """The reserved plugin ``plugin-system`` with the broker's services, without handlers yet."""
    return Plugin.from_manifest(str(files("broker") / "plugin.json"))


class SystemRegistrar:
    """Makes the broker's own queues; it holds no lease, speaks for no tenant, and is asked for by nobody.

    Args:
        provisioner: Makes the queues.
        plugin: The broker's own.
        instance: The name of this process.
        keys: By which grants are checked now.
    """

    def __init__(
        self,
        provisioner: Provisioner,
        plugin: Plugin,
        *,
        instance: str,
        keys: Callable[[], Sequence[VerificationKey]],
    ) -> None:
        self._keys = keys
        self._back_at = time.monotonic()
        self._provisioner = provisioner
        self._services = [(item.name, item.version) for item in plugin.manifest.api.services]
        self._instance = instance

    async def register(self) -> RegisterAnswer:
        """Declare and bind the broker's queues; from here on calls to it are kept."""
        self._back_at = time.monotonic()
        topology = self._provisioner.topology
        # Not bound: the broker calls nobody, and need not hear what it announces itself.
        replies, own = topology.instance_queues(SYSTEM_PLUGIN, self._instance)
        await self._provisioner.declare((replies, own))
        await self._provisioner.prepare_system(self._services)
        return RegisterAnswer(
            instance_id=self._instance,
            lease_seconds=NEVER_SECONDS,
            heartbeat_seconds=NEVER_SECONDS,
            reply_queue=replies.name,
            instance_queue=own.name,
            call_queues={name: topology.call_queue(name, version).name for name, version in self._services},
            subscription_queues={},
            tenants=(),
            views=(),
            revision=0,
            keys=tuple(self._keys()),
        )

    async def heartbeat(self, caller: Caller, load: int) -> HeartbeatAnswer | None:
        """There is no lease to renew."""
        del caller, load
        return None

    async def grants(self, caller: Caller, tenants: Sequence[str]) -> GrantList:
        """The keys, and no grants: the broker speaks for itself."""
        del caller, tenants
        return GrantList(grants=(), keys=tuple(self._keys()))

    @property
    def is_broker_silent(self) -> bool:
        """For a moment after it came back: nobody could renew a grant while it was away, nor has everybody yet."""
        return time.monotonic() - self._back_at < SILENCE_SECONDS

    async def deregister(self, caller: Caller) -> None:
        """The queues of its services stay: what is asked of the broker while it is away waits in them."""
        del caller

    async def withdraw(self) -> None:
        """Nothing: nobody knows of it."""

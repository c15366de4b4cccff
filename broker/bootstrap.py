"""The composition root: settings to storage, subjects, endpoints, and their life from start to stop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from broker.data.expiry import Expiry
from broker.guard import guard
from broker.lock import BrokerLock
from broker.outbox.relay import Relay
from broker.provisioning.provisioner import Provisioner
from broker.provisioning.reconcile import reconcile
from broker.settings import BrokerSettings
from broker.storage.database import Database
from broker.subjects import Subjects
from broker.system import SystemRegistrar, system_plugin
from contracts.errors import TransportError
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import Topology
from plugin_runtime import Runner, RuntimeSettings
from plugin_runtime.context import new_instance
from plugin_runtime.transport.address import Address
from plugin_runtime.transport.base import Transport

log = structlog.get_logger()

CONCURRENCY = 64
STOP_SECONDS = 10.0


class Broker:
    """A running broker. Make one with `running_broker`."""

    def __init__(
        self,
        settings: BrokerSettings,
        database: Database,
        transport: Transport,
        *,
        instance: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        topology = Topology(settings.prefix)
        self._database = database
        self._transport = transport
        self._provisioner = Provisioner(transport, topology)
        self.subjects = Subjects(database, self._provisioner, settings, now=now)
        self._relay = Relay(self.subjects.outbox, transport, topology)
        self._expiry = Expiry(self.subjects.data)
        vhost = Address.parse(settings.url).vhost
        self._presence = self.subjects.presence(transport, topology, vhost=vhost)
        self._lock = BrokerLock(self._provisioner.take_lock, lambda: transport.is_connected)
        self._runner = self._own_runner(settings, instance)

    def _own_runner(self, settings: BrokerSettings, instance: str) -> Runner:
        plugin = system_plugin()
        self.subjects.mount(plugin)
        guard(plugin, self._lock.check)
        return Runner(
            plugin.definition,
            self._transport,
            SystemRegistrar(self._provisioner, plugin, instance=instance, keys=lambda: self.subjects.grants.keys),
            RuntimeSettings(prefix=settings.prefix, concurrency=CONCURRENCY, grace_seconds=STOP_SECONDS),
            instance=instance,
            serves_all_tenants=True,
            owns_transport=False,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take the lock, make the topology fit the store, serve; in the reverse order at the end.

        Nothing is answered, relayed or judged while the lock is not surely held: see `broker.lock`.

        Raises:
            BrokerLockedError: Another broker runs on this bus.
        """
        await self._transport.open()
        await self._lock.acquire()
        await self._prepare()
        self._transport.on_reconnected(self._reconnected)
        # A `TransportError` of any task ends the broker: better none than one that does half its work.
        work: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "broker.lock": self._lock.keep,
            "outbox.relay": partial(self._relay.run, self._lock.held),
            "data.expiry": partial(self._expiry.run, self._lock.held),
            "registry.presence": partial(self._presence.run, self._lock.held),
            "grants.keys": partial(self.subjects.grants.run, self._lock.held),
            "registry.sweeper": partial(self.subjects.sweeper.run, self._lock.held),
        }
        async with _beside(work):
            async with self._runner:
                yield
            await self._clear_up()

    async def _clear_up(self) -> None:
        """Announce what was committed, and delete this instance's queues; what fails waits for the next start."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._relay.drained()
                await self._provisioner.remove_instance(SYSTEM_PLUGIN, self._runner.instance)
        except (TimeoutError, TransportError) as error:
            log.warning("broker.not_cleared_up", error=str(error) or "it took too long")

    async def drained(self) -> None:
        """Wait until every announcement made so far is confirmed by RabbitMQ."""
        await self._relay.drained()

    async def _prepare(self) -> None:
        await self.subjects.grants.prepare()
        await self._provisioner.declare_exchanges()
        await reconcile(self._database, self._provisioner)
        await self.subjects.heartbeats.listen(self._transport, is_ready=lambda: self._lock.is_held)
        await self._presence.listen()
        self._presence.expect_return()

    async def _reconnected(self) -> None:
        """RabbitMQ may have lost everything, and given the lock to another broker: repair once it is taken again."""
        self._lock.doubt()
        await self._lock.held()
        self.subjects.sweeper.grant_grace()
        try:
            await self._prepare()
        except TransportError as error:
            log.warning("topology.not_reconciled", error=str(error))  # the next reconnect does it


@asynccontextmanager
async def _beside(work: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]) -> AsyncIterator[None]:
    """Tasks that run beside the body, and end with it; one that fails cancels the body and is raised in a group.

    What the body raises travels on as it is: a task group of its own would put it in a group, too.
    """
    raised: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(), name=name) for name, run in work.items()]
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - raised again below
            raised = error
        finally:
            for task in tasks:
                task.cancel()
    if raised is not None:
        raise raised


@asynccontextmanager
async def running_broker(
    settings: BrokerSettings,
    transport: Transport,
    *,
    store: Path | None,
    instance: str | None = None,
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Broker]:
    """A broker for the length of the context.

    Args:
        settings: What the operator chose.
        transport: Its own connection; closed at the end.
        store: The SQLite file; in memory when None.
        instance: The name of this process among brokers; a new one when None.
        now: Seconds since the epoch.

    Raises:
        BrokerLockedError: Another broker runs on this bus, or on this store.
        StartError: The store or the address cannot be used.
    """
    database = await Database.open(store)
    try:
        broker = Broker(settings, database, transport, instance=instance or new_instance(), now=now)
        async with broker.running():
            yield broker
    finally:
        await transport.close()
        await database.close()

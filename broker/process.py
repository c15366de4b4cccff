"""The broker as a process: run it until a signal comes, or take a bus down."""

import asyncio

import structlog

from broker.bootstrap import running_broker
from broker.lock import check_heartbeat
from broker.provisioning import store as queue_store
from broker.provisioning.provisioner import Provisioner
from broker.settings import BrokerSettings
from broker.storage.database import Database
from broker.system import system_plugin
from contracts.errors import BrokerLockedError, StartError
from contracts.names import SYSTEM_PLUGIN
from contracts.topology import Topology
from plugin_runtime import configure_logs
from plugin_runtime.context import new_instance
from plugin_runtime.loops import run
from plugin_runtime.signals import run_until_signalled
from plugin_runtime.transport.address import Address
from plugin_runtime.transport.base import Transport
from plugin_runtime.transport.factory import make_transport

log = structlog.get_logger()


def amqp_transport(settings: BrokerSettings, instance: str, *, patient: bool = True) -> Transport:
    """The broker's connection to RabbitMQ.

    Raises:
        StartError: The address cannot be used, or its heartbeat is too short for the lock.
    """
    check_heartbeat(Address.parse(settings.url).heartbeat_seconds)
    return make_transport(
        settings.transport,
        settings.url,
        identity=SYSTEM_PLUGIN,
        instance=instance,
        insecure=settings.insecure,
        patient=patient,
    )


def run_broker(settings: BrokerSettings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        StartError: It cannot start as it is configured.
        BrokerLockedError: Another broker runs on this bus, or on this store.
    """
    configure_logs(settings.log_format)

    async def serve(serving: asyncio.Event, stopped: asyncio.Event) -> None:
        instance = new_instance()
        transport = amqp_transport(settings, instance)
        async with running_broker(settings, transport, store=settings.store, instance=instance):
            serving.set()
            url = Address.parse(settings.url).shown
            log.info("broker.started", url=url, prefix=settings.prefix, store=str(settings.store))
            await stopped.wait()
        log.info("broker.stopped")

    try:
        run(run_until_signalled(serve))
    except* BrokerLockedError as group:
        raise group.exceptions[0] from None


async def teardown(settings: BrokerSettings) -> int:
    """Delete the exchanges of a bus and every queue that its store knows; return how many queues there were.

    Raises:
        StartError: The store does not exist, so that nobody knows which queues there are.
        BrokerLockedError: A broker runs on the bus, or on the store.
        NotConnectedError: RabbitMQ is away.
    """
    if not settings.store.exists():
        raise StartError(
            f"store '{settings.store}' does not exist: only the store knows the queues of its bus; "
            "give the broker's own with --store or PLEXICA_STORE"
        )
    transport = amqp_transport(settings, new_instance(), patient=False)
    topology = Topology(settings.prefix)
    database = await Database.open(settings.store)
    try:
        await transport.open()
        provisioner = Provisioner(transport, topology)
        await provisioner.take_lock()
        system = [topology.system_queue(item.name, item.version).name for item in system_plugin().manifest.api.services]
        own = [*system, topology.presence_queue().name, topology.heartbeat_queue().name]
        return await provisioner.remove_everything([*await queue_store.known_queues(database), *own])
    finally:
        await transport.close()
        await database.close()

"""RabbitMQ made to fit the rows again: at the broker's start and after every reconnect."""

import structlog

from broker.provisioning import store
from broker.provisioning.plan import plan
from broker.provisioning.provisioner import Provisioner
from broker.storage.database import Database

_log = structlog.get_logger()


async def reconcile(database: Database, provisioner: Provisioner) -> int:
    """Declare and bind everything that the rows ask for, and return how many plugins that were.

    Idempotent. Exchanges, the broker's own queues and its lock are the provisioner's to prepare. Nothing is unbound.

    Raises:
        TransportError: RabbitMQ went away or refused; call it again.
    """
    provisioner.forget()
    plugins = await store.plugins(database)
    for plugin in plugins:
        # Within a transaction, so that no change of the same plugin comes in between.
        async with database.transaction() as transaction:
            await provisioner.apply(plan(provisioner.topology, await store.state_of(transaction, plugin)))
    _log.info("topology.reconciled", plugins=len(plugins))
    return len(plugins)

"""Watches of shared data: an instance's own queue bound to a tenant's changes, and noted so that it can be restored."""

from broker.provisioning import store
from broker.provisioning.provisioner import Provisioner
from broker.storage.database import Database
from contracts.errors import InvalidRequestError, PermissionDeniedError


class Watches:
    """What instances follow of shared data."""

    def __init__(self, database: Database, provisioner: Provisioner) -> None:
        self._database = database
        self._provisioner = provisioner

    async def watch(self, tenant: str, plugin_id: str, instance_id: str, pattern: str) -> None:
        """Have the instance hear changes whose ``{namespace}.{key}`` the pattern admits; returns once it is bound.

        Raises:
            InvalidRequestError: Nobody knows the instance: it must register again.
            PermissionDeniedError: The instance belongs to another plugin.
        """
        async with self._database.transaction() as transaction:
            owner = await store.owner_of_instance(transaction, instance_id)
            if owner is None:
                raise InvalidRequestError(f"instanceId: instance '{instance_id}' is not registered")
            if owner != plugin_id:
                raise PermissionDeniedError(f"Instance {instance_id} belongs to {owner}, not to {plugin_id}")
            await store.add_watch(transaction, instance_id, tenant, pattern)
            await self._provisioner.watch(tenant, plugin_id, instance_id, pattern)

    async def unwatch(self, tenant: str, plugin_id: str, instance_id: str, pattern: str) -> None:
        """Take that back; a watch that is not there is no error."""
        async with self._database.transaction() as transaction:
            if await store.owner_of_instance(transaction, instance_id) != plugin_id:
                return
            await store.remove_watch(transaction, instance_id, tenant, pattern)
            await self._provisioner.unwatch(tenant, plugin_id, instance_id, pattern)

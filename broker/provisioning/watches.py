"""Watches of shared data: an instance's own queue bound to a tenant's changes, and noted so that it can be restored."""

from broker.provisioning import store
from broker.provisioning.changes import Changes
from contracts.errors import InvalidRequestError, PermissionDeniedError


class Watches:
    """What instances follow of shared data; the plan says what is bound for that."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def watch(self, tenant: str, plugin_id: str, instance_id: str, pattern: str) -> None:
        """Have the instance hear changes whose ``{namespace}.{key}`` the pattern admits; returns once it is bound.

        Raises:
            InvalidRequestError: Nobody knows the instance: it must register again.
            PermissionDeniedError: The instance belongs to another plugin.
            MissingQueueError: The instance's queue is not there: it must register again.
        """
        async with self._changes.of(plugin_id) as transaction:
            owner = await store.owner_of_instance(transaction, instance_id)
            if owner is None:
                raise InvalidRequestError(f"instanceId: instance '{instance_id}' is not registered")
            if owner != plugin_id:
                raise PermissionDeniedError(f"Instance {instance_id} belongs to {owner}, not to {plugin_id}")
            await store.add_watch(transaction, instance_id, tenant, pattern)

    async def unwatch(self, tenant: str, plugin_id: str, instance_id: str, pattern: str) -> None:
        """Take that back; a watch that is not there is no error. What else hears the same pattern goes on."""
        async with self._changes.of(plugin_id) as transaction:
            if await store.owner_of_instance(transaction, instance_id) == plugin_id:
                await store.remove_watch(transaction, instance_id, tenant, pattern)

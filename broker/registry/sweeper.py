"""The task that notices silence: leases run out, instances are given up, queues of the gone go."""

import asyncio
import time
from collections.abc import Callable, MutableMapping
from typing import NoReturn

import structlog

from broker.lock import Ready, always
from broker.provisioning.changes import Changes
from broker.provisioning.provisioner import Provisioner
from broker.registry import leases, store, subscriptions
from broker.registry.departures import Departures
from broker.registry.registration import Terms
from broker.registry.roll import Roll
from broker.registry.service import Registry
from broker.registry.statuses import Statuses
from broker.registry.store import Instance
from broker.storage.database import Database, Transaction
from contracts.errors import PlexicaError

SWEEPS_PER_LEASE = 15
"""How often a lease is looked at while it runs: once a second for the default of 15 s."""

_log = structlog.get_logger()


class Sweeper:
    """Evaluates leases.

    Args:
        heard: When each instance was last heard, as the registry notes it.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        database: Database,
        roll: Roll,
        changes: Changes,
        provisioner: Provisioner,
        registry: Registry,
        departures: Departures,
        statuses: Statuses,
        heard: MutableMapping[str, float],
        terms: Terms,
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._roll = roll
        self._changes = changes
        self._provisioner = provisioner
        self._registry = registry
        self._departures = departures
        self._statuses = statuses
        self._heard = heard
        self._lease = terms.lease_seconds
        self._now = now
        self._grace_from = now()
        self._flushed = now()

    def grant_grace(self) -> None:
        """Count silence from now on: the broker, or its connection, was away and could hear nobody."""
        self._grace_from = self._now()

    async def run(self, ready: Ready = always) -> NoReturn:
        """Sweep until cancelled, whenever ``ready`` lets it; one that fails is logged, the next one tries again."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(self._lease / SWEEPS_PER_LEASE)
            await ready()
            if time.monotonic() - began > self._lease * leases.DEGRADED_AFTER / 2:
                self.grant_grace()  # this process stood still, or had to wait: nobody was heard meanwhile
            try:
                await self.sweep()
            except PlexicaError as error:
                _log.warning("sweep.failed", error=str(error), kind=type(error).__name__)

    async def sweep(self) -> None:
        """Judge every lease once, and clear up after those who went; what fails for one plugin stops no other."""
        await self._changes.repair()
        now = self._now()
        silent: dict[str, list[Instance]] = {}
        for instance in await self._roll.instances():
            if self._judge(instance, now) != instance.state or self._is_forgotten(instance, now):
                silent.setdefault(instance.plugin_id, []).append(instance)
        for plugin, instances in sorted(silent.items()):
            try:
                await self._age(plugin, instances, now)
            except PlexicaError as error:
                _log.warning("sweep.plugin_failed", plugin=plugin, error=str(error))
        await self._remove_retired(now)
        if now - self._flushed >= self._lease:
            await self._flush(now)

    def _silence(self, instance: Instance, now: float) -> float:
        return leases.silence(self._heard.get(instance.id, instance.last_heard), self._grace_from, now)

    def _judge(self, instance: Instance, now: float) -> str:
        return leases.aged(instance.state, instance.reported, self._silence(instance, now), self._lease)

    def _is_forgotten(self, instance: Instance, now: float) -> bool:
        return leases.is_forgotten(instance.state, self._silence(instance, now))

    async def _age(self, plugin: str, instances: list[Instance], now: float) -> None:
        async with self._departures.of(plugin) as transaction:
            for instance in instances:
                await self._write(transaction, instance, now)

    async def _write(self, transaction: Transaction, instance: Instance, now: float) -> None:
        # A heartbeat may have come in since; what the transaction sees counts.
        current = await store.instance(transaction, instance.id)
        if current is None:
            return
        silent = self._silence(current, now)
        if leases.is_forgotten(current.state, silent):
            await self._forget(transaction, current)
            return
        state = leases.aged(current.state, current.reported, silent, self._lease)
        last_heard = self._heard.get(current.id, current.last_heard)
        await store.set_state(transaction, current.id, current.reported, state, last_heard)
        if state != current.state:
            _log.warning("instance.silent", plugin=current.plugin_id, instance=current.id, state=state, seconds=silent)

    async def _forget(self, transaction: Transaction, instance: Instance) -> None:
        served = await store.served(transaction, instance.id)
        await store.remove_instance(transaction, instance.id)
        await subscriptions.settle(transaction, instance.plugin_id)
        still = await store.served_by(transaction, instance.plugin_id)
        for service in served:
            if service not in still:
                await self._statuses.deregistered(transaction, service, instance.id)
        transaction.on_commit(lambda: self._registry.forget(instance, self._now()))
        _log.info("instance.forgotten", plugin=instance.plugin_id, instance=instance.id)

    async def _remove_retired(self, now: float) -> None:
        retired = self._registry.retired
        for instance, (plugin, due) in sorted(retired.items()):
            if due > now:
                continue
            try:
                await self._provisioner.remove_instance(plugin, instance)
            except PlexicaError as error:
                _log.warning("sweep.queues_not_removed", plugin=plugin, instance=instance, error=str(error))
            else:
                retired.pop(instance, None)

    async def _flush(self, now: float) -> None:
        """Write down when instances were heard, so that a restarted broker can say so."""
        heard = dict(self._heard)
        async with self._database.transaction() as transaction:
            await store.set_heard(transaction, heard)
        self._roll.doubt()
        self._flushed = now

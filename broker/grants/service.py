"""Grants: who gets one, and the keys that sign them."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn

import structlog

from broker.dependencies import store as dependencies
from broker.grants import store
from broker.grants.permissions import Permissions
from broker.grants.rules import SigningKey, forgotten_before, is_worn
from broker.lock import Ready, always
from broker.registry.announcements import Announcements
from broker.storage.database import Database, Source
from broker.tenants.store import Tenants
from contracts.errors import PermissionDeniedError, PlexicaError
from contracts.grants import TENANTS_UP_FRONT, GrantList, GrantToken, VerificationKey
from contracts.names import OPERATOR_PLUGIN

LOOK_SECONDS = 3600.0
"""How often the age of the key is looked at."""

_log = structlog.get_logger()


class Grants:
    """Signs grants. Of no use before `prepare`.

    Args:
        operators: Plugins that get a grant for every tenant, besides the command line.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        *,
        database: Database,
        tenants: Tenants,
        permissions: Permissions,
        announcements: Announcements,
        operators: Collection[str] = (),
        now: Callable[[], float],
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._permissions = permissions
        self._announcements = announcements
        self._operators = frozenset({*operators, OPERATOR_PLUGIN})
        self._now = now
        self._signing: SigningKey | None = None
        self.keys: tuple[VerificationKey, ...] = ()
        """Every key that still counts, the newest first."""

    @property
    def signing(self) -> SigningKey:
        """The key that signs; `RuntimeError` before `prepare`."""
        if self._signing is None:
            raise RuntimeError("there is no signing key yet: prepare() makes or reads it")
        return self._signing

    async def prepare(self) -> None:
        """Read the keys; make one at the first start; replace one that is too old, and announce that. Idempotent."""
        now = self._now()
        async with self._database.transaction() as transaction:
            before = await store.signing_key(transaction)
            signing = before if before and not is_worn(before.created_at, now) else SigningKey.generate(now)
            if signing is not before:
                await store.replace_signing_key(transaction, signing)
            gone = await store.forget_keys(transaction, forgotten_before(now))
            keys = await store.public_keys(transaction)
            if gone or (before and signing is not before):
                await self._announcements.keys(transaction, keys)
            transaction.on_commit(lambda: self._use(signing, keys))
        if signing is not before:
            _log.info("grants.key_made", key=signing.id, keys=len(keys))

    async def run(self, ready: Ready = always) -> NoReturn:
        """Replace the key when it is too old, until cancelled; what fails is logged and tried at the next look."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await ready()
            try:
                await self.prepare()
            except PlexicaError as error:
                _log.warning("grants.keys_not_looked_at", error=str(error))

    async def issue(self, caller: str, tenants: Iterable[str]) -> GrantList:
        """Grants for the caller, one for each tenant, and the keys; all or nothing.

        Raises:
            TenantNotFoundError: There is no such tenant; details: ``tenant``.
            PermissionDeniedError: The caller is not installed there and is no operator; details: ``tenant``, ``hint``.
        """
        async with self._database.transaction() as transaction:
            grants = [await self._grant(transaction, caller, tenant) for tenant in dict.fromkeys(tenants)]
        return GrantList(grants=tuple(grants), keys=self.keys)

    async def up_front(self, source: Source, plugin: str) -> tuple[GrantToken, ...]:
        """Grants for the first tenants in which a plugin is installed: what it gets when it registers."""
        tenants = await dependencies.tenants_of(source, plugin)
        return tuple([await self._grant(source, plugin, tenant) for tenant in tenants[:TENANTS_UP_FRONT]])

    async def _grant(self, source: Source, plugin: str, tenant: str) -> GrantToken:
        await self._tenants.require(source, tenant)
        is_installed = bool(await dependencies.installations_of(source, plugin, tenant))
        if not is_installed and plugin not in self._operators:
            raise PermissionDeniedError(
                f"Plugin {plugin} is not installed in tenant {tenant}: plexica install {plugin} -t {tenant}",
                missing=plugin,
                tenant=tenant,
                hint=f"have an operator install it there: dependencies.install('{plugin}'); if it administers itself, "
                "name it in PLEXICA_OPERATORS of the broker",
            )
        granted = await self._permissions.of(source, tenant, plugin)
        return self.signing.issue(plugin, tenant, granted, self._now(), admin=plugin == OPERATOR_PLUGIN)

    def _use(self, signing: SigningKey, keys: tuple[VerificationKey, ...]) -> None:
        self._signing, self.keys = signing, keys

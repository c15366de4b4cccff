"""The grants of this instance: a token for each tenant, and the keys by which those of others are checked.

first use ──► ask (one question, however many wait) ──► held
half-life, with the heartbeat ──► ask for all that were used lately, in one question
nearly over at a use ──► ask, for a moment; the broker is away: the old one goes on (receivers judge it by the
outage grace)
(un)installed, upgraded ──► dropped; the next use asks anew
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from contracts.errors import (
    CallTimeoutError,
    CodedError,
    OutcomeUnknownError,
    OverloadedError,
    PermissionDeniedError,
    ServiceNotFoundError,
    ServiceUnavailableError,
    TenantNotFoundError,
    TransportError,
)
from contracts.grants import MOST_TENANTS, GrantList, GrantToken
from contracts.registry import RegisterAnswer
from plugin_runtime.context import Deadline
from plugin_runtime.keys import KeyRing

log = structlog.get_logger()

ASK_SECONDS = 5.0
ASK_AGAIN_SECONDS = 0.1
URGENT_SHARE = 0.1
"""With less than this share of its life left, a grant is renewed before it is used."""

PATIENCE_SECONDS = 1.0
"""How long a use waits for that renewal; then the old grant goes, and no other use waits before the broker answers."""

PAUSE_SECONDS = 5.0
"""How often at most keys are asked for."""

KEPT_SECONDS = 3600.0
"""A grant that was not used for so long is not renewed any more."""

BROKER_AWAY = (
    CallTimeoutError,
    OutcomeUnknownError,
    OverloadedError,
    ServiceNotFoundError,
    ServiceUnavailableError,
    TimeoutError,
    TransportError,
)
"""How it shows that the broker does not answer now; it may soon."""

AskBroker = Callable[[Sequence[str]], Awaitable[GrantList]]
"""Asks the broker for grants in these tenants, or, for none, for the keys alone."""


@dataclass(slots=True)
class _Held:
    token: str
    renew_at: float
    urgent_at: float
    used_at: float = -math.inf


class Grants:
    """Holds one instance's grants.

    Args:
        ask: How the broker is asked.
        keys: Kept up to date with what the broker says.
        clock: Monotonic seconds.
    """

    def __init__(self, ask: AskBroker, keys: KeyRing, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._keys = keys
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_broker_away = False
        self._keys_asked_at = -math.inf
        self._keys_asking = asyncio.Lock()

    def begin(self, answer: RegisterAnswer) -> None:
        """Begin again from a registration; of what was held, grants in tenants that it still names are kept."""
        self._keys.replace(answer.keys)
        self._is_broker_away = False
        kept = {tenant: held for tenant, held in self._held.items() if tenant in answer.heard_tenants}
        self._held = kept
        for grant in answer.grants:
            self._hold(grant)

    def drop(self, tenant: str) -> None:
        """Forget a grant; what is being asked just now is not waited for by anybody who comes later."""
        self._held.pop(tenant, None)
        self._asking.pop(tenant, None)

    async def token(self, tenant: str, deadline: Deadline) -> str:
        """The token that a message in the tenant must carry; no message is sent for one that is held.

        Args:
            tenant: In which the message speaks.
            deadline: Until when the broker may be waited for, when none is held.

        Raises:
            TenantNotFoundError: There is no such tenant.
            PermissionDeniedError: This plugin is not installed there.
            CallTimeoutError: None is held, and the broker did not answer by the deadline.
        """
        held = self._held.get(tenant)
        if held is None:
            return await self._first(tenant, deadline)
        held.used_at = now = self._clock()
        if now >= held.urgent_at:
            await self.renewed(tenant, deadline)
            held = self._held.get(tenant, held)
            held.used_at = now
        return held.token

    async def renewed(self, tenant: str, deadline: Deadline) -> bool:
        """Ask for another grant now, for a moment.

        Returns:
            Whether there is one; else the old one stays, and nobody waits again before the broker answers: the
            heartbeat tells, and renews.

        Raises:
            TenantNotFoundError: There is no such tenant any more.
            PermissionDeniedError: This plugin is not installed there any more.
        """
        if self._is_broker_away:
            return False
        try:
            async with asyncio.timeout(min(PATIENCE_SECONDS, deadline.remaining_seconds / 2)):
                await asyncio.shield(self._ask_once(tenant))
        except BROKER_AWAY as error:
            self._is_broker_away = True
            log.warning("grants.stale_used", tenant=tenant, reason=str(error) or "no answer yet")
            return False
        return True

    async def renew(self) -> None:
        """Ask for every grant past its half-life that was used lately, in one question; what fails waits."""
        now = self._clock()
        due = [
            tenant for tenant, held in self._held.items() if now >= held.renew_at and now - held.used_at < KEPT_SECONDS
        ]
        for start in range(0, len(due), MOST_TENANTS):
            try:
                await self._renew(due[start : start + MOST_TENANTS])
            except (*BROKER_AWAY, CodedError) as error:
                log.warning("grants.not_renewed", tenants=len(due), reason=str(error) or "no answer yet")
                return

    async def refresh_keys(self) -> bool:
        """Ask for the keys, at most every 5 s; whoever comes meanwhile waits for that answer too.

        Returns:
            Whether this very call asked, and was answered: then a key that is not among them is nobody's. An answer
            to an earlier question may be older than the key.
        """
        async with self._keys_asking:
            if self._clock() - self._keys_asked_at < PAUSE_SECONDS:
                return False
            are_told = await self._ask_for_keys()
            self._keys_asked_at = self._clock()
            return are_told

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask_for_keys(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._take(await self._ask(()))
        except (*BROKER_AWAY, CodedError) as error:
            log.warning("grants.keys_not_refreshed", reason=str(error) or "no answer yet")
            return False
        return True

    async def _first(self, tenant: str, deadline: Deadline) -> str:
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                while (held := self._held.get(tenant)) is None:
                    try:
                        await asyncio.shield(self._ask_once(tenant))
                    except BROKER_AWAY:
                        await asyncio.sleep(ASK_AGAIN_SECONDS)
                held.used_at = self._clock()
                return held.token
        except (TenantNotFoundError, PermissionDeniedError) as error:
            # One error for all who waited, with the way of the question to the broker: each shows its own way only.
            raise error.with_traceback(None) from None
        except TimeoutError as error:
            raise CallTimeoutError(f"the broker gave no grant for tenant {tenant} in time") from error

    async def _renew(self, tenants: Iterable[str]) -> None:
        asked = list(tenants)
        while asked:
            try:
                self._take(await self._ask(asked))
            except (TenantNotFoundError, PermissionDeniedError) as error:
                # All or nothing: without the tenant that it was refused for, the others are granted.
                refused = error.details.get("tenant")
                if refused not in asked:
                    raise
                asked.remove(refused)
                self.drop(refused)
                log.info("grants.ended", tenant=refused, reason=error.message)
            else:
                return

    def _ask_once(self, tenant: str) -> "asyncio.Task[None]":
        """The question, or the one that is under way already: many wait for one answer."""
        task = self._asking.get(tenant)
        if task is None:
            task = asyncio.create_task(self._question(tenant), name=f"grant {tenant}")
            self._asking[tenant] = task
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._asked(tenant, done))
        return task

    def _asked(self, tenant: str, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._asking.get(tenant) is task:
            del self._asking[tenant]
        if not task.cancelled():
            task.exception()  # an error that nobody waited for any more is no news

    async def _question(self, tenant: str) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self._ask((tenant,))
        except (TenantNotFoundError, PermissionDeniedError):
            self._held.pop(tenant, None)
            raise
        if not answer.grants:
            raise PermissionDeniedError(f"the broker gives this plugin no grant for tenant {tenant}", tenant=tenant)
        if self._asking.get(tenant) is asyncio.current_task():
            self._take(answer)

    def _take(self, answer: GrantList) -> None:
        self._is_broker_away = False
        if answer.keys:
            self._keys.replace(answer.keys)
        for grant in answer.grants:
            self._hold(grant)

    def _hold(self, grant: GrantToken) -> None:
        before = self._held.get(grant.tenant)
        now = self._clock()
        self._held[grant.tenant] = _Held(
            grant.token,
            renew_at=now + grant.expires_in / 2,
            urgent_at=now + grant.expires_in * (1 - URGENT_SHARE),
            used_at=before.used_at if before else -math.inf,
        )

"""Where a call goes: from what is known of the registry, else by asking the broker once; never by polling."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Protocol

import structlog

from contracts.errors import (
    CallTimeoutError,
    CodedError,
    InvalidRequestError,
    ServiceUnavailableError,
    TransportError,
    UndeclaredDependencyError,
)
from contracts.manifest import Dependency, PluginManifest
from contracts.names import SYSTEM_PLUGIN, check_service_name
from contracts.registry import (
    DATA_SERVICE,
    DEPENDENCIES_SERVICE,
    HEARTBEAT_SERVICE,
    PLUGINS_SERVICE,
    REGISTRY_SERVICE,
    SYSTEM_VERSION,
    TENANTS_SERVICE,
    ServiceRecord,
    TenantView,
)
from contracts.versions import check_range
from plugin_runtime.calls.target import Target
from plugin_runtime.context import Deadline
from plugin_runtime.declarations import ANY_VERSION, Allowance, Declarations
from plugin_runtime.registry_view import Known, RegistryView

log = structlog.get_logger()

SYSTEM_SERVICES = frozenset(
    {DATA_SERVICE, DEPENDENCIES_SERVICE, HEARTBEAT_SERVICE, PLUGINS_SERVICE, REGISTRY_SERVICE, TENANTS_SERVICE}
)
REMEMBERED = 1024
"""So many services and ranges are known to be well written."""

ASK_SECONDS = 5.0
PATIENCE_SECONDS = 1.0
"""How long a caller that knows something waits for the broker to say whether it is still true."""

TRUST_STALE_SECONDS = 5.0
"""How long what was true last is used without asking, once the broker did not answer."""

HINT_SECONDS = 0.3
"""How long a call that is refused anyway waits for the version that its error can name."""

NO_ANSWER = (TransportError, TimeoutError, CallTimeoutError, ServiceUnavailableError)
"""How a question ends while the broker is away."""


class AskBroker(Protocol):
    """How the broker is asked for all installed versions of a service in a tenant."""

    async def __call__(self, tenant: str, service: str, deadline: Deadline) -> TenantView: ...  # noqa: D102


class ServiceDiscovery:
    """Finds the version that a call goes to: from the view, else by asking the broker once."""

    def __init__(self, manifest: PluginManifest, view: RegistryView, ask: AskBroker) -> None:
        self._declared = Declarations(manifest.id, manifest.api.dependencies)
        self._view = view
        self._ask = ask
        self._asking: dict[tuple[str, str], asyncio.Task[Known]] = {}
        self._away_until = 0.0

    def declare(self, dependencies: Iterable[Dependency]) -> None:
        """From now on the plugin declares these dependencies and no others."""
        self._declared.replace(dependencies)

    async def find(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> Target:
        """The highest healthy version that declaration and range admit; no message is sent for what is known.

        Args:
            tenant: For whom.
            service: The service's name.
            range_: An npm range that narrows what the plugin declares; None narrows nothing.
            deadline: How long the broker may be waited for.

        Raises:
            InvalidRequestError: The name is no service's, or the range is none.
            UndeclaredDependencyError: The plugin declares no dependency on it; details: the ``line`` to add.
            ServiceNotFoundError: It is not installed there, or nobody serves it now.
            VersionMismatchError: It is there, but no version is in the ranges.
            TenantNotFoundError: There is no such tenant.
        """
        if service in SYSTEM_SERVICES:
            return Target(SYSTEM_PLUGIN, service, SYSTEM_VERSION)
        _check(service, range_)
        allowed = self._declared.of(service)
        if allowed is None:
            raise await self._undeclared(tenant, service, deadline)
        ranges = () if allowed.range_ == "*" else (allowed.range_,)
        if range_ not in (None, "*", allowed.range_):
            ranges = (*ranges, range_)
        known = self._view.get(tenant, service)
        if known is None or not known.is_fresh:
            known = await self._known(tenant, service, deadline)
        return known.target(service, *ranges, plugin_range=allowed.plugin_range)

    async def catch_up(self, tenant: str, failed: Target, deadline: Deadline) -> bool:
        """Learn what is true now, after a call to ``failed`` found nobody there.

        Where an announcement has told since, nothing is asked.

        Returns:
            False when the broker does not answer: nothing new is known.
        """
        known = self._view.get(tenant, failed.service)
        if known is not None and known.is_fresh and not known.serves(failed.version):
            return True
        if self._is_away:
            return False
        self._view.mark_stale(tenant=tenant, service=failed.service)
        try:
            # More patience than elsewhere: without an answer the call has failed.
            await self._asked(tenant, failed.service, deadline, ASK_SECONDS)
        except NO_ANSWER:
            if known is not None:
                known.trusted_until = time.monotonic() + TRUST_STALE_SECONDS
            return False
        except CodedError:
            return True  # what the broker has against it is told by the next `find`
        return True

    async def record(self, tenant: str, service: str, range_: str | None, deadline: Deadline) -> ServiceRecord:
        """What is known of the version that is highest and healthy in a range; anybody may look.

        Args:
            tenant: For whom.
            service: The service's name; it need not be declared.
            range_: An npm range; when None the one that the plugin declares, any version when it declares none.
            deadline: How long the broker may be waited for.

        Raises:
            InvalidRequestError: The name is no service's, or the range is none.
            ServiceNotFoundError: It is not installed there, or nobody serves it now.
            VersionMismatchError: It is there, but no version is in the range.
            TenantNotFoundError: There is no such tenant.
        """
        _check(service, range_)
        allowed = self._declared.of(service) or ANY_VERSION if range_ is None else Allowance(range_)
        known = await self._known(tenant, service, deadline)
        return known.choose(service, allowed.range_, plugin_range=allowed.plugin_range)

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in self._asking.values():
            task.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def _undeclared(self, tenant: str, service: str, deadline: Deadline) -> UndeclaredDependencyError:
        """The refusal of a call; the broker is asked for the version to declare, and nobody waits for that twice."""
        known = self._view.get(tenant, service)
        if known is None and not self._is_away and (tenant, service) not in self._asking:
            with suppress(*NO_ANSWER, CodedError):
                known = await self._asked(tenant, service, deadline, HINT_SECONDS)
        return self._declared.refusal(service, known.records if known else ())

    async def _known(self, tenant: str, service: str, deadline: Deadline) -> Known:
        known = self._view.get(tenant, service)
        if known is None:
            return await self._first(tenant, service, deadline)
        if not known.is_fresh and time.monotonic() >= known.trusted_until:
            return await self._refreshed(tenant, service, known, deadline)
        return known

    async def _first(self, tenant: str, service: str, deadline: Deadline) -> Known:
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                return await asyncio.shield(self._ask_once(tenant, service))
        except TimeoutError as error:
            raise CallTimeoutError(f"the broker did not say who offers {service} in {tenant}") from error

    async def _refreshed(self, tenant: str, service: str, stale: Known, deadline: Deadline) -> Known:
        """What the broker says now; while it is away, what was true last: plugins go on calling each other."""
        try:
            return await self._asked(tenant, service, deadline, PATIENCE_SECONDS)
        except NO_ANSWER as error:
            stale.trusted_until = time.monotonic() + TRUST_STALE_SECONDS
            log.warning("registry.stale_used", tenant=tenant, service=service, error=str(error) or "no answer yet")
            return stale

    async def _asked(self, tenant: str, service: str, deadline: Deadline, patience_seconds: float) -> Known:
        """The broker's answer within half of what is left, at most the patience; `NO_ANSWER` when none comes."""
        async with asyncio.timeout(min(patience_seconds, deadline.remaining_seconds / 2)):
            return await asyncio.shield(self._ask_once(tenant, service))

    @property
    def _is_away(self) -> bool:
        """Whether the broker gave no answer lately, and none since."""
        return time.monotonic() < self._away_until

    def _ask_once(self, tenant: str, service: str) -> "asyncio.Task[Known]":
        """The question, or the one that is under way already: many callers wait for one answer."""
        key = (tenant, service)
        if key not in self._asking:
            task = asyncio.create_task(self._question(tenant, service), name=f"discover {service}")
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
            task.add_done_callback(_look)
        return self._asking[key]

    async def _question(self, tenant: str, service: str) -> Known:
        try:
            view = await self._ask(tenant, service, Deadline.after(ASK_SECONDS))
        except NO_ANSWER:
            self._away_until = time.monotonic() + TRUST_STALE_SECONDS
            raise
        self._away_until = 0.0
        return self._view.put(tenant, service, view.services, revision=view.revision)


@lru_cache(REMEMBERED)
def _check(service: str, range_: str | None) -> None:
    """Raise `InvalidRequestError` for what is no service name or no range."""
    try:
        check_service_name(service)
        if range_ is not None:
            check_range(range_)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error


def _look(task: "asyncio.Task[Known]") -> None:
    """An error that nobody waited for any more is no news."""
    if not task.cancelled():
        task.exception()

"""Shared data of one tenant: set, get, delete, keys, watch."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import quote

from contracts.errors import CodedError, InvalidRequestError, TransportError
from contracts.events import DataChange
from contracts.names import check_key, check_namespace, check_pattern
from contracts.registry import DATA_SERVICE
from contracts.shared_data import DeleteAnswer, GetAnswer, KeyPage, SetAnswer, SharedValue
from plugin_runtime.calls.caller import Caller
from plugin_runtime.context import Context
from plugin_runtime.data.watch import Watch, Watchers

UNWATCH_SECONDS = 2.0

Default = TypeVar("Default")


class DataClient:
    """Values that the plugins of a tenant share, kept by the broker.

    Every operation waits for the broker's answer; while the broker is away it ends with `CallTimeoutError`. Namespaces
    and keys are words of ``[A-Za-z0-9_-]`` joined by dots; anything else is `InvalidRequestError` and sends nothing.
    """

    def __init__(
        self, caller: Caller, tenant: str, *, context: Context, instance: str, watchers: Watchers[DataChange]
    ) -> None:
        self._caller = caller
        self._tenant = tenant
        self._context = context
        self._instance = instance
        self._watchers = watchers

    async def set(
        self, namespace: str, key: str, value: Any, *, ttl: float | None = None, if_revision: int | None = None
    ) -> int:
        """Write a value: stored durably, and announced to every subscriber, when this returns its revision.

        Args:
            namespace: E.g. ``crm.cache``.
            key: E.g. ``contact_count``.
            value: Any JSON value of at most 1 MiB, null included.
            ttl: Seconds it lives; for ever when None, unless the namespace says otherwise.
            if_revision: Write only if the key is at this revision; 0: only if there is none.

        Raises:
            NotOwnerError: The namespace's owner does not let this plugin write.
            StaleRevisionError: The key is at another revision than ``if_revision``.
            QuotaExceededError: The value is too large.
            InvalidRequestError: A name, the value or the ttl breaks a rule.
        """
        body = {"value": value, "ttl": ttl, "ifRevision": if_revision}
        return SetAnswer.parse(await self._ask("PUT", _path(namespace, key), body=body)).revision

    async def get(self, namespace: str, key: str, default: Default | None = None) -> Any | Default | None:
        """The value, or ``default`` where there is none or it expired; `entry` tells null from absence."""
        found = await self.entry(namespace, key)
        return default if found is None else found.value

    async def entry(self, namespace: str, key: str) -> SharedValue | None:
        """The value with owner, revision and expiry; None where there is none or it expired.

        Raises:
            NotOwnerError: The namespace's owner does not let this plugin read.
        """
        return GetAnswer.parse(await self._ask("GET", _path(namespace, key))).entry

    async def delete(self, namespace: str, key: str) -> bool:
        """Delete a value, and announce that; False where there was none."""
        return DeleteAnswer.parse(await self._ask("DELETE", _path(namespace, key))).deleted

    async def keys(self, namespace: str, *, owner: str | None = None, prefix: str | None = None) -> list[str]:
        """All keys in ascending order, without expired ones; of one last writer, or with one beginning, if asked."""
        found: list[str] = []
        after: str | None = None
        while True:
            query = {"ownerId": owner, "prefix": prefix, "after": after}
            page = KeyPage.parse(await self._ask("GET", _path(namespace), query=query))
            found += page.keys
            after = page.next
            if after is None:
                return found

    @asynccontextmanager
    async def watch(self, pattern: str) -> AsyncIterator[Watch[DataChange]]:
        """Hear every change whose ``{namespace}.{key}`` the pattern admits, from the moment the context is entered.

        ``async with acme.data.watch("crm.cache.*") as changes: async for change in changes: ...``. At most once: what
        happens while this instance is not connected is not heard; `Plugin.on_data` is the durable way.
        """
        try:
            check_pattern(pattern)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from error
        body = {"instanceId": self._instance, "pattern": pattern}
        key = f"{self._tenant}.{pattern}"
        with self._watchers.watching(key) as changes:
            async with self._watchers.turn:
                await self._ask("PUT", "/watch", body=body)
            try:
                yield changes
            finally:
                async with self._watchers.turn:
                    # Best effort: what cannot be taken back now goes with the instance.
                    with suppress(CodedError, TransportError):
                        if not self._watchers.is_shared(key):
                            await self._ask("PUT", "/unwatch", body=body, timeout=UNWATCH_SECONDS)

    async def _ask(
        self, method: str, path: str, *, body: Any = None, query: Any = None, timeout: float | None = None
    ) -> Any:
        return await self._caller.ask(
            self._tenant, DATA_SERVICE, method, path, body=body, query=query, timeout=timeout, context=self._context
        )


def _path(namespace: str, key: str | None = None) -> str:
    try:
        check_namespace(namespace)
        if key is None:
            return f"/data/{quote(namespace)}"
        check_key(key)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    return f"/data/{quote(namespace)}/{quote(key)}"

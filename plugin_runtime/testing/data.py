"""Shared data of a fake tenant: a dictionary."""

from typing import Any

from contracts.codec import decode, encode
from contracts.errors import StaleRevisionError
from contracts.names import check_key, check_namespace
from contracts.shared_data import SharedValue
from plugin_runtime.calls.caller import NO_CONTEXT, Caller
from plugin_runtime.data.client import DataClient
from plugin_runtime.data.watch import Watchers


class FakeData(DataClient):
    """Values of one tenant in memory: revisions are counted, but nothing expires, and nobody owns or hears anything."""

    def __init__(self, caller: Caller, tenant: str, *, writer: str, instance: str) -> None:
        super().__init__(caller, tenant, context=NO_CONTEXT, instance=instance, watchers=Watchers())
        self._writer = writer
        self._values: dict[tuple[str, str], SharedValue] = {}
        self._revisions: dict[str, int] = {}

    async def set(
        self, namespace: str, key: str, value: Any, *, ttl: float | None = None, if_revision: int | None = None
    ) -> int:
        """Keep a value; ``ttl`` is kept with it and does nothing."""
        found = self._values.get((namespace, key))
        revision = found.revision if found else 0
        if if_revision not in {None, revision}:
            raise StaleRevisionError(f"expected {if_revision}, found {revision}", expected=if_revision, found=revision)
        self._revisions[namespace] = self._revisions.get(namespace, 0) + 1
        self._values[check_namespace(namespace), check_key(key)] = SharedValue(
            namespace=namespace,
            key=key,
            value=decode(encode(value)),
            owner_id=self._writer,
            revision=self._revisions[namespace],
            expires_in=ttl,
        )
        return self._revisions[namespace]

    async def entry(self, namespace: str, key: str) -> SharedValue | None:
        """What was kept."""
        return self._values.get((namespace, key))

    async def delete(self, namespace: str, key: str) -> bool:
        """Forget a value."""
        return self._values.pop((namespace, key), None) is not None

    async def keys(self, namespace: str, *, owner: str | None = None, prefix: str | None = None) -> list[str]:
        """The keys in ascending order."""
        return sorted(
            key
            for (place, key), value in self._values.items()
            if place == namespace and value.owner_id == (owner or value.owner_id) and key.startswith(prefix or "")
        )

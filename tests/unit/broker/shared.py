"""Shared data on a store in memory, with time and rules in the test's hand."""

import json
from dataclasses import dataclass, field
from typing import Any

from broker.data.rules import NamespaceRule
from broker.data.service import SharedData
from broker.outbox.store import Outbox
from broker.storage.database import Database, Source
from broker.tenants.store import Tenants
from contracts.manifest import SharedNamespace
from contracts.shared_data import SetRequest

TENANT = "acme-corp"
NAMESPACE = "crm.cache"
CRM = "plugin-crm"
ANALYTICS = "plugin-analytics"


@dataclass
class FakeNamespaces:
    """Declared namespaces of plugin-crm."""

    declared: dict[str, SharedNamespace] = field(default_factory=dict)

    def declare(self, **fields: Any) -> None:
        namespace = SharedNamespace.parse({"namespace": NAMESPACE, **fields})
        self.declared[namespace.namespace] = namespace

    async def rules_for(self, source: Source, tenant: str, namespace: str) -> NamespaceRule | None:
        del source, tenant
        found = self.declared.get(namespace)
        return None if found is None else NamespaceRule(CRM, found)


class Bench:
    """`SharedData`, and what a test turns and reads around it."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self.database = database
        self.outbox = outbox
        self.tenants = Tenants(database)
        self.namespaces = FakeNamespaces()
        self.time = 1000.0
        self.data = SharedData(database, outbox, self.tenants, self.namespaces, now=lambda: self.time)

    async def set(self, key: str, value: Any = 1, *, caller: str = CRM, **fields: Any) -> int:
        return await self.data.set(TENANT, NAMESPACE, key, SetRequest(value=value, **fields), caller=caller)

    async def get(self, key: str) -> Any:
        """The value; KeyError if there is none."""
        entry = await self.data.get(TENANT, NAMESPACE, key, caller=CRM)
        if entry is None:
            raise KeyError(key)
        return entry.value

    async def announced(self) -> list[dict[str, Any]]:
        """Every announcement that waits, as JSON."""
        return [json.loads(entry.body) for entry in await self.outbox.pending(1000)]

    async def told(self) -> list[tuple[str, str, int]]:
        """Kind, key and revision of every announcement that waits."""
        return [(change["kind"], change["key"], change["revision"]) for change in await self.announced()]

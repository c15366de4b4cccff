"""What the services ``system.data`` and ``system.tenants`` check and translate before they delegate."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from broker.administration import Administration
from broker.data import endpoints as data_endpoints
from broker.storage.database import Database
from broker.system import system_plugin
from broker.tenants import endpoints as tenant_endpoints
from broker.tenants.store import Tenants
from contracts.calls import Query, QueryValue
from contracts.errors import InvalidRequestError, NotOwnerError, TenantNotFoundError
from contracts.registry import DATA_SERVICE, TENANTS_SERVICE
from plugin_runtime.marks import ServiceDefinition
from tests.unit.broker.shared import ANALYTICS, CRM, NAMESPACE, TENANT, Bench

Ask = Callable[..., Awaitable[Any]]


class FakeWatches:
    """Remembers who watches what."""

    def __init__(self) -> None:
        self.bound: list[tuple[str, ...]] = []

    async def watch(self, *place: str) -> None:
        self.bound.append(place)

    async def unwatch(self, *place: str) -> None:
        self.bound.remove(place)


def asking(service: ServiceDefinition, *, tenant: str) -> Ask:
    """Call a handler by method and path template, as the runtime would."""
    handlers = {(mark.method, mark.path): mark.handler for mark in service.endpoints}

    async def ask(
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, QueryValue | list[QueryValue] | None] | None = None,
        caller: str = CRM,
        to: str = tenant,
        **params: str,
    ) -> Any:
        call = SimpleNamespace(tenant=SimpleNamespace(id=to), caller=caller, body=body, query=Query.of(query))
        answer = await handlers[method, path](call, **params)
        return answer.to_json() if hasattr(answer, "to_json") else answer

    return ask


@pytest.fixture
def watches() -> FakeWatches:
    return FakeWatches()


@pytest.fixture
def data(bench: Bench, watches: FakeWatches) -> Ask:
    plugin = system_plugin()
    data_endpoints.mount(plugin, bench.data, watches)
    plugin.service(DATA_SERVICE).check_complete()
    return asking(plugin.service(DATA_SERVICE), tenant=TENANT)


@pytest.fixture
def tenant_calls(tenants: Tenants) -> Ask:
    plugin = system_plugin()
    tenant_endpoints.mount(plugin, tenants, Administration(is_open=True))
    plugin.service(TENANTS_SERVICE).check_complete()
    return asking(plugin.service(TENANTS_SERVICE), tenant="_")


VALUE = "/data/:namespace/:key"
SPACE = "/data/:namespace"
A = {"namespace": NAMESPACE, "key": "a"}


async def test_a_value_is_set_read_and_deleted(data: Ask) -> None:
    assert await data("PUT", VALUE, {"value": None, "ttl": 60}, **A) == {"revision": 1}
    assert (await data("GET", VALUE, **A))["entry"]["expiresIn"] == 60.0
    assert await data("DELETE", VALUE, **A) == {"deleted": True}
    assert await data("GET", VALUE, **A) == {"entry": None}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (None, "the body must be a JSON object"),
        ({}, "value: is required"),
        ({"value": 1, "ttl": 0}, "ttl: must be greater than 0"),
        ({"value": 1, "ttl": "60"}, "ttl: must be a number"),
        ({"value": 1, "ifRevision": -1}, "ifRevision: must be at least 0"),
    ],
)
async def test_a_wrong_body_is_refused_by_the_name_of_its_field(data: Ask, body: Any, field: str) -> None:
    with pytest.raises(InvalidRequestError, match=field):
        await data("PUT", VALUE, body, **A)


@pytest.mark.parametrize(
    ("params", "field"),
    [({"namespace": "a b", "key": "a"}, "namespace: "), ({"namespace": "a", "key": "a*"}, "key: ")],
)
async def test_a_wrong_name_in_the_path_is_refused_by_its_field(data: Ask, params: dict[str, str], field: str) -> None:
    for method in ("GET", "DELETE"):
        with pytest.raises(InvalidRequestError, match=f"^{field}"):
            await data(method, VALUE, **params)


async def test_keys_are_listed_by_page_and_owner(data: Ask) -> None:
    for key, caller in (("a", CRM), ("b", ANALYTICS), ("c", CRM)):
        await data("PUT", VALUE, {"value": 1}, caller=caller, namespace=NAMESPACE, key=key)
    page = await data("GET", SPACE, query={"limit": 1, "ownerId": CRM}, namespace=NAMESPACE)
    last = await data("GET", SPACE, query={"after": page["next"], "ownerId": CRM}, namespace=NAMESPACE)

    assert page == {"keys": ["a"], "next": "a"}
    assert last == {"keys": ["c"], "next": None}


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "many"}, {"ownerId": "crm"}])
async def test_a_wrong_query_is_refused_by_its_field(data: Ask, query: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{next(iter(query))}"):
        await data("GET", SPACE, query=query, namespace=NAMESPACE)


async def test_clearing_answers_how_many_went(data: Ask) -> None:
    await data("PUT", VALUE, {"value": 1}, **A)

    assert await data("DELETE", SPACE, query={"ownerId": ANALYTICS}, namespace=NAMESPACE) == {"count": 0}
    assert await data("DELETE", SPACE, namespace=NAMESPACE) == {"count": 1}


async def test_a_watch_is_bound_for_the_caller_and_taken_back(data: Ask, watches: FakeWatches) -> None:
    body = {"instanceId": "one", "pattern": "crm.cache.*"}
    await data("PUT", "/watch", body, caller=ANALYTICS)
    bound = list(watches.bound)
    await data("PUT", "/unwatch", body, caller=ANALYTICS)

    assert bound == [(TENANT, ANALYTICS, "one", "crm.cache.*")]
    assert watches.bound == []


async def test_a_watch_on_what_may_not_be_read_is_not_bound(data: Ask, bench: Bench, watches: FakeWatches) -> None:
    bench.namespaces.declare(read="owner")

    with pytest.raises(NotOwnerError):
        await data("PUT", "/watch", {"instanceId": "one", "pattern": "crm.cache.#"}, caller=ANALYTICS)
    assert watches.bound == []


async def test_a_watch_with_a_wrong_instance_is_refused(data: Ask) -> None:
    with pytest.raises(InvalidRequestError, match=r"^instanceId: "):
        await data("PUT", "/watch", {"instanceId": "One!", "pattern": "#"})


async def test_data_needs_a_tenant(data: Ask) -> None:
    with pytest.raises(InvalidRequestError, match=r"^Tenant ID required$"):
        await data("GET", VALUE, to="_", **A)
    with pytest.raises(TenantNotFoundError):
        await data("GET", VALUE, to="nobody", **A)


async def test_tenants_are_created_listed_and_removed(tenant_calls: Ask, database: Database) -> None:
    created = [await tenant_calls("PUT", "/tenants", {"id": "acme-corp"}) for _ in range(2)]
    listed = await tenant_calls("GET", "/tenants")
    removed = await tenant_calls("DELETE", "/tenants/:id", query={"force": True}, id="acme-corp")

    assert [answer["created"] for answer in created] == [True, False]
    assert (listed, removed) == ({"tenants": ["acme-corp"]}, {"id": "acme-corp", "removed": True})
    assert await database.rows("SELECT * FROM tenants") == []


async def test_a_tenant_is_refused_by_the_field_that_is_wrong(tenant_calls: Ask) -> None:
    with pytest.raises(InvalidRequestError, match=r"^id: tenant 'Acme' is not valid"):
        await tenant_calls("PUT", "/tenants", {"id": "Acme"})
    with pytest.raises(InvalidRequestError, match=r"^id: tenant '_' is not valid"):
        await tenant_calls("DELETE", "/tenants/:id", id="_")
    with pytest.raises(InvalidRequestError, match=r"^force must be true or false"):
        await tenant_calls("DELETE", "/tenants/:id", query={"force": "yes"}, id="acme-corp")

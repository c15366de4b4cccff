"""Every operation of the broker: a valid request to each, and what its parts must be.

`tests/unit/broker/test_bad_input.py` holds this list against the broker's own manifest: an endpoint that is not
described here fails it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.dependencies import (
    CreateTenantRequest,
    DeclareRequest,
    InstallRequest,
    PublishManifestRequest,
    UninstallRequest,
    UpgradeRequest,
)
from contracts.grants import GrantRequest
from contracts.names import NO_TENANT, check_key, check_namespace, check_plugin_id, check_service_name, check_tenant
from contracts.registry import PROTOCOL, DeregisterRequest, Heartbeat, RegisterRequest, ServiceRegistration
from contracts.shared_data import SetRequest, WatchRequest
from contracts.versions import check_range
from contracts.wire import WireModel

TENANT, SPARE_TENANT = "acme-corp", "techco"
CRM, ANALYTICS, SPARE = "plugin-crm", "plugin-analytics", "plugin-spare"
INSTANCE = "crm-one"

Check = Callable[[str], object]


@dataclass(frozen=True)
class Request:
    """A call as its bytes say it, right or wrong."""

    caller: Any
    tenant: Any
    service: str
    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, list[Any]] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An endpoint, a valid request to it, and the model of its body."""

    service: str
    method: str
    path: str
    caller: str = CRM
    tenant: str = NO_TENANT
    params: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    model: type[WireModel] | None = None

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"

    def request(self) -> Request:
        query = {key: [value] for key, value in self.query.items()}
        return Request(
            self.caller, self.tenant, self.service, self.method, self.path, dict(self.params), query, self.body
        )


def _matching(pattern: str) -> Check:
    def check(value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise ValueError(value)

    return check


_FLAG = _matching("true|false")
PARAMS: dict[str, Check] = {
    "id": check_tenant,
    "name": check_service_name,
    "plugin": check_plugin_id,
    "namespace": check_namespace,
    "key": check_key,
}
QUERY: dict[str, Check] = {
    "after": lambda value: value and check_key(value),
    "force": _FLAG,
    "limit": _matching("[1-9][0-9]{0,2}|1000"),
    "ownerId": check_plugin_id,
    "page": _matching("[1-9][0-9]{0,5}|1000000"),
    "pluginId": check_plugin_id,
    "prefix": _matching(r"[A-Za-z0-9_.-]{0,120}"),
    "range": check_range,
    "recursive": _FLAG,
    "version": check_range,
    "status": _matching("HEALTHY|DEGRADED|UNAVAILABLE"),
}


def manifest(name: str, version: str = "1.0.0", **api: Any) -> dict[str, Any]:
    """A manifest in which every kind of field stands."""
    return {
        "id": f"plugin-{name}",
        "name": name,
        "version": version,
        "description": "Made for tests",
        "metadata": {"team": ["a", {"b": None}]},
        "api": {
            "services": [
                {
                    "name": f"{name}.contacts",
                    "version": "1.0.0",
                    "baseUrl": "http://localhost:3100",
                    "metadata": {"rateLimit": 100},
                    "endpoints": [
                        {
                            "method": "GET",
                            "path": "/contacts/:id",
                            "permissions": [f"plugin.{name}.contacts.read"],
                            "metadata": {"cacheTTL": 1.5, "rateLimit": 10},
                            "response": {"type": "object"},
                        }
                    ],
                }
            ],
            "events": {"publishes": [f"{name}.events.#"], "subscribes": [{"pattern": "crm.events.*", "schema": {}}]},
            "sharedData": [{"namespace": f"{name}.cache", "write": "owner", "read": [ANALYTICS], "ttl": 60}],
            **api,
        },
    }


NEEDS_CRM = {
    "pluginId": CRM,
    "serviceName": "crm.contacts",
    "version": "^1.0.0",
    "required": True,
    "reason": "Contacts",
    "permissions": ["plugin.crm.contacts.read"],
}
CRM_MANIFEST = manifest("crm")
ANALYTICS_MANIFEST = manifest("analytics", dependencies=[NEEDS_CRM])
SPARE_MANIFEST = manifest("spare")
REGISTRATION = {
    "protocol": PROTOCOL,
    "runtimeVersion": "0.1.0",
    "instanceId": "analytics-one",
    "manifest": ANALYTICS_MANIFEST,
    "subscriptions": [{"name": "welcome", "source": "events", "pattern": "crm.events.#", "broadcast": False}],
    "tenants": [TENANT],
    "strict": True,
}
WATCH = {"instanceId": INSTANCE, "pattern": "crm.cache.#"}
VALUE = {"namespace": "crm.cache", "key": "contact_count"}


def _operation(service: str, method: str, path: str, **fields: Any) -> Operation:
    return Operation(service=f"system.{service}", method=method, path=path, **fields)


OPERATIONS = (
    _operation("registry", "PUT", "/register", caller=ANALYTICS, body=REGISTRATION, model=RegisterRequest),
    _operation(
        "registry",
        "PUT",
        "/heartbeat",
        body={"instanceId": INSTANCE, "status": "HEALTHY", "load": 3},
        model=Heartbeat,
    ),
    _operation(
        "registry",
        "POST",
        "/deregister",
        body={"instanceId": INSTANCE, "serviceName": "crm.contacts", "all": False},
        model=DeregisterRequest,
    ),
    _operation(
        "registry",
        "PUT",
        "/services",
        body={
            "instanceId": INSTANCE,
            "serviceName": "crm.deals",
            "version": "1.2.0",
            "endpoints": [{"method": "GET", "path": "/deals"}],
            "metadata": {"rateLimit": 5},
            "baseUrl": "https://crm.example/api",
        },
        model=ServiceRegistration,
    ),
    _operation(
        "registry",
        "GET",
        "/services",
        tenant=TENANT,
        query={"pluginId": CRM, "status": "HEALTHY", "page": "1", "limit": "10"},
    ),
    _operation(
        "registry",
        "GET",
        "/services/:name",
        tenant=TENANT,
        params={"name": "crm.contacts"},
        query={"range": "^1.0.0"},
    ),
    _operation("registry", "GET", "/services/:name/versions", tenant=TENANT, params={"name": "crm.contacts"}),
    _operation("registry", "PUT", "/grants", body={"tenants": [TENANT]}, model=GrantRequest),
    _operation("tenants", "PUT", "/tenants", body={"id": "startup-io"}, model=CreateTenantRequest),
    _operation("tenants", "GET", "/tenants"),
    _operation("tenants", "DELETE", "/tenants/:id", params={"id": SPARE_TENANT}, query={"force": "false"}),
    _operation(
        "plugins",
        "PUT",
        "/plugins",
        body={"manifest": manifest("invoicing", dependencies=[NEEDS_CRM])},
        model=PublishManifestRequest,
    ),
    _operation("plugins", "GET", "/plugins"),
    _operation(
        "plugins", "DELETE", "/plugins/:plugin", params={"plugin": SPARE}, query={"version": "1.0.0", "force": "false"}
    ),
    _operation("plugins", "GET", "/manifests/:plugin", params={"plugin": CRM}, query={"version": "^1.0.0"}),
    _operation(
        "dependencies",
        "PUT",
        "/dependencies",
        caller=ANALYTICS,
        body={"version": "1.0.0", "dependencies": [NEEDS_CRM, {"pluginId": SPARE, "version": "*", "required": False}]},
        model=DeclareRequest,
    ),
    _operation(
        "dependencies", "GET", "/dependencies/:plugin", params={"plugin": ANALYTICS}, query={"recursive": "true"}
    ),
    _operation("dependencies", "GET", "/dependents/:plugin", params={"plugin": CRM}, query={"recursive": "false"}),
    _operation("dependencies", "GET", "/resolve/:plugin", tenant=TENANT, params={"plugin": ANALYTICS}),
    _operation("dependencies", "GET", "/can-uninstall/:plugin", tenant=TENANT, params={"plugin": CRM}),
    _operation(
        "dependencies",
        "PUT",
        "/install",
        tenant=TENANT,
        body={"pluginId": SPARE, "version": "^1.0.0", "force": False},
        model=InstallRequest,
    ),
    _operation(
        "dependencies",
        "PUT",
        "/upgrade",
        tenant=TENANT,
        body={"pluginId": CRM, "version": "^1.0.0", "force": False},
        model=UpgradeRequest,
    ),
    _operation("dependencies", "GET", "/what-if/:plugin", params={"plugin": CRM}, query={"version": "^1.0.0"}),
    _operation(
        "dependencies",
        "POST",
        "/uninstall",
        tenant=TENANT,
        body={"pluginId": ANALYTICS, "version": "^1.0.0", "force": False, "removeData": True},
        model=UninstallRequest,
    ),
    _operation("dependencies", "GET", "/installations", tenant=TENANT),
    _operation(
        "data",
        "GET",
        "/data/:namespace",
        tenant=TENANT,
        params={"namespace": "crm.cache"},
        query={"ownerId": CRM, "prefix": "contact", "after": "a", "limit": "10"},
    ),
    _operation(
        "data", "DELETE", "/data/:namespace", tenant=TENANT, params={"namespace": "crm.cache"}, query={"ownerId": CRM}
    ),
    _operation("data", "GET", "/data/:namespace/:key", tenant=TENANT, params=VALUE),
    _operation(
        "data",
        "PUT",
        "/data/:namespace/:key",
        tenant=TENANT,
        params=VALUE,
        body={"value": {"count": 1250, "tags": ["a"]}, "ttl": 60.5, "ifRevision": 1},
        model=SetRequest,
    ),
    _operation("data", "DELETE", "/data/:namespace/:key", tenant=TENANT, params=VALUE),
    _operation("data", "PUT", "/watch", tenant=TENANT, body=WATCH, model=WatchRequest),
    _operation("data", "PUT", "/unwatch", tenant=TENANT, body=WATCH, model=WatchRequest),
)

PREPARATION = (
    *(_operation("tenants", "PUT", "/tenants", body={"id": name}) for name in (TENANT, SPARE_TENANT)),
    *(
        _operation("plugins", "PUT", "/plugins", body={"manifest": found})
        for found in (CRM_MANIFEST, ANALYTICS_MANIFEST, SPARE_MANIFEST)
    ),
    *(
        _operation("dependencies", "PUT", "/install", tenant=TENANT, body={"pluginId": name})
        for name in (CRM, ANALYTICS)
    ),
    _operation(
        "registry",
        "PUT",
        "/register",
        body={**REGISTRATION, "instanceId": INSTANCE, "manifest": CRM_MANIFEST, "subscriptions": []},
    ),
    _operation("data", "PUT", "/data/:namespace/:key", tenant=TENANT, params=VALUE, body={"value": 1}),
)
"""What must have happened before, so that every operation's own request is answered."""


def is_valid(operation: Operation, request: Request) -> bool:
    """Whether every part of a request has its form; whether it can be done is another question."""
    query = {name: values for name, values in request.query.items() if values != []}  # an empty list is no value
    if set(query) - set(operation.query):
        return False
    texts = [(PARAMS[name], value) for name, value in request.params.items()]
    try:
        texts += [(QUERY[name], value) for name, (value,) in query.items()]
        for check, value in texts:
            check(value)
        if operation.model is not None:
            operation.model.parse(request.body)
    except Exception:  # noqa: BLE001 - whatever the reason, it is no valid request
        return False
    return operation.model is not None or request.body is None

"""Things that are valid as they come; a test overrides the one field it is about."""

from typing import Any

from contracts.calls import CallRequest
from contracts.manifest import PluginManifest

Json = dict[str, Any]


def endpoint_json(**overrides: Any) -> Json:
    return {"method": "GET", "path": "/contacts"} | overrides


def service_json(**overrides: Any) -> Json:
    return {"name": "crm.contacts", "version": "1.0.0", "endpoints": [endpoint_json()]} | overrides


def dependency_json(**overrides: Any) -> Json:
    return {"pluginId": "plugin-billing", "serviceName": "billing.invoices", "version": "^1.0.0"} | overrides


def manifest_json(*, api: Json | None = None, **overrides: Any) -> Json:
    default: Json = {
        "id": "plugin-crm",
        "name": "CRM",
        "version": "1.0.0",
        "api": {"services": [service_json()]} if api is None else api,
    }
    return default | overrides


def make_manifest(*, api: Json | None = None, **overrides: Any) -> PluginManifest:
    return PluginManifest.load(manifest_json(api=api, **overrides))


def make_request(**overrides: Any) -> CallRequest:
    default: Json = {"method": "GET", "path": "/contacts"}
    return CallRequest(**(default | overrides))

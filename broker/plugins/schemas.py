"""The JSON Schemas of endpoints in two manifests of one version: an instance says more than the author's file. Pure.

An instance registers its manifest with the schemas of its handlers, which ``plugin.json`` rarely holds. That file,
registered again, is no other content, and takes nothing away.
"""

from contracts.manifest import Endpoint, PluginManifest, Service

KEYS = ("request", "response", "query")


def completed(manifest: PluginManifest, known: PluginManifest) -> PluginManifest:
    """The manifest with the schemas of the known one wherever it says none itself."""
    services = tuple(_completed(service, known.service(service.name)) for service in manifest.api.services)
    return manifest.model_copy(update={"api": manifest.api.model_copy(update={"services": services})})


def differ_in_schemas_only(one: PluginManifest, other: PluginManifest) -> bool:
    """Whether two manifests are the same but for schemas that only one of them says."""
    return completed(one, other) == completed(other, one)


def _completed(service: Service, known: Service | None) -> Service:
    if known is None or known.version != service.version:
        return service
    there = {(item.method, item.path): item for item in known.endpoints}
    endpoints = tuple(_with_schemas(item, there.get((item.method, item.path))) for item in service.endpoints)
    return service.model_copy(update={"endpoints": endpoints})


def _with_schemas(endpoint: Endpoint, known: Endpoint | None) -> Endpoint:
    missing = {} if known is None else {key: getattr(known, key) for key in KEYS if getattr(endpoint, key) is None}
    return endpoint.model_copy(update=missing) if missing else endpoint

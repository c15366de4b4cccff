"""What a registration asks for: queues in RabbitMQ, and services as their manifest has them. Pure."""

from typing import Any

from contracts.errors import InvalidRequestError
from contracts.manifest import PluginManifest, Service
from contracts.registry import RegisterRequest, ServiceRegistration
from contracts.topology import Queue, Topology


def queues_of(topology: Topology, request: RegisterRequest) -> list[Queue]:
    """The queues that a registration needs."""
    manifest = request.manifest
    found = [*topology.instance_queues(manifest.id, request.instance_id)]
    found += [topology.call_queue(service.name, service.version) for service in manifest.api.services]
    durable = [item for item in request.subscriptions if not item.broadcast]
    for subscription in durable:
        found += topology.subscription_queues(manifest.id, subscription.name)
    if durable:
        found.append(topology.dead_queue(manifest.id))
    return found


def offered(manifest: PluginManifest | None, request: ServiceRegistration) -> Service:
    """The service that a registration means: its own words first, the manifest's for the rest."""
    listed = manifest.service(request.service_name) if manifest else None
    if listed is None and (request.version is None or not request.endpoints):
        raise InvalidRequestError(
            f"serviceName: the manifest does not list {request.service_name}, so version and endpoints are required"
        )
    if listed is not None and request.version not in (None, listed.version):
        raise InvalidRequestError(
            f"version: the manifest has {request.service_name}@{listed.version}, found {request.version}"
        )
    document: dict[str, Any] = {"name": request.service_name, "version": request.version}
    document = listed.to_json() if listed else document
    if request.endpoints:
        document["endpoints"] = [endpoint.to_json() for endpoint in request.endpoints]
    if request.metadata is not None:
        document["metadata"] = request.metadata.to_json()
    if request.base_url is not None:
        document["baseUrl"] = request.base_url
    return Service.parse(document)

"""``plugin.json``: what a plugin offers, needs, publishes and shares, and every error with its dotted path."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from contracts.codec import encode
from contracts.errors import InvalidManifestError
from contracts.limits import (
    DEEPEST_BODY,
    LARGEST_MANIFEST_BYTES,
    LONGEST_TTL_SECONDS,
    MOST_CALLS_PER_MINUTE,
    MOST_CONCURRENT_CALLS,
    MOST_DEPENDENCIES,
    MOST_ENDPOINTS,
    MOST_NAMESPACES,
    MOST_PATTERNS,
    MOST_SERVICES,
    is_deeper,
)
from contracts.manifest_document import in_document_order, read_document
from contracts.manifest_rules import broken_rules, cache_rule
from contracts.manifest_values import Access, BaseUrl, Description, Name, Path, Permissions, Reason
from contracts.wire import (
    Many,
    Namespace,
    Pattern,
    PluginId,
    ServiceName,
    ServiceVersion,
    Version,
    VersionRange,
    WireModel,
    broken,
    explain,
)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Metadata(WireModel):
    """Limits of an endpoint or of all endpoints of a service; an endpoint's own win. Other keys are kept.

    Attributes:
        rate_limit: Calls per minute for each pair of tenant and caller.
        cache_ttl: Seconds for which a caller may keep the answer of a GET.
        concurrency: How many calls an instance runs at once; of a service, for each of its endpoints.
    """

    model_config = ConfigDict(extra="allow")

    rate_limit: Annotated[int, Field(gt=0, le=MOST_CALLS_PER_MINUTE)] | None = None
    cache_ttl: Annotated[float, Field(ge=0, le=LONGEST_TTL_SECONDS, allow_inf_nan=False)] | None = Field(
        default=None, alias="cacheTTL"
    )
    concurrency: Annotated[int, Field(gt=0, le=MOST_CONCURRENT_CALLS)] | None = None


class Endpoint(WireModel):
    """One method and path of a service.

    Attributes:
        method: Which of the five methods.
        path: ``/`` and segments, each a literal or a ``:param``, e.g. ``/contacts/:id``.
        description: What it does, for people.
        permissions: What a caller must have been granted, each ``plugin.{name}.{resource}.{action}``.
        metadata: Limits of this endpoint; they win over the service's.
        request: JSON Schema of the body; when missing, that of the handler's ``body`` is registered.
        response: JSON Schema of the answer; when missing, that of the handler's return annotation is.
        query: JSON Schema of the query as an object; when missing, that of the handler's ``query`` is.
    """

    method: Method
    path: Path
    description: Description | None = None
    permissions: Permissions = ()
    metadata: Metadata = Metadata()
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    query: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _cache_reads_only(self) -> Self:
        if problems := list(cache_rule({"method": self.method, "metadata": {"cacheTTL": self.metadata.cache_ttl}})):
            raise broken(problems)
        return self


class Service(WireModel):
    """An API that the plugin offers, at a version of its own.

    Attributes:
        name: The plugin's own name, one dot and the resource, e.g. ``crm.contacts``.
        version: Strict semver without build metadata; callers choose by it.
        description: What it does, for people.
        base_url: Where the same API is found over HTTP, kept for an HTTP bridge.
        endpoints: What can be called; at least one.
        metadata: Limits of all its endpoints.
    """

    name: ServiceName
    version: ServiceVersion
    description: Description | None = None
    base_url: BaseUrl | None = None
    endpoints: Annotated[Many[Endpoint], Field(min_length=1, max_length=MOST_ENDPOINTS)]
    metadata: Metadata = Metadata()

    @property
    def id(self) -> str:
        """``{name}@{version}``, e.g. ``crm.contacts@1.0.0``."""
        return f"{self.name}@{self.version}"


class Dependency(WireModel):
    """A plugin, or one of its services, that must (or may) be there.

    Attributes:
        plugin_id: The plugin that is needed.
        service_name: The one of its services that is called; the same plugin may stand once per service.
        version: An npm range; held against the service's version when ``service_name`` is given, else the plugin's.
        required: Without it the plugin does not work; an optional one may be missing.
        reason: Why it is needed, for people.
        permissions: What the plugin asks to be granted, each ``plugin.{name}.{resource}.{action}``.
    """

    plugin_id: PluginId
    service_name: ServiceName | None = None
    version: VersionRange
    required: bool = True
    reason: Reason | None = None
    permissions: Permissions = ()


class EventDeclaration(WireModel):
    """Events the plugin publishes or hears.

    Attributes:
        pattern: Words joined by dots, ``*`` for one word, ``#`` for any number, e.g. ``crm.events.#``.
        description: When it is published, for people.
        payload_schema: JSON Schema of the payload.
    """

    pattern: Pattern
    description: Description | None = None
    payload_schema: dict[str, Any] | None = Field(default=None, alias="schema")


def event_entry(value: object) -> object:
    """A pattern that stands alone is the declaration of that pattern."""
    return {"pattern": value} if isinstance(value, str) else value


EventEntry = Annotated[EventDeclaration, BeforeValidator(event_entry)]
EventEntries = Annotated[Many[EventEntry], Field(max_length=MOST_PATTERNS)]


class Events(WireModel):
    """What the plugin publishes and hears.

    Attributes:
        publishes: Each begins with the plugin's own name.
        subscribes: Events of any plugin.
    """

    publishes: EventEntries = ()
    subscribes: EventEntries = ()


class SharedNamespace(WireModel):
    """A namespace of shared data that the plugin owns.

    Attributes:
        namespace: Words joined by dots, the first the plugin's own name, e.g. ``crm.cache``.
        write: Who may write: ``owner``, ``any`` plugin of the tenant, or a list of plugin ids.
        read: Who may read, likewise.
        ttl: Seconds a value lives when its writer says nothing.
        value_schema: JSON Schema of the values.
    """

    namespace: Namespace
    write: Access = "any"
    read: Access = "any"
    ttl: Annotated[float, Field(gt=0, le=LONGEST_TTL_SECONDS, allow_inf_nan=False)] | None = None
    value_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class Api(WireModel):
    """The part of a manifest that the bus acts on; unknown keys are errors here.

    Attributes:
        services: What the plugin offers.
        dependencies: What it needs; a service that is not named here cannot be called.
        events: What it publishes and hears.
        shared_data: Namespaces of shared data that it owns.
    """

    services: Annotated[Many[Service], Field(max_length=MOST_SERVICES)] = ()
    dependencies: Annotated[Many[Dependency], Field(max_length=MOST_DEPENDENCIES)] = ()
    events: Events = Events()
    shared_data: Annotated[Many[SharedNamespace], Field(max_length=MOST_NAMESPACES)] = ()


class PluginManifest(WireModel):
    """A plugin's manifest. Keys outside ``api`` that the bus does not know are kept as they are.

    Attributes:
        id: ``plugin-`` and lower-case words joined by single hyphens.
        name: What people call it.
        version: Strict semver 2.0.0.
        description: What it does, for people.
        api: What it offers, needs, publishes and shares.
    """

    model_config = ConfigDict(extra="allow")

    id: PluginId
    name: Name
    version: Version
    description: Description | None = None
    api: Api = Api()

    @classmethod
    def load(cls, source: str | FilePath | Mapping[str, Any]) -> Self:
        """Read and check a manifest.

        Args:
            source: The path of a ``plugin.json``, or its decoded content.

        Raises:
            InvalidManifestError: The file cannot be read, is not JSON, or breaks rules; ``.errors`` lists every
                broken rule with its dotted path.
        """
        label, document, problems = read_document(source)
        if is_deeper(document, DEEPEST_BODY):
            raise InvalidManifestError(label, [("", f"must not be nested deeper than {DEEPEST_BODY} levels")])
        manifest = None
        try:
            manifest = cls.model_validate(document, by_alias=True, by_name=False)
        except ValidationError as error:
            problems += explain(error, cls)
        problems += [found for found in broken_rules(document) if found not in problems]
        if manifest is None or problems:
            raise InvalidManifestError(label, in_document_order(problems, document))
        return manifest

    def service(self, name: str) -> Service | None:
        """The service of that name, or None."""
        return next((service for service in self.api.services if service.name == name), None)

    @model_validator(mode="after")
    def _keeps_rules(self) -> Self:
        document = self.to_json()
        if problems := list(broken_rules(document)):
            raise broken(problems)
        size = len(encode(document))
        if size > LARGEST_MANIFEST_BYTES:
            raise ValueError(f"the manifest has {size} bytes of JSON, at most {LARGEST_MANIFEST_BYTES} are allowed")
        return self

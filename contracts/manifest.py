"""``plugin.json``: what a plugin offers, needs, publishes and shares, and every error with its dotted path."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from contracts.errors import InvalidManifestError
from contracts.manifest_rules import broken_rules
from contracts.names import check_plugin_id
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
    describe,
    explain,
)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

_PERMISSION = re.compile(r"plugin(?:\.[a-z0-9]+(?:-[a-z0-9]+)*){3}\Z")
_PARAM = re.compile(r":[A-Za-z_][A-Za-z0-9_]*\Z")
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=@%-]+\Z")


def check_path(value: str) -> str:
    """An endpoint's path: ``/`` and segments, each a literal or a ``:param``; `ValueError` says what is wrong."""
    if not value.startswith("/"):
        raise ValueError(f"path '{value}' must start with '/'")
    segments = value[1:].split("/") if value != "/" else []
    names = [segment for segment in segments if segment.startswith(":")]
    if len(set(names)) != len(names):
        raise ValueError(f"path '{value}' names a parameter twice")
    for segment in segments:
        if unquote(segment) in {".", ".."}:
            raise ValueError(f"path '{value}' has a dot segment")
        if not _PARAM.match(segment) and (segment.startswith(":") or not _LITERAL.match(segment)):
            raise ValueError(f"path '{value}': segment '{segment}' is neither a literal nor a ':param'")
    return value


def check_base_url(value: str) -> str:
    """An absolute HTTP address, kept for an HTTP bridge; `ValueError` says what is expected."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"baseUrl '{value}' is not a URL: expected e.g. 'http://localhost:3100'")
    return value


def check_permission(value: str) -> str:
    """A permission: ``plugin.{name}.{resource}.{action}``."""
    if not _PERMISSION.match(value):
        raise ValueError(
            f"permission '{value}' is not valid: expected 'plugin.{{name}}.{{resource}}.{{action}}', "
            "e.g. 'plugin.crm.contacts.read'"
        )
    return value


Permission = Annotated[str, AfterValidator(check_permission)]


class Metadata(WireModel):
    """Limits of an endpoint or of all endpoints of a service; an endpoint's own win. Other keys are kept.

    Attributes:
        rate_limit: Calls per minute for each pair of tenant and caller.
        cache_ttl: Seconds for which a caller may keep the answer of a GET.
    """

    model_config = ConfigDict(extra="allow")

    rate_limit: Annotated[int, Field(gt=0)] | None = None
    cache_ttl: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(default=None, alias="cacheTTL")


class Endpoint(WireModel):
    """One method and path of a service."""

    method: Method
    path: Annotated[str, Field(max_length=500), AfterValidator(check_path)]
    description: str | None = Field(default=None, max_length=1000)
    permissions: Many[Permission] = ()
    metadata: Metadata = Metadata()
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _cache_reads_only(self) -> Self:
        if self.metadata.cache_ttl is not None and self.method != "GET":
            raise ValueError(f"metadata.cacheTTL is for GET only, found {self.method}")
        return self


class Service(WireModel):
    """An API that the plugin offers, at a version of its own."""

    name: ServiceName
    version: ServiceVersion
    description: str | None = Field(default=None, max_length=1000)
    base_url: Annotated[str, Field(max_length=500), AfterValidator(check_base_url)] | None = None
    endpoints: Annotated[Many[Endpoint], Field(min_length=1)]
    metadata: Metadata = Metadata()


class Dependency(WireModel):
    """A plugin, or one of its services, that must (or may) be there.

    Attributes:
        version: An npm range; held against the service's version when ``service_name`` is given, else the plugin's.
    """

    plugin_id: PluginId
    service_name: ServiceName | None = None
    version: VersionRange
    required: bool = True
    reason: str | None = Field(default=None, max_length=500)
    permissions: Many[Permission] = ()


class EventDeclaration(WireModel):
    """Events the plugin publishes or hears: a pattern, and the JSON Schema of the payload if there is one."""

    pattern: Pattern
    description: str | None = Field(default=None, max_length=1000)
    payload_schema: dict[str, Any] | None = Field(default=None, alias="schema")


def _pattern_alone(value: object) -> object:
    return {"pattern": value} if isinstance(value, str) else value


EventEntry = Annotated[EventDeclaration, BeforeValidator(_pattern_alone)]


class Events(WireModel):
    """What the plugin publishes and hears."""

    publishes: Many[EventEntry] = ()
    subscribes: Many[EventEntry] = ()


def check_access(value: object) -> object:
    """``owner``, ``any`` or a list of plugin ids; `ValueError` says what is wrong."""
    if value in ("owner", "any") or (isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)):
        return tuple(check_plugin_id(item) for item in value) if isinstance(value, list | tuple) else value
    raise ValueError(f"must be 'owner', 'any' or a list of plugin ids, found {describe(value)}")


Access = Annotated[Literal["owner", "any"] | tuple[str, ...], BeforeValidator(check_access)]


class SharedNamespace(WireModel):
    """A namespace of shared data that the plugin owns.

    Attributes:
        write: Who may write: ``owner``, ``any`` plugin of the tenant, or a list of plugin ids.
        read: Who may read, likewise.
        ttl: Seconds a value lives when its writer says nothing.
    """

    namespace: Namespace
    write: Access = "any"
    read: Access = "any"
    ttl: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    value_schema: dict[str, Any] | None = Field(default=None, alias="schema")


class Api(WireModel):
    """The part of a manifest that the bus acts on; unknown keys are errors here."""

    services: Many[Service] = ()
    dependencies: Many[Dependency] = ()
    events: Events = Events()
    shared_data: Many[SharedNamespace] = ()


class PluginManifest(WireModel):
    """A plugin's manifest. Keys outside ``api`` that the bus does not know are kept as they are."""

    model_config = ConfigDict(extra="allow")

    id: PluginId
    name: str = Field(min_length=1, max_length=100)
    version: Version
    description: str | None = Field(default=None, max_length=1000)
    api: Api = Api()

    @classmethod
    def load(cls, source: str | Path | Mapping[str, Any]) -> Self:
        """Read and check a manifest.

        Args:
            source: The path of a ``plugin.json``, or its decoded content.

        Raises:
            InvalidManifestError: The file cannot be read, is not JSON, or breaks rules; ``.errors`` lists every
                broken rule with its dotted path.
        """
        label, document = _read(source)
        problems: list[tuple[str, str]] = []
        manifest = None
        try:
            manifest = cls.model_validate(document, by_alias=True, by_name=False)
        except ValidationError as error:
            problems += [found for found in explain(error, cls) if found[0]]
        problems += [found for found in broken_rules(document) if found not in problems]
        if manifest is None or problems:
            raise InvalidManifestError(label, problems)
        return manifest

    def service(self, name: str) -> Service | None:
        """The service of that name, or None."""
        return next((service for service in self.api.services if service.name == name), None)

    @model_validator(mode="after")
    def _keeps_rules(self) -> Self:
        for path, message in broken_rules(self.to_json()):
            raise PydanticCustomError("broken_rule", "{path}: {text}", {"path": path, "text": message})
        return self


def _read(source: str | Path | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if isinstance(source, Mapping):
        return "manifest", dict(source)
    label = str(source)
    try:
        document = json.loads(Path(source).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise InvalidManifestError(label, [("", f"cannot be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise InvalidManifestError(label, [("", f"is not UTF-8 text: byte {error.start}")]) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidManifestError(label, [("", f"is not JSON: {error.msg} at {place}")]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidManifestError(label, [("", f"is not JSON: {error}")]) from error
    if not isinstance(document, dict):
        raise InvalidManifestError(label, [("", f"must be a JSON object, found {describe(document)}")])
    return label, document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON (RFC 8259, 6)")

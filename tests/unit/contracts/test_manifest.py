"""Every rule of a ``plugin.json``, and the dotted path at which its breach is reported."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.dependencies import PublishManifestRequest
from contracts.errors import InvalidManifestError, InvalidRequestError
from contracts.manifest import PluginManifest
from tests.factories import Json, dependency_json, endpoint_json, make_manifest, manifest_json, service_json

EXAMPLES = sorted(Path(__file__).parents[3].glob("examples/*/plugin.json"))


def with_endpoint(**overrides: Any) -> Json:
    return manifest_json(api={"services": [service_json(endpoints=[endpoint_json(**overrides)])]})


def with_service(**overrides: Any) -> Json:
    return manifest_json(api={"services": [service_json(**overrides)]})


def with_dependency(**overrides: Any) -> Json:
    return manifest_json(api={"dependencies": [dependency_json(**overrides)]})


def with_shared(**overrides: Any) -> Json:
    return manifest_json(api={"sharedData": [{"namespace": "crm.cache"} | overrides]})


def with_events(*published: Any) -> Json:
    return manifest_json(api={"events": {"publishes": list(published)}})


def errors_of(document: Json) -> list[tuple[str, str]]:
    with pytest.raises(InvalidManifestError) as caught:
        PluginManifest.load(document)
    return caught.value.errors


def without(document: Json, key: str) -> Json:
    return {name: value for name, value in document.items() if name != key}


ENDPOINT = "api.services.0.endpoints.0"
PLUGIN_IDS = "expected 'plugin-' followed by lower-case words"

BROKEN: list[tuple[str, str, Json]] = [
    # The plugin itself
    ("id", "is required", without(manifest_json(), "id")),
    ("name", "is required", without(manifest_json(), "name")),
    ("version", "is required", without(manifest_json(), "version")),
    ("id", PLUGIN_IDS, manifest_json(id="crm", api={})),
    ("id", "at most 64", manifest_json(id="plugin-" + "x" * 58, api={})),
    ("id", "must be text, found number 5", manifest_json(id=5)),
    ("name", "at least 1 character", manifest_json(name="")),
    ("name", "at most 100 characters, found 101", manifest_json(name="n" * 101)),
    ("version", "is not semver", manifest_json(version="1.0")),
    ("description", "at most 1000 characters, found 1001", manifest_json(description="d" * 1001)),
    ("api", "must be an object, found an array", manifest_json() | {"api": []}),
    ("id", "'plugin-' followed by", manifest_json(id="plugin--crm", api={})),
    ("id", "'plugin-' followed by", manifest_json(id="Plugin-crm", api={})),
    ("version", "is not semver", manifest_json(version="v1.0.0")),
    ("version", "is not semver", manifest_json(version="01.0.0")),
    ("version", "is too long", manifest_json(version="1.0.0-" + "a" * 35)),
    ("api", "must be an object, found null", manifest_json() | {"api": None}),
    ("version", "is required; was 'vesion' meant for it?", without(manifest_json(), "version") | {"vesion": "1.0.0"}),
    ("name", "is required; was 'Name' meant for it?", without(manifest_json(), "name") | {"Name": "a"}),
    # Texts
    *[("name", "has control characters", manifest_json(name=text)) for text in ("a\x1b[2K", "a\nb", "\0a", "a\x9bb")],
    *[
        ("name", "has control characters", manifest_json(name=text))
        for text in ("a\u2028b", "\ufeffa", "a\tb", "\x7fa")
    ],
    *[("name", "begin or end with white space", manifest_json(name=text)) for text in (" ", " a", "a ", "\u3000a")],
    ("description", r"control character '\x1b'", manifest_json(description="a\x1b]0;x\x07")),
    ("description", r"control character '\r'", manifest_json(description="a\rb")),
    ("api.services.0.description", "control character", with_service(description="\0")),
    (f"{ENDPOINT}.description", "control character", with_endpoint(description="\x9b31m")),
    ("api.dependencies.0.reason", "control character", with_dependency(reason="\x1b[31m")),
    ("api.events.publishes.0.description", "control", with_events({"pattern": "crm.a", "description": "\x08"})),
    # Services
    ("api.services.0.name", "exactly one dot", with_service(name="crm.Contacts")),
    ("api.services.0.name", "is too long", with_service(name="crm." + "c" * 65)),
    ("api.services.0.description", "at most 1000 characters, found 1001", with_service(description="d" * 1001)),
    ("api.services", "must be an array, found an object", manifest_json(api={"services": {}})),
    ("api.services.0", "must be an object, found text 'crm'", manifest_json(api={"services": ["crm"]})),
    ("api.services.0.name", "exactly one dot", with_service(name="crm")),
    ("api.services.0.name", "exactly one dot", with_service(name="crm.contacts.v1")),
    ("api.services.0.name", "must begin with the plugin's own name 'crm.'", with_service(name="billing.contacts")),
    ("api.services.0.version", "is not semver", with_service(version="one")),
    ("api.services.0.version", "carries build metadata", with_service(version="1.0.0+5")),
    ("api.services.0.version", "is required", manifest_json(api={"services": [without(service_json(), "version")]})),
    ("api.services.0.baseUrl", "is not a URL", with_service(baseUrl="localhost:3100")),
    ("api.services.0.baseUrl", "is not a URL", with_service(baseUrl="http://")),
    *[
        ("api.services.0.baseUrl", "its port is no number from 1 to 65535", with_service(baseUrl=f"http://a:{port}/"))
        for port in ("0", "65536", "99999", "8o", "-1")
    ],
    *[
        ("api.services.0.baseUrl", "spaces or control characters", with_service(baseUrl=url))
        for url in ("http://a b", " http://a", "http://a/\x1b[2K", "http://a\n/", "http://a\u3000/")
    ],
    ("api.services.0.baseUrl", "its host is not one, expected e.g.", with_service(baseUrl="http://[::1")),
    ("api.services.0.baseUrl", "no http:// or https://", with_service(baseUrl="ftp://a")),
    ("api.services.0.endpoints", "at least 1 item", with_service(endpoints=[])),
    (
        "api.services.0.endpoints",
        "is required",
        manifest_json(api={"services": [without(service_json(), "endpoints")]}),
    ),
    ("api.services.1.name", "is listed twice", manifest_json(api={"services": [service_json(), service_json()]})),
    # Endpoints
    (f"{ENDPOINT}.method", "must be 'GET', 'POST', 'PUT', 'PATCH' or 'DELETE'", with_endpoint(method="get")),
    (f"{ENDPOINT}.method", "found text 'OPTIONS'", with_endpoint(method="OPTIONS")),
    (f"{ENDPOINT}.method", "found an array", with_endpoint(method=["GET"])),
    (f"{ENDPOINT}.path", "is required", with_service(endpoints=[{"method": "GET"}])),
    (f"{ENDPOINT}.path", "must start with '/'", with_endpoint(path="contacts")),
    (f"{ENDPOINT}.path", "has a dot segment", with_endpoint(path="/a/../b")),
    (f"{ENDPOINT}.path", "has a dot segment", with_endpoint(path="/a/%2E%2e/b")),
    (f"{ENDPOINT}.path", "segment '' is neither", with_endpoint(path="/a//b")),
    (f"{ENDPOINT}.path", "segment '' is neither", with_endpoint(path="/a/")),
    (f"{ENDPOINT}.path", "segment 'a?b=1' is neither", with_endpoint(path="/a?b=1")),
    (f"{ENDPOINT}.path", "segment ':' is neither", with_endpoint(path="/a/:")),
    (f"{ENDPOINT}.path", "segment ':1st' is neither", with_endpoint(path="/a/:1st")),
    (f"{ENDPOINT}.path", "names a parameter twice", with_endpoint(path="/:id/:id")),
    (f"{ENDPOINT}.permissions.0", "is not valid", with_endpoint(permissions=["contacts.read"])),
    (f"{ENDPOINT}.permissions.1", "is not valid", with_endpoint(permissions=["plugin.a.b.c", "plugin.a.b.c.d"])),
    (f"{ENDPOINT}.permissions", "must be an array", with_endpoint(permissions="plugin.crm.contacts.read")),
    (f"{ENDPOINT}.metadata.rateLimit", "greater than 0, found number 0", with_endpoint(metadata={"rateLimit": 0})),
    (f"{ENDPOINT}.metadata.rateLimit", "a whole number, found number 1.5", with_endpoint(metadata={"rateLimit": 1.5})),
    (f"{ENDPOINT}.metadata.rateLimit", "a whole number, found true", with_endpoint(metadata={"rateLimit": True})),
    (f"{ENDPOINT}.metadata.concurrency", "greater than 0, found number 0", with_endpoint(metadata={"concurrency": 0})),
    (f"{ENDPOINT}.metadata.concurrency", "a whole number, found text", with_endpoint(metadata={"concurrency": "4"})),
    ("api.services.0.metadata.concurrency", "a whole number", with_service(metadata={"concurrency": 1.5})),
    (f"{ENDPOINT}.metadata.cacheTTL", "at least 0, found number -1", with_endpoint(metadata={"cacheTTL": -1})),
    (f"{ENDPOINT}.metadata.cacheTTL", "a number, found text '5'", with_endpoint(metadata={"cacheTTL": "5"})),
    (f"{ENDPOINT}.metadata.cacheTTL", "finite", with_endpoint(metadata={"cacheTTL": float("inf")})),
    (
        f"{ENDPOINT}.metadata.cacheTTL",
        "is for GET only, found POST",
        with_endpoint(method="POST", metadata={"cacheTTL": 5}),
    ),
    (f"{ENDPOINT}.description", "at most 1000 characters, found 1001", with_endpoint(description="d" * 1001)),
    (f"{ENDPOINT}.path", "at most 500 characters, found 501", with_endpoint(path="/" + "p" * 500)),
    (f"{ENDPOINT}.path", "segment 'é' is neither", with_endpoint(path="/é")),
    (f"{ENDPOINT}.response", "must be an object, found text 'object'", with_endpoint(response="object")),
    (f"{ENDPOINT}.request", "must be an object", with_endpoint(request=[])),
    ("api.services.0.metadata.rateLimit", "must be greater than 0", with_service(metadata={"rateLimit": -1})),
    (
        "api.services.0.endpoints.1",
        "GET /contacts is already there as GET /contacts",
        with_service(endpoints=[endpoint_json(), endpoint_json()]),
    ),
    (
        "api.services.0.endpoints.1",
        "GET /c/:name is already there as GET /c/:id",
        with_service(endpoints=[endpoint_json(path="/c/:id"), endpoint_json(path="/c/:name")]),
    ),
    *[
        (
            "api.services.0.endpoints.1",
            f"GET {path} is already there as GET /contacts",
            with_service(endpoints=[endpoint_json(path="/contacts"), endpoint_json(path=path)]),
        )
        for path in ("/%63ontacts", "/contact%73")
    ],
    (
        "api.services.0.endpoints.1",
        "is already there as GET /a%2fb",
        with_service(endpoints=[endpoint_json(path="/a%2fb"), endpoint_json(path="/a%2Fb")]),
    ),
    *[
        (f"{ENDPOINT}.path", "two hexadecimal digits", with_endpoint(path=path))
        for path in ("/%zz", "/a%", "/%4", "/%")
    ],
    (f"{ENDPOINT}.path", "is not UTF-8 when decoded", with_endpoint(path="/%ff")),
    # Dependencies
    *[
        ("api.dependencies.0.pluginId", "is part of the bus", with_dependency(pluginId=id_, serviceName=service))
        for id_, service in (("plugin-system", "system.data"), ("plugin-broker", None), ("plugin-plexica", None))
    ],
    ("api.dependencies.0.pluginId", "is required", manifest_json(api={"dependencies": [{"version": "*"}]})),
    ("api.dependencies.0.pluginId", "must be text, found an array", with_dependency(pluginId=["plugin-a"])),
    (
        "api.dependencies.0.pluginId",
        "cannot depend on itself",
        with_dependency(pluginId="plugin-crm", serviceName=None),
    ),
    ("api.dependencies.0.version", "is not an npm version range", with_dependency(version="latest")),
    ("api.dependencies.0.serviceName", "belongs to 'plugin-crm', not to", with_dependency(serviceName="crm.contacts")),
    ("api.dependencies.0.required", "must be true or false, found text 'yes'", with_dependency(required="yes")),
    ("api.dependencies.0.reason", "at most 500 characters, found 501", with_dependency(reason="r" * 501)),
    ("api.dependencies.0.permissions.0", "is not valid", with_dependency(permissions=["read"])),
    (
        "api.dependencies.1",
        "on plugin-billing billing.invoices is listed twice",
        manifest_json(api={"dependencies": [dependency_json(), dependency_json(version="^2.0.0")]}),
    ),
    ("api.dependencies.0.version", "at most 200 are allowed", with_dependency(version="1 || " * 60 + "2")),
    ("api.dependencies.0.version", "is required", manifest_json(api={"dependencies": [{"pluginId": "plugin-b"}]})),
    # Events
    ("api.events.publishes", "must be an array", manifest_json(api={"events": {"publishes": "crm.events.a"}})),
    (
        "api.events.publishes.0",
        "must begin with the plugin's own name",
        manifest_json(api={"events": {"publishes": ["a.b"]}}),
    ),
    ("api.events.publishes.0.pattern", "is not valid", manifest_json(api={"events": {"publishes": ["crm..b"]}})),
    ("api.events.subscribes.0.pattern", "is not valid", manifest_json(api={"events": {"subscribes": ["crm.a*"]}})),
    (
        "api.events.subscribes.0",
        "must be an object, found number 5",
        manifest_json(api={"events": {"subscribes": [5]}}),
    ),
    # Shared data
    ("api.sharedData.0.namespace", "is required", manifest_json(api={"sharedData": [{}]})),
    ("api.sharedData.0.namespace", "must begin with the plugin's own name", with_shared(namespace="system.flags")),
    ("api.sharedData.0.namespace", "is not valid", with_shared(namespace="crm.*")),
    ("api.sharedData.0.write", "must be 'owner', 'any' or a list of plugin ids", with_shared(write="nobody")),
    ("api.sharedData.0.read.0", PLUGIN_IDS, with_shared(read=["crm"])),
    ("api.sharedData.0.write.1", "must be text, found number 5", with_shared(write=["plugin-a", 5])),
    ("api.sharedData.0.write", "a list of plugin ids, found true", with_shared(write=True)),
    ("api.sharedData.0.schema", "must be an object, found an array", with_shared(schema=[])),
    (
        "api.sharedData.1.namespace",
        "namespace 'crm.cache' is listed twice",
        manifest_json(api={"sharedData": [{"namespace": "crm.cache"}, {"namespace": "crm.cache", "ttl": 5}]}),
    ),
    ("api.sharedData.0.ttl", "must be greater than 0", with_shared(ttl=0)),
    ("api.sharedData.0.ttl", "must be a finite number", with_shared(ttl=float("inf"))),
]


@pytest.mark.parametrize(("path", "message", "document"), BROKEN)
def test_a_broken_rule_is_reported_alone_at_its_dotted_path(path: str, message: str, document: Json) -> None:
    [(found, text)] = errors_of(document)

    assert found == path
    assert message in text


@pytest.mark.parametrize(
    ("path", "meant", "document"),
    [
        ("api.service", "services", manifest_json(api={"service": []})),
        ("api.shared_data", "sharedData", manifest_json(api={"shared_data": []})),
        ("api.events.publish", "publishes", manifest_json(api={"events": {"publish": []}})),
        ("api.services.0.endpoint", "endpoints", with_service(endpoint=[])),
        (f"{ENDPOINT}.metdata", "metadata", with_endpoint(metdata={})),
        ("api.sharedData.0.namspace", "namespace", with_shared(namspace="x")),
        ("api.events.publishes.0.patern", "pattern", with_events({"pattern": "crm.a", "patern": "crm.b"})),
        ("api.dependencies.0.serviceNames", "serviceName", with_dependency(serviceNames=[])),
        ("api.dependencies.0.plugin_id", "pluginId", with_dependency(plugin_id="plugin-crm")),
    ],
)
def test_an_unknown_key_inside_api_names_the_key_that_was_meant(path: str, meant: str, document: Json) -> None:
    assert errors_of(document) == [(path, f"unknown key; did you mean '{meant}'?")]


def test_an_unknown_key_is_not_compared_with_keys_of_other_places() -> None:
    assert errors_of(with_service(method="GET")) == [("api.services.0.method", "unknown key")]


def test_all_errors_are_reported_at_once() -> None:
    document = manifest_json(
        version="1",
        api={
            "services": [
                service_json(
                    name="billing.contacts", endpoints=[endpoint_json(), endpoint_json(), endpoint_json(path="x")]
                )
            ],
            "dependencies": [dependency_json(pluginId="plugin-crm"), dependency_json(version="latest")],
            "sharedData": [{"namespace": "flags"}],
        },
    )

    assert sorted({path for path, _ in errors_of(document)}) == [
        "api.dependencies.0.pluginId",
        "api.dependencies.0.serviceName",
        "api.dependencies.1.version",
        "api.services.0.endpoints.1",
        "api.services.0.endpoints.2.path",
        "api.services.0.name",
        "api.sharedData.0.namespace",
        "version",
    ]


def test_errors_stand_in_the_order_of_the_document() -> None:
    document: Json = {
        "name": "",
        "api": {
            "sharedData": [{"namespace": "flags", "raed": "any"}, {"ttl": 0}],
            "services": [service_json(endpoints=[endpoint_json(), endpoint_json(metdata={}), 7])],
        },
        "id": "plugin-crm",
    }

    assert [path for path, _ in errors_of(document)] == [
        "name",
        "api.sharedData.0.namespace",
        "api.sharedData.0.raed",
        "api.sharedData.1.ttl",
        "api.sharedData.1.namespace",
        "api.services.0.endpoints.1",
        "api.services.0.endpoints.1.metdata",
        "api.services.0.endpoints.2",
        "version",
    ]


def test_wrong_types_and_broken_rules_of_one_endpoint_are_told_together() -> None:
    endpoint = endpoint_json(method="POST", path="x", metadata={"rateLimit": "many", "cacheTTL": 5}, permisions=[])

    assert [path.removeprefix(f"{ENDPOINT}.") for path, _ in errors_of(with_service(endpoints=[endpoint]))] == [
        "path",
        "metadata.rateLimit",
        "metadata.cacheTTL",
        "permisions",
    ]


@pytest.mark.parametrize("id", [5, "crm", "plugin-Crm"])
def test_a_wrong_id_hides_no_duplicates(id: object) -> None:
    paths = [path for path, _ in errors_of(manifest_json(id=id, api={"services": [service_json(), service_json()]}))]

    assert "id" in paths
    assert "api.services.1.name" in paths


def test_without_a_proper_id_nothing_is_said_about_who_owns_what() -> None:
    assert [path for path, _ in errors_of(manifest_json(id="crm"))] == ["id"]


def test_the_message_counts_and_lists_every_error() -> None:
    with pytest.raises(InvalidManifestError) as caught:
        PluginManifest.load(manifest_json(name="", version="x", api={}))

    first, *rest = str(caught.value).splitlines()
    assert first == "manifest has 2 errors:"
    assert [line.split(":")[0] for line in rest] == ["  name", "  version"]


VALID: list[Json] = [
    manifest_json(name="CRM für 東京 🚀", description="One line.\n\tAnother."),
    *[
        with_service(baseUrl=url)
        for url in ("https://[::1]:65535/a", "http://a:1?b#c", "HTTP://u:p@w.example", "http://a:", "https://a/%20")
    ],
    with_endpoint(path="/a%2Fb/%63"),
    with_service(endpoints=[endpoint_json(path="/%3Aid"), endpoint_json(path="/:id"), endpoint_json(path="/id")]),
    with_service(endpoints=[endpoint_json(path="/a%2Fb"), endpoint_json(path="/a/b")]),
    {"id": "plugin-crm", "name": "CRM", "version": "1.0.0"},
    with_endpoint(path="/"),
    with_endpoint(path="/contacts/:id/notes/:note_id"),
    with_endpoint(path="/v1.0/a-b_c~d"),
    with_endpoint(
        metadata={"rateLimit": 100, "cacheTTL": 0, "owner": "crm-team"}, permissions=["plugin.crm.contacts.read"]
    ),
    with_endpoint(method="PATCH", request={"type": "object"}, response={}),
    with_service(baseUrl="http://localhost:3100", metadata={"cacheTTL": 300}),
    with_service(endpoints=[endpoint_json(path="/c/:id"), endpoint_json(method="PUT", path="/c/:id")]),
    with_dependency(version=">=1.2 <2 || 3.x"),
    with_dependency(serviceName=None),
    manifest_json(api={"dependencies": [dependency_json(), dependency_json(serviceName="billing.taxes")]}),
    manifest_json(api={"events": {"publishes": ["crm.events.#"], "subscribes": [{"pattern": "#", "schema": {}}]}}),
    manifest_json(id="plugin-" + "x" * 57, api={}),
    manifest_json(name="n" * 100, version="1.0.0-rc.1+build.5", description="d" * 1000),
    with_endpoint(metadata={"rateLimit": 1, "cacheTTL": 0.5}),
    with_endpoint(method="POST", metadata={"cacheTTL": None}),
    with_service(
        metadata={"rateLimit": 100, "cacheTTL": 300, "concurrency": 8}, endpoints=[endpoint_json(method="POST")]
    ),
    with_dependency(version=""),
    with_dependency(version="v1.2.3 - 2.x || ~> 3", required=False, reason="r" * 500),
    with_shared(write=[], read="owner"),
    with_shared(write="owner", read=["plugin-analytics"], ttl=0.5, schema={"type": "number"}),
]


@pytest.mark.parametrize("document", VALID)
def test_a_valid_manifest_comes_back_the_same_from_the_wire(document: Json) -> None:
    manifest = PluginManifest.load(document)

    assert PluginManifest.load(json.loads(json.dumps(manifest.to_json()))) == manifest


GUIDE = [
    {
        "id": "plugin-crm",
        "name": "CRM Plugin",
        "version": "1.0.0",
        "api": {
            "services": [
                {
                    "name": "crm.contacts",
                    "version": "1.0.0",
                    "description": "Contact management service",
                    "endpoints": [
                        {"method": "GET", "path": "/contacts", "description": "List all contacts"},
                        {"method": "GET", "path": "/contacts/:id", "description": "Get contact by ID"},
                    ],
                }
            ]
        },
    },
    {
        "id": "plugin-analytics",
        "name": "Analytics Plugin",
        "version": "1.0.0",
        "api": {
            "dependencies": [
                {
                    "pluginId": "plugin-crm",
                    "serviceName": "crm.contacts",
                    "version": "^1.0.0",
                    "required": True,
                    "reason": "Fetch contact data for analytics reports",
                }
            ]
        },
    },
]


@pytest.mark.parametrize("document", GUIDE, ids=["crm", "analytics"])
def test_the_manifests_of_the_guide_are_valid(document: Json) -> None:
    assert PluginManifest.load(document).id == document["id"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_manifests_of_the_examples_are_valid(path: Path) -> None:
    assert PluginManifest.load(path).id == f"plugin-{path.parent.name}"


def test_what_is_not_said_has_its_default() -> None:
    manifest = make_manifest(api={"services": [service_json()], "dependencies": [dependency_json()]})

    [dependency] = manifest.api.dependencies
    assert dependency.required
    assert dependency.permissions == ()
    assert manifest.api.shared_data == ()
    assert manifest.api.services[0].endpoints[0].metadata.rate_limit is None


def test_keys_that_the_bus_does_not_know_are_kept() -> None:
    extra: Json = {"author": "us", "category": "sales", "config": {"a": [1]}, "permissions": ["x"]}
    manifest = PluginManifest.load(manifest_json() | extra)

    assert manifest.to_json() | extra == manifest.to_json()


def test_other_keys_of_metadata_are_kept() -> None:
    manifest = PluginManifest.load(with_endpoint(metadata={"rateLimit": 100, "owner": "crm-team"}))

    metadata = manifest.api.services[0].endpoints[0].metadata
    assert metadata.rate_limit == 100
    assert metadata.to_json()["owner"] == "crm-team"


def test_a_service_is_found_by_its_name() -> None:
    manifest = make_manifest()

    assert manifest.service("crm.contacts") == manifest.api.services[0]
    assert manifest.service("crm.deals") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON: Expecting value at line 1, column 1"),
        (b'{"id": }', "is not JSON: Expecting value at line 1, column 8"),
        (b'{"id": NaN}', "is not JSON: NaN is not JSON (RFC 8259, 6)"),
        (b"[" * 100_000, "is not JSON: "),
        (b"\xff", "is not UTF-8 text: byte 0"),
        (b"[]", "must be a JSON object, found an array"),
    ],
)
def test_a_file_that_is_no_json_object_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "plugin.json"
    path.write_bytes(content)

    with pytest.raises(InvalidManifestError) as caught:
        PluginManifest.load(path)

    assert caught.value.source == str(path)
    assert message in caught.value.errors[0][1]


def test_a_key_that_stands_twice_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "plugin.json"
    path.write_text(
        '{"id": "plugin-crm", "name": "A", "name": "B", "version": "1", "api": {"events": {}, "events": {}}}'
    )

    with pytest.raises(InvalidManifestError) as caught:
        PluginManifest.load(path)

    found = [(path, message.partition(":")[0]) for path, message in caught.value.errors]
    assert found == [
        ("name", "the key stands twice here"),
        ("version", "version '1' is not semver 2.0.0"),
        ("api.events", "the key stands twice here"),
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidManifestError, match=r"(?s)plugin\.json has 1 error:.*cannot be read: No such file"):
        PluginManifest.load(tmp_path / "plugin.json")


def test_a_manifest_inside_another_body_keeps_its_rules() -> None:
    with pytest.raises(ValueError, match=r"api\.services\.1\.name: service 'crm.contacts' is listed twice"):
        PluginManifest.model_validate(manifest_json(api={"services": [service_json(), service_json()]}))


def test_a_manifest_inside_another_body_names_every_broken_rule_by_its_path() -> None:
    body = {"manifest": manifest_json(api={"services": [service_json(), service_json(), service_json()]})}

    with pytest.raises(InvalidRequestError) as caught:
        PublishManifestRequest.parse(body)

    paths = [found["path"] for found in caught.value.details["errors"]]
    assert paths == ["manifest.api.services.1.name", "manifest.api.services.2.name"]

"""What of a handler's types is put into the manifest that is registered, and what is said where both speak."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from structlog.testing import capture_logs

from contracts.errors import InvalidEndpointError
from contracts.limits import LARGEST_MANIFEST_BYTES
from contracts.manifest import Endpoint, PluginManifest
from plugin_runtime import Call, Plugin
from plugin_runtime.slips import tell_slips
from plugin_runtime.typed.schemas import differs

OWN = {"type": "object", "properties": {"title": {"type": "string", "minLength": 3}}}


class Contact(BaseModel):
    """A contact."""

    name: Annotated[str, Field(alias="fullName")]
    friends: "list[Contact]" = []


def made(annotation: Any = Contact, **keys: Any) -> Plugin:
    """A plugin with one handler that takes a body of that type."""
    endpoint = {"method": "POST", "path": "/contacts", **keys}
    service = {"name": "crm.contacts", "version": "1.0.0", "endpoints": [endpoint]}
    crm = Plugin.from_manifest({"id": "plugin-crm", "name": "CRM", "version": "1.0.0", "api": {"services": [service]}})

    async def create(call: Call, body: Any) -> Any:
        del call, body

    create.__annotations__ |= {"body": annotation, "return": Any if annotation is Any else None}
    crm.service("crm.contacts").post("/contacts")(create)
    return crm


def registered(plugin: Plugin) -> Endpoint:
    return plugin.definition.described().api.services[0].endpoints[0]


def warnings(plugin: Plugin) -> list[Any]:
    with capture_logs() as logs:
        tell_slips(plugin.definition)
    return logs


def test_schemas_bear_the_names_of_the_wire_and_hold_what_they_refer_to() -> None:
    schema = registered(made()).request

    assert schema is not None
    assert schema["$ref"] == "#/$defs/Contact"
    assert list(schema["$defs"]["Contact"]["properties"]) == ["fullName", "friends"]
    assert schema["$defs"]["Contact"]["properties"]["friends"]["items"] == {"$ref": "#/$defs/Contact"}


def test_what_is_registered_is_a_valid_manifest() -> None:
    manifest = made().definition.described()

    assert PluginManifest.load(manifest.to_json()) == manifest


def test_a_handler_that_answers_nothing_says_so() -> None:
    assert registered(made()).response == {"type": "null"}


def test_a_handler_without_types_leaves_the_manifest_as_it_is() -> None:
    plugin = made(Any)

    assert plugin.definition.described() is plugin.manifest


def test_the_schema_of_the_manifest_stays_and_a_handler_that_checks_another_is_warned_of() -> None:
    plugin = made(request=OWN)

    assert registered(plugin).request == OWN
    (entry,) = warnings(plugin)
    assert (entry["event"], entry["endpoint"], entry["key"]) == (
        "endpoint.schema_differs",
        "crm.contacts POST /contacts",
        "request",
    )
    assert entry["reason"].startswith("the manifest's schema is registered, the handler checks another")


def test_the_same_schema_in_other_words_is_not_warned_of() -> None:
    schema = registered(made()).request
    assert schema is not None
    own = {**schema, "description": "A new contact", "title": "New"}

    assert warnings(made(request=own)) == []


def test_a_property_called_title_is_no_remark() -> None:
    assert differs(OWN, {"type": "object", "properties": {}})
    assert not differs(OWN, {**OWN, "title": "Deal"})


def test_schemas_that_make_the_manifest_too_large_are_named() -> None:
    words = tuple(f"{number:0>64}" for number in range(LARGEST_MANIFEST_BYTES // 64))
    plugin = made(Literal[words])  # type: ignore[valid-type]

    with pytest.raises(InvalidEndpointError) as caught:
        plugin.definition.described()

    said = str(caught.value)
    assert (
        f"at most {LARGEST_MANIFEST_BYTES} are allowed; the largest are crm.contacts POST /contacts request (" in said
    )

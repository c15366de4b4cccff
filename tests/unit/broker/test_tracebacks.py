"""A program that does not catch our errors shows its own line, a few of ours, and at the end what to do."""

import traceback
from collections.abc import Awaitable, Callable

import pytest

from broker.testing import running
from contracts.errors import CodedError, InvalidManifestError, PlexicaError
from plugin_runtime import Plugin
from tests.factories import dependency_json

SCRIPT = {
    "id": "plugin-script",
    "name": "Script",
    "version": "1.0.0",
    "api": {"dependencies": [dependency_json(pluginId="plugin-crm", serviceName="crm.contacts", required=False)]},
}
MOST_FRAMES = 6
"""The program's own, those of the client it holds, and the one that raises."""


def shown(error: PlexicaError) -> list[str]:
    """The lines of the traceback as Python prints it."""
    return "".join(traceback.format_exception(error)).splitlines()


@pytest.mark.parametrize(
    "ask",
    [
        lambda plugin: plugin.tenant("nowhere").service("crm.contacts").get("/contacts"),
        lambda plugin: plugin.tenant("nowhere").data.get("crm.cache", "key"),
        lambda plugin: plugin.tenant("nowhere").emit("script.events.thing.done", {}),
        lambda plugin: plugin.tenant("nowhere").dependencies.install("plugin-crm"),
    ],
    ids=["call", "data", "event", "install"],
)
async def test_a_refusal_shows_the_programs_line_and_what_to_do(ask: Callable[[Plugin], Awaitable[object]]) -> None:
    plugin = Plugin.from_manifest(SCRIPT)

    async with running(plugin):
        with pytest.raises(CodedError) as caught:
            await ask(plugin)

    lines = shown(caught.value)
    assert sum(line.startswith("  File ") for line in lines) <= MOST_FRAMES
    assert not any("The above exception" in line or "During handling" in line for line in lines)
    assert lines[-1].endswith("Tenant 'nowhere' not found: plexica tenant create nowhere")


def test_a_broken_manifest_at_module_level_ends_with_every_error() -> None:
    with pytest.raises(InvalidManifestError) as caught:
        Plugin.from_manifest({"id": "plugin-x", "name": "", "version": "1.0"})

    assert [line.partition(":")[0] for line in shown(caught.value)[-3:]] == [
        "contracts.errors.InvalidManifestError",
        "  name",
        "  version",
    ]

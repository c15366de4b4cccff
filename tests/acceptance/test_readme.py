"""The README tells the truth: its program is the example, and its output is what that prints."""

import json
import re
import subprocess
import sys
from pathlib import Path

from contracts import PluginManifest
from tests.reliability.processes import Processes
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def test_the_readme_opens_with_the_example_and_its_output() -> None:
    (language, program), (_, output), *_ = BLOCK.findall((ROOT / "README.md").read_text())

    ran = subprocess.run(
        [sys.executable, "-m", "examples.quickstart"], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )

    assert language == "python"
    assert program == (ROOT / "examples" / "quickstart.py").read_text()
    assert output == ran.stdout
    assert ran.stderr == ""


async def test_the_script_that_the_readme_shows_calls_a_plugin(vhost_url: str, tmp_path: Path) -> None:
    processes = Processes(vhost_url, tmp_path)
    try:
        await processes.start_broker()
        crm = await processes.start("examples.crm")
        await eventually(lambda: "plugin.started" in processes.log(crm))
        script = await processes.start("examples.ask")
        status = await processes.ended(script)
    finally:
        await processes.kill_all()

    assert (status, processes.log(script)) == (0, "John Doe of Acme Corp\n")


def test_the_manifest_that_the_docs_show_is_valid() -> None:
    ((language, document),) = BLOCK.findall((ROOT / "docs" / "manifest.md").read_text())

    assert language == "json"
    assert PluginManifest.load(json.loads(document)).id == "plugin-analytics"


def test_every_variable_the_readme_names_is_a_setting() -> None:
    named = set(re.findall(r"`PLEXICA_([A-Z_]+)`", (ROOT / "README.md").read_text()))
    settings = "\n".join(
        (ROOT / place).read_text()
        for place in ("plugin_runtime/settings.py", "broker/settings.py", "tests/rabbitmq.py")
    )

    assert named
    assert [
        name for name in named if f"    {name.lower()}:" not in settings and f"PLEXICA_{name}" not in settings
    ] == []

"""What is installed: three packages and what they read, nothing else; and how little a plugin needs of it."""

import subprocess
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

import pytest

PACKAGES = {"broker", "contracts", "plugin_runtime"}
BASE = [
    "_cffi_backend",
    "aio_pika",
    "aiormq",
    "annotated_types",
    "contracts",
    "cryptography",
    "dotenv",
    "idna",
    "jwt",
    "multidict",
    "nodesemver",
    "pamqp",
    "plugin_runtime",
    "propcache",
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "structlog",
    "typing_extensions",
    "typing_inspection",
    "yarl",
]
"""What ``import plugin_runtime`` loads beside the standard library: our two packages and the base dependencies."""

IMPORTED = """
import sys
import {module}

places = {{name.partition(".")[0]: getattr(module, "__file__", None) for name, module in sorted(sys.modules.items())}}
print(*sorted({{name for name, place in places.items() if place and "site-packages" in place}}))
"""


def run(command: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def names_in(wheel: Path) -> list[PurePosixPath]:
    return [PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()]


def metadata(wheel: Path) -> str:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    return archive.read(name).decode()


def test_the_wheel_holds_three_packages_and_what_they_read(wheel: Path) -> None:
    names = [name for name in names_in(wheel) if not name.parts[0].endswith(".dist-info")]
    others = {str(name) for name in names if name.suffix not in {".py", ".sql"}}

    assert {name.parts[0] for name in names} == PACKAGES
    assert others == {"broker/plugin.json", *(f"{package}/py.typed" for package in PACKAGES)}
    assert {str(name.parent) for name in names if name.suffix == ".sql"} == {"broker/storage/migrations"}


def test_the_wheel_holds_every_module_and_migration_of_the_sources(wheel: Path) -> None:
    root = Path(__file__).parents[2]
    sources = {
        str(path.relative_to(root))
        for package in PACKAGES
        for pattern in ("*.py", "*.sql")
        for path in (root / package).rglob(pattern)
    }

    assert sources <= set(map(str, names_in(wheel)))


def test_the_sdist_holds_the_same_and_no_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = [PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()]
    folders = {name.parts[0] for name in names if len(name.parts) > 1}

    assert folders == PACKAGES
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= set(map(str, names))


def test_the_extras_are_named_and_the_base_is_small(wheel: Path) -> None:
    headers = HeaderParser().parsestr(metadata(wheel))
    needed = headers.get_all("Requires-Dist") or []

    assert {"broker", "cli"} <= set(headers.get_all("Provides-Extra") or [])
    assert sorted(line.partition("<")[0].partition(">")[0] for line in needed if "extra ==" not in line) == [
        "aio-pika",
        "aiormq",
        "node-semver",
        "pydantic",
        "pydantic-settings",
        "pyjwt[crypto]",
        "structlog",
        "typing-extensions",
    ]


@pytest.mark.parametrize("module", ["plugin_runtime", "plugin_runtime.testing"])
def test_a_plugin_loads_the_base_and_nothing_of_the_broker(bare: Path, tmp_path: Path, module: str) -> None:
    ran = run([bare / "python", "-c", IMPORTED.format(module=module)], tmp_path)

    assert ran.stderr == ""
    assert ran.stdout.split() == BASE


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["plexica"], "plexica needs 'typer', which is not installed: pip install 'plexica-bus[cli]'\n"),
        (
            ["python", "-m", "broker"],
            "the broker needs 'aiosqlite', which is not installed: pip install 'plexica-bus[broker]'\n",
        ),
    ],
)
def test_what_needs_an_extra_names_it(bare: Path, tmp_path: Path, command: list[str], sentence: str) -> None:
    ran = run([bare / command[0], *command[1:]], tmp_path)

    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", sentence)

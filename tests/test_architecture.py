"""The shape of the code: who may import whom, and what each package promises."""

import ast
import importlib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from contracts import errors
from contracts.errors import CODES, CodedError

ROOT = Path(__file__).parents[1]

ALLOWED = {
    "contracts": {"contracts"},
    "plugin_runtime": {"contracts", "plugin_runtime"},
    "broker": {"contracts", "plugin_runtime", "broker"},
    "examples": {"contracts", "plugin_runtime", "examples"},
}
"""Imports point one way: contracts <- plugin_runtime <- broker; the examples are users of the first two."""

EMBEDS_BROKER = ("examples/demo/", "examples/quickstart.py")
"""The demo runs the broker beside the plugins; the plugins themselves never import it."""

AMQP = {"aio_pika", "aiormq", "pamqp"}
MAY_IMPORT_LATE = {"broker/cli", "broker/testing_fixtures.py", "examples"}
GROUPS = {CodedError, errors.CallError, errors.RegistryError, errors.SharedDataError}


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


FILES = [path for package in ALLOWED for path in files_of(package)]
INITS = [path for path in FILES if path.name == "__init__.py"]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_in(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that is imported, as far as it can be one: ``from a import b`` is ``a.b`` where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if whole in MODULES else node.module), node


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def without_type_checking(tree: ast.Module) -> ast.Module:
    """The module as it runs: what stands under ``if TYPE_CHECKING`` is never imported."""
    body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
    ]
    return ast.Module(body=body, type_ignores=[])


@pytest.mark.parametrize("path", FILES, ids=label)
def test_imports_point_one_way(path: Path) -> None:
    extra = {"broker"} if label(path).startswith(EMBEDS_BROKER) else set()
    allowed = ALLOWED[path.relative_to(ROOT).parts[0]] | extra
    found = {name.partition(".")[0] for name, _ in imports_in(parse(path))}

    assert found & {*ALLOWED, "tests"} <= allowed


def test_modules_do_not_import_one_another_in_a_circle() -> None:
    graph = {
        name: {found for found, _ in imports_in(without_type_checking(parse(path))) if found in MODULES}
        for name, path in MODULES.items()
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize("path", FILES, ids=label)
def test_no_function_imports(path: Path) -> None:
    if any(label(path).startswith(place) for place in MAY_IMPORT_LATE):
        return
    functions = [node for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    late = [f"{node.name} imports {name}" for node in functions for name, _ in imports_in(node)]

    assert late == []


@pytest.mark.parametrize("path", FILES, ids=label)
def test_amqp_is_spoken_in_the_transport_only(path: Path) -> None:
    found = {name.partition(".")[0] for name, _ in imports_in(parse(path))}

    assert not found & AMQP or label(path).startswith("plugin_runtime/transport/")


@pytest.mark.parametrize("path", files_of("contracts"), ids=label)
def test_contracts_know_no_io(path: Path) -> None:
    found = {name.partition(".")[0] for name, _ in imports_in(parse(path))}

    assert not found & {"asyncio", "anyio", "socket", "sqlite3", "aiosqlite", "structlog", "subprocess", "threading"}


@pytest.mark.parametrize("path", INITS, ids=label)
def test_a_package_holds_imports_and_sorted_names_only(path: Path) -> None:
    docstring, *statements = parse(path).body
    kinds = [node for node in statements if not isinstance(node, ast.Import | ast.ImportFrom)]
    exported = getattr(importlib.import_module(module_name(path)), "__all__", [])

    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in kinds)
    assert exported == sorted(set(exported))
    assert bool(exported) == bool(statements), "a package that imports names exports them"


@pytest.mark.parametrize("path", INITS, ids=label)
def test_every_exported_name_is_there_and_public(path: Path) -> None:
    package = importlib.import_module(module_name(path))

    for name in getattr(package, "__all__", []):
        assert hasattr(package, name)
        assert not name.startswith("_")


def coded_errors(root: type[CodedError]) -> Iterator[type[CodedError]]:
    yield root
    for child in root.__subclasses__():
        yield from coded_errors(child)


def test_every_coded_error_stands_in_the_table_under_its_own_code() -> None:
    concrete = [error for error in coded_errors(CodedError) if error not in GROUPS]

    assert {error.code: error for error in concrete} == CODES
    assert len({error.code for error in concrete}) == len(concrete)


def test_every_error_of_the_bus_is_drawn_in_the_tree_or_stands_in_the_table() -> None:
    drawn = errors.__doc__ or ""
    tree = [
        found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, errors.PlexicaError)
    ]

    assert [found.__name__ for found in tree if found.__name__ not in drawn and found not in CODES.values()] == []

"""Imports run in one direction: between rooms, and between the modules of one room."""

import ast
import json
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "attacca"

LAYERS = [
    [
        "errors",
        "fingerprint",
        "freed_memory",
        "kernel_compilation",
        "atomic",
        "progress",
        "layout",
        "cache_directories",
        "lazy_names",
        "parent_process",
        "version",
        "__init__",
    ],
    ["manifest", "archive", "extras", "extensions"],
    ["config"],
    ["arrays"],
    ["blockwise"],
    ["volumes"],
    ["gp"],
    ["architectures"],
    ["model", "checkpoint", "device"],
    ["model_file"],
    ["predictors"],
    ["losses"],
    ["evaluators"],
    ["segmentation"],
    ["export"],
    ["post_processors"],
    ["tasks"],
    ["prediction"],
    ["training"],
    ["report"],
    ["exchange"],
    ["provenance"],
    ["preflight"],
    ["jobs"],
    ["stages"],
    ["workflow"],
    ["costs"],
    ["proposal"],
    ["cli", "api"],
]
"""Rooms of ``src/attacca`` from bottom to top."""

HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
MODULES = {
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def import_nodes(tree: ast.AST, inside_function: bool = False):
    """Yield every import that runs, and whether it is inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, inside_function
        elif not is_type_checking(node):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from import_nodes(node, inside_function or is_function)


def imported_modules(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    else:
        assert node.level == 0, "relative imports hide where a name comes from"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    found = set()
    for name in names:
        candidates = [name, name.rpartition(".")[0]]
        found.update([next((item for item in candidates if item in MODULES), "")])
    return found - {""}


def test_a_module_imports_from_its_own_room_and_from_lower_rooms_only():
    found = []
    for path in MODULES.values():
        # The package itself imports its version and the loader of its names.
        own = 1 if path == SOURCE / "__init__.py" else HEIGHT[room_of(path)]
        for node, _ in import_nodes(parse(path)):
            for module in imported_modules(node) - {"attacca"}:
                room = module.split(".")[1]
                if room != room_of(path) and HEIGHT[room] >= own:
                    found.append(f"{path.relative_to(SOURCE)}, line {node.lineno}: imports {module}")
    assert not found, "\n".join(found)


def test_every_room_has_a_place_in_the_layers():
    assert {room_of(path) for path in MODULES.values()} <= set(HEIGHT)


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        name: set().union(
            *(imported_modules(node) for node, _ in import_nodes(parse(path))),
        )
        - {name}
        for name, path in MODULES.items()
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_an_import_inside_a_function_has_a_comment_with_its_reason():
    found = []
    for path in MODULES.values():
        lines = path.read_text().splitlines()
        for node, inside_function in import_nodes(parse(path)):
            if inside_function:
                above = lines[node.lineno - 2].strip()
                previous_is_import = above.startswith(("import ", "from "))
                if not ("deferred" in above or "deferred" in lines[node.lineno - 1] or previous_is_import):
                    found.append(f"{path.relative_to(SOURCE)}, line {node.lineno}")
    assert not found, (
        "imports at the top of the module, or a comment '# deferred: ...' with the reason: "
        + "; ".join(found)
    )


HEAVY = {
    "attacca": ["numpy", "torch", "zarr", "pydantic"],
    "attacca.config.run": ["torch", "gunpowder", "zarr", "matplotlib"],
    "attacca.arrays": ["torch", "gunpowder", "matplotlib", "numba", "dask", "scipy", "tifffile"],
    "attacca.workflow.rules": ["torch", "gunpowder", "matplotlib", "numba"],
    "attacca.costs.resources": ["torch", "gunpowder", "matplotlib", "numba"],
    "attacca.blockwise": ["torch", "gunpowder", "matplotlib"],
    "attacca.workflow.workflow": ["torch", "gunpowder", "matplotlib"],
    "attacca.tasks": ["torch", "gunpowder", "mwatershed"],
}
"""Libraries that a module must not load. One interpreter imports the modules in this order."""


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    """The libraries of ``HEAVY`` that are loaded after the import of each module."""
    code = (
        "import importlib, json, sys\nloaded = {}\n"
        f"for module, heavy in {HEAVY!r}.items():\n"
        "    importlib.import_module(module)\n"
        "    loaded[module] = [name for name in heavy if name in sys.modules]\n"
        "print(json.dumps(loaded))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", HEAVY)
def test_a_light_module_loads_no_heavy_library(loaded, module):
    assert loaded[module] == []

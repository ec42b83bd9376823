"""Imports run in one direction."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "attacca"

LAYERS = [
    ["errors", "fingerprint", "freed_memory", "atomic", "progress", "__init__"],
    ["config"],
    ["arrays"],
    ["blockwise"],
    ["gp"],
    ["architectures"],
    ["model"],
    ["predictors"],
    ["losses"],
    ["evaluators"],
    ["segmentation"],
    ["post_processors"],
    ["tasks"],
    ["prediction"],
    ["training"],
    ["report"],
    ["stages"],
    ["cli"],
]
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}
MODULES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    part = path.relative_to(SOURCE).parts[0]
    return part.removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "attacca"
                else [node.module]
            )
        rooms.update(name.split(".")[1] for name in names if name and name.startswith("attacca."))
    return {room for room in rooms if room != "__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_from_its_own_room_and_from_lower_rooms_only(path):
    own = HEIGHT[room_of(path)]
    for room in imported_rooms(path):
        assert room == room_of(path) or HEIGHT[room] < own, f"{path.name} in {room_of(path)} imports {room}"


def test_every_room_has_a_place_in_the_layers():
    assert {room_of(path) for path in MODULES} <= set(HEIGHT)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("attacca.config.run", ["torch", "gunpowder", "zarr", "matplotlib"]),
        ("attacca.arrays", ["torch", "gunpowder", "matplotlib"]),
        ("attacca.blockwise", ["torch", "gunpowder", "matplotlib"]),
        ("attacca.stages.workflow", ["torch", "gunpowder", "matplotlib"]),
    ],
)
def test_a_light_module_loads_no_heavy_library(module, heavy):
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"

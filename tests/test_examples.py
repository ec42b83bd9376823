"""Each public function of the rooms that others compute with has an example in its docstring; pytest runs them."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "attacca"

ROOMS = ["arrays", "evaluators", "predictors", "segmentation"]

_CREATION = "a step of ZarrArray.create_from_array_identifier, which has an example"
_GRAPH = "a step of join_tables, which has an example"
_OCTREE = (
    "a step of the agglomeration in an octree, whose equality with the agglomeration in one part is tested"
)

EXCEPTIONS = {
    "arrays/array_creation.py:clip_write_block": _CREATION,
    "arrays/array_creation.py:create_stored_array": _CREATION,
    "arrays/array_creation.py:find_existing_array": _CREATION,
    "arrays/storage.py:list_objects": "it needs a server",
    "segmentation/graph_tables.py:reduce_edges": _GRAPH,
    "segmentation/graph_tables.py:reduce_nodes": _GRAPH,
    "segmentation/leaf_part.py:make_leaf_part": _OCTREE,
    "segmentation/object_blocks.py:load_object_table": "it reads what measure_block writes, in blocks of a stage",
    "segmentation/part_agglomeration.py:agglomerate_part": _OCTREE,
    "segmentation/part_contacts.py:read_edges": _OCTREE,
    "segmentation/part_contacts.py:rename_ends": _OCTREE,
    "segmentation/parts.py:join_parts": _OCTREE,
}
"""Functions without an example, as ``room/module.py:function``, and the reason."""


def find_functions_without_example(room: str) -> set[str]:
    """Return the public functions of a room whose docstring has no example."""
    found = set()
    for path in sorted((SOURCE / room).rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            is_public = isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
            if is_public and ">>> " not in (ast.get_docstring(node) or ""):
                found.add(f"{path.relative_to(SOURCE).as_posix()}:{node.name}")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_each_public_function_has_an_example(room):
    assert find_functions_without_example(room) - set(EXCEPTIONS) == set()

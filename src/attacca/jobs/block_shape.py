"""Number and size of the blocks of a stage, read from its plan."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacca.blockwise import BlockGrid
from attacca.errors import AttaccaError
from attacca.manifest import read_values


@dataclass(frozen=True)
class BlockShape:
    """Number and size of the blocks of a stage.

    Args:
        blocks: number of blocks.
        write_voxels: voxels that one block writes.
        read_voxels: voxels that one block reads, context included.
    """

    blocks: int
    write_voxels: int
    read_voxels: int


ASSUMED = BlockShape(500, 128**3, 192**3)
"""Shape that is assumed before a stage is planned: blocks of 128 x 128 x 128 voxels with a context of 32 voxels."""


def grid_shape(grid: BlockGrid) -> BlockShape:
    """Return the number and size of the blocks of a grid."""
    return block_shape({"blocks": len(grid), "grid": json.loads(grid.to_json())})


def block_shape(plan: dict[str, Any]) -> BlockShape:
    """Return the number and size of blocks that the values of a plan describe."""
    grid = plan["grid"]
    voxel = grid["voxel_size"]
    lower, upper = grid["context"]
    size = [min(block, whole) for block, whole in zip(grid["block_size"], grid["shape"])]
    write = [math.ceil(s / v) for s, v in zip(size, voxel)]
    read = [math.ceil((s + a + b) / v) for s, a, b, v in zip(size, lower, upper, voxel)]
    return BlockShape(int(plan["blocks"]), math.prod(write), math.prod(read))


def read_plan(path: Path) -> dict[str, Any] | None:
    """Return the values of a plan file, or None if the file is missing or damaged.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "prediction.plan.json")
    >>> _ = path.write_text('{"blocks": 8}')
    >>> read_plan(path)
    {'blocks': 8}
    >>> _ = path.write_text('{"blocks": "x"}')
    >>> read_plan(path) is None
    True
    """
    plan = read_values(path)
    if plan is None or type(plan.get("blocks")) is not int:
        return None
    try:
        if "grid" in plan:
            block_shape(plan)
            BlockGrid.from_json(json.dumps(plan["grid"]))
    except (AttaccaError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None
    return plan


def read_block_shape(path: Path) -> BlockShape | None:
    """Return the ``block_shape`` of a plan file, or None if the file is missing or incomplete."""
    plan = read_plan(path)
    return None if plan is None or "grid" not in plan else block_shape(plan)

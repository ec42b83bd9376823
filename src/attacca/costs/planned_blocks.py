"""How many blocks a stage has, and how large they are, as its plan file tells."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class BlockShape:
    """How large the blocks of a stage are, and how many there are.

    Args:
        blocks: number of blocks.
        write_voxels: voxels that one block writes.
        read_voxels: voxels that one block reads, context included.
    """

    blocks: int
    write_voxels: int
    read_voxels: int


ASSUMED = BlockShape(500, 128**3, 192**3)
"""What counts until a stage's plan says better: blocks of 128 x 128 x 128 voxels with a margin of 32."""


def block_shape(plan: dict[str, Any]) -> BlockShape:
    """The shape of blocks that a stage's plan file tells."""
    grid = plan["grid"]
    voxel = grid["voxel_size"]
    lower, upper = grid["context"]
    size = [min(block, whole) for block, whole in zip(grid["block_size"], grid["shape"])]
    write = [math.ceil(s / v) for s, v in zip(size, voxel)]
    read = [math.ceil((s + a + b) / v) for s, a, b, v in zip(size, lower, upper, voxel)]
    return BlockShape(int(plan["blocks"]), math.prod(write), math.prod(read))


def read_block_shape(path: Path) -> BlockShape | None:
    """``block_shape`` of a plan file; None where there is none yet."""
    try:
        return block_shape(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError):
        return None

"""Division of a volume into the leaves of an octree, and the blocks whose tables a leaf reads."""

import math
from collections.abc import Sequence

from funlib.geometry import Coordinate

from attacca.blockwise import BlockGrid
from attacca.config.segmentation import FragmentSettings
from attacca.segmentation.box import Triple, triple
from attacca.segmentation.fragment_lattice import FragmentLattice
from attacca.segmentation.fragments import compute_context, fix_cell_size
from attacca.segmentation.frame import Frame
from attacca.segmentation.leaf_size import LEAF_VOXELS, ONE_LEAF_VOXELS
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.part_blocks import GraphTables


def divide_volume(
    frame: Frame,
    block_size: Coordinate,
    settings: FragmentSettings,
    offsets: Offsets,
    directory: str,
    blocks_per_leaf: int | None = None,
) -> tuple[FragmentLattice, GraphTables]:
    """Return the leaves of a volume, and its graph.

    Args:
        frame: the volume.
        block_size: size of a block of the graph, in world units.
        settings: method of the fragments, which decides what their ids contain.
        offsets: offsets that the graph counts.
        directory: directory of the tables of the graph.
        blocks_per_leaf: blocks of a leaf along each axis; None for a single leaf, or about 2^30 voxels in volumes of more
            than 2^32 voxels.

    >>> from funlib.geometry import Roi
    >>> frame = Frame(Roi((0, 0, 0), (8, 8, 32)), Coordinate(1, 1, 1))
    >>> offsets = Offsets.create([[0, 0, 1]])
    >>> lattice, tables = divide_volume(frame, Coordinate(8, 8, 8), FragmentSettings(), offsets, "graph", 2)
    >>> lattice.leaf, tables.blocks
    ((16, 16, 16), (1, 1, 4))
    """
    block = triple(block_size / frame.voxel_size, 1)
    grid = BlockGrid(frame.roi, block_size, frame.voxel_size)
    blocks = triple(grid.shape, 1)
    leaf = triple(
        [side * count for side, count in zip(block, _choose_leaf(frame, block, blocks, blocks_per_leaf))]
    )
    settings = fix_cell_size(settings, block[3 - frame.dims :])
    cell = frame.voxels(settings.cell_size, block, "block_size", 1)
    has_cells = settings.chain == "mutex_watershed"
    # A fragment of the seeded watershed can extend beyond the cell of its seed.
    context = compute_context(frame, settings) if settings.chain == "seeded" else (0, 0, 0)
    reach = [max(sides) for sides in zip(*offsets.reach())]
    margin = triple([c + s + r for c, s, r in zip(context, cell, reach)])
    lattice = FragmentLattice(frame.box.shape, leaf, cell if has_cells else None)
    return lattice, GraphTables(directory, blocks, block, margin)


def _choose_leaf(frame: Frame, block: Triple, blocks: Triple, blocks_per_leaf: int | None) -> Sequence[int]:
    """Return the blocks of a leaf along z, y, x."""
    if blocks_per_leaf is None:
        if math.prod(frame.box.shape) <= ONE_LEAF_VOXELS:
            return blocks
        blocks_per_leaf = max(1, round((LEAF_VOXELS / math.prod(block)) ** (1 / frame.dims)))
    return [blocks_per_leaf] * 3 if frame.dims == 3 else [1, blocks_per_leaf, blocks_per_leaf]

"""Variation of information of nested parts of the scored region: halves, quarters, eighths and so on.

Variation of information depends on the size of the region: in a small crop most objects are short, so that few of them are
split or merged. Values of volumes of different sizes are comparable for parts of about the same size.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.blockwise import BlockGrid
from attacca.evaluators.compared_arrays import COMPARED_VOXELS
from attacca.evaluators.contingency import ContingencyTable, Overlaps
from attacca.evaluators.instance_scores import InstanceConvention, voi_from_table
from attacca.evaluators.overlap_sizes import select_objects
from attacca.evaluators.stored_tables import StoredTable, sum_tables

HALVINGS = 6
"""Number of times that a small volume is halved."""

_SMALLEST_SIDE = 16
# Parts with fewer annotated voxels are not crops that a laboratory would score.
_ANNOTATED_SHARE = 0.1

Box = tuple[tuple[int, int], ...]
"""First and last + 1 block along each axis."""


@dataclass(frozen=True)
class RegionSize:
    """Variation of information of the parts of one size.

    Attributes:
        parts: number of parts. Parts with annotations in less than a tenth of their voxels do not count.
        shape: voxels along each axis of the largest part.
        voi, voi_split, voi_merge: mean over the parts in bits, each weighted with its annotated voxels.
        lowest, highest: variation of information of single parts.
    """

    parts: int
    shape: tuple[int, ...]
    voi: float
    voi_split: float
    voi_merge: float
    lowest: float
    highest: float

    def to_json(self) -> dict[str, Any]:
        """Return the values for a JSON file."""
        return asdict(self)


def choose_part_size(roi: Roi, voxel_size: Coordinate, max_voxels: int = COMPARED_VOXELS) -> Coordinate:
    """Return the size of the smallest parts, in world units.

    The longest side is halved ``HALVINGS`` times, and until a part has at most ``max_voxels``. No side becomes shorter than
    16 voxels.

    Examples:
        >>> choose_part_size(Roi((0, 0, 0), (400, 2500, 1250)), Coordinate(10, 10, 10))
        (200, 320, 320)
    """
    shape = [int(n) for n in roi.shape / voxel_size]
    halved = 0
    while halved < HALVINGS or int(np.prod(shape, dtype=np.int64)) > max_voxels:
        axes = [axis for axis, n in enumerate(shape) if n >= 2 * _SMALLEST_SIDE]
        if not axes:
            break
        longest = max(axes, key=lambda axis: shape[axis] * int(voxel_size[axis]))
        shape[longest] = -(-shape[longest] // 2)
        halved += 1
    return Coordinate(shape) * voxel_size


def score_regions(
    grid: BlockGrid,
    load_table: Callable[[int], ContingencyTable],
    convention: InstanceConvention,
    directory: Path,
) -> list[RegionSize]:
    """Return the variation of information of the whole region, its halves, their halves and so on, down to single blocks.

    A part is halved along its longest side. Memory is that of a table of ``RUN_ROWS`` rows per halving.

    Args:
        grid: the blocks.
        load_table: returns the table of the block with a number; called once for each block.
        convention: treatment of background.
        directory: directory for larger tables, which are deleted.

    Returns:
        Values of each size, the whole region first.

    Examples:
        Two objects, of which the lower part of the second one is merged with the first one:

        >>> from tempfile import mkdtemp
        >>> tables = [
        ...     ContingencyTable(np.array([1], np.uint64), np.array([1], np.uint64), np.array([64])),
        ...     ContingencyTable(np.array([1], np.uint64), np.array([2], np.uint64), np.array([64])),
        ... ]
        >>> grid = BlockGrid(Roi((0, 0), (8, 16)), Coordinate(8, 8), Coordinate(1, 1))
        >>> sizes = score_regions(grid, tables.__getitem__, InstanceConvention(), Path(mkdtemp(), "regions"))
        >>> [(size.parts, size.voi) for size in sizes]
        [(1, 1.0), (2, 0.0)]
    """
    found: dict[int, list[tuple[tuple[int, ...], float, float, float]]] = {}

    def visit(box: Box, depth: int) -> Overlaps:
        low, high = _find_corners(grid, box)
        sides = [int(n) for n in (high - low) / grid.voxel_size]
        halves = _halve(box, high - low)
        if halves is None:
            table: Overlaps = load_table(first_block(box))
        else:
            parts = [visit(half, depth + 1) for half in halves]
            pieces = (piece for part in parts for piece in part.pieces())
            table = sum_tables(pieces, directory / f"{depth}-{first_block(box)}.npz")
            for part in parts:
                if isinstance(part, StoredTable):
                    part.path.unlink()
        rows = select_objects(table) if convention.ignore_background else table
        counted = sum(piece.total for piece in rows.pieces())
        voi = voi_from_table(table, convention)
        is_large = depth == 0 or counted >= _ANNOTATED_SHARE * np.prod(sides)
        if counted and is_large and not np.isnan(voi.total):
            found.setdefault(depth, []).append((tuple(sides), counted, voi.split, voi.merge))
        return table

    def first_block(box: Box) -> int:
        return grid.index(first for first, _ in box)

    if len(grid):
        visit(tuple((0, n) for n in grid.shape), 0)
        shutil.rmtree(directory, ignore_errors=True)
    return [_summarize(found[depth]) for depth in sorted(found)]


def _find_corners(grid: BlockGrid, box: Box) -> tuple[Coordinate, Coordinate]:
    lower = grid[grid.index(first for first, _ in box)].write_roi.begin
    return lower, grid[grid.index(last - 1 for _, last in box)].write_roi.end


def _halve(box: Box, extent: Sequence[int]) -> tuple[Box, Box] | None:
    axes = [axis for axis, (first, last) in enumerate(box) if last - first > 1]
    if not axes:
        return None
    axis = max(axes, key=lambda a: extent[a])
    first, last = box[axis]
    middle = (first + last + 1) // 2
    return (
        (*box[:axis], (first, middle), *box[axis + 1 :]),
        (*box[:axis], (middle, last), *box[axis + 1 :]),
    )


def _summarize(parts: list[tuple[tuple[int, ...], float, float, float]]) -> RegionSize:
    counted, split, merge = np.array([numbers for _, *numbers in parts]).T
    voi_split, voi_merge = (float(np.average(values, weights=counted)) for values in (split, merge))
    return RegionSize(
        len(parts),
        max((shape for shape, *_ in parts), key=lambda shape: int(np.prod(shape, dtype=np.int64))),
        voi_split + voi_merge,
        voi_split,
        voi_merge,
        float((split + merge).min()),
        float((split + merge).max()),
    )

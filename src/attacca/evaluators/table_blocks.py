"""Evaluation block by block: each block leaves a small table, and the tables are summed."""

import io
import math
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from attacca.arrays import Array, LocalArrayIdentifier
from attacca.atomic import write_bytes
from attacca.blockwise import Ledger
from attacca.blockwise.grid import Block, BlockGrid
from attacca.errors import MissingInputError
from attacca.evaluators.compared_arrays import open_array, without_channel
from attacca.evaluators.components import BlockFaces, global_id, joined_components, label_block
from attacca.evaluators.contingency import ContingencyTable, contingency_table, merge_tables
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.progress import Progress

# Bytes of faces that are kept while components are joined.
_CACHED_FACES = 1 << 28


@dataclass(frozen=True)
class BlockResult:
    """What one block adds to the comparison of two label volumes.

    Attributes:
        table: contingency table of the voxels that count; true ids are component numbers (``global_id``)
            where components are asked for.
        faces: components at the outside of the block; None without components.
    """

    table: ContingencyTable
    faces: BlockFaces | None = None

    def save(self, path: str | Path) -> None:
        """Write a .npz file in one step."""
        arrays = {
            "segment": self.table.segment,
            "ground_truth": self.table.ground_truth,
            "count": self.table.count,
        }
        write_npz(path, arrays | (self.faces.to_arrays() if self.faces else {}))

    @classmethod
    def load(cls, path: str | Path) -> "BlockResult":
        """Read what ``save`` wrote.

        Raises:
            MissingInputError: the block has no file.
        """
        arrays = read_npz(path)
        faces = BlockFaces.from_arrays(arrays) if "face_values" in arrays else None
        return cls(ContingencyTable(arrays["segment"], arrays["ground_truth"], arrays["count"]), faces)


def write_npz(path: str | Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays to a compressed .npz file, in one step."""

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_npz(path: str | Path, beginning: str = "") -> dict[str, np.ndarray]:
    """Named arrays of a .npz file, those whose name begins as said.

    Raises:
        MissingInputError: there is no such file.
    """
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files if name.startswith(beginning)}
    except FileNotFoundError:
        raise MissingInputError(f"{path}: this block has no result; evaluate it again") from None


def result_path(directory: str | os.PathLike[str], index: int) -> Path:
    """Where the result of a block stands: a thousand blocks a directory."""
    return Path(directory) / f"{index // 1000:06d}" / f"{index % 1000:03d}.npz"


@dataclass
class EvaluateBlocks:
    """Block function that compares ids in a segmentation with ids in a truth; it can be pickled.

    Attributes:
        segmentation: predicted ids, or where they are stored.
        ground_truth: true ids, or where they are stored.
        rules: what is done to the truth first; the grid needs ``rules.context(voxel_size)`` as context.
        mask: voxels that count, not 0; all of them by default.
        directory: where results are written, one file a block; without it they are returned.
    """

    segmentation: LocalArrayIdentifier | Array
    ground_truth: LocalArrayIdentifier | Array
    rules: GroundTruthRules = field(default_factory=GroundTruthRules)
    mask: LocalArrayIdentifier | Array | None = None
    directory: str | None = None

    def __post_init__(self) -> None:
        self._arrays: tuple[Array, Array, Array | None] | None = None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_arrays": None}

    def open(self) -> None:
        """Open the arrays, once in each process."""
        mask = None if self.mask is None else open_array(self.mask)
        self._arrays = (open_array(self.segmentation), open_array(self.ground_truth), mask)

    def __call__(self, block: Block) -> BlockResult | None:
        """Compare the voxels of ``block.write_roi``."""
        result = self.compare(block)
        if self.directory is None:
            return result
        result.save(result_path(self.directory, block.index))
        return None

    def compare(self, block: Block) -> BlockResult:
        """The table of one block."""
        if self._arrays is None:
            self.open()
        assert self._arrays is not None
        segmentation, ground_truth, mask = self._arrays
        dims = ground_truth.dims
        segment_ids = without_channel(segmentation[block.write_roi], dims, segmentation)
        around = without_channel(ground_truth.read(block.read_roi, "edge"), dims, ground_truth)
        begin = (block.write_roi.begin - block.read_roi.begin) / ground_truth.voxel_size
        inside = tuple(slice(b, b + n) for b, n in zip(begin, segment_ids.shape))
        counted = self.rules.counted(around, ground_truth.voxel_size)
        counted = None if counted is None else counted[inside]
        if mask is not None:
            allowed = without_channel(mask.read(block.write_roi), dims, mask) != 0
            counted = allowed if counted is None else counted & allowed
        true_ids = around[inside]
        if not self.rules.components:
            return BlockResult(contingency_table(segment_ids, true_ids, counted))
        components, faces = label_block(true_ids)
        table = contingency_table(segment_ids, components, counted)
        return BlockResult(
            ContingencyTable(table.segment, global_id(block.index, table.ground_truth), table.count), faces
        )


def largest_block(grid: BlockGrid) -> int:
    """Voxels of the largest block."""
    sides = zip(grid.block_size, grid.roi.shape, grid.voxel_size)
    return math.prod(int(min(side, extent)) // int(size) for side, extent, size in sides)


def announce(progress: Progress | None, grid: BlockGrid, ledger: Ledger | None) -> None:
    """Have ``progress`` expect the blocks of a grid, and count those that are recorded."""
    if progress is not None:
        progress.expect(len(grid), 0 if ledger is None else len(grid) - len(ledger.missing(range(len(grid)))))


def collect_tables(
    grid: BlockGrid, directory: str | os.PathLike[str], components: bool = False
) -> ContingencyTable:
    """The table of a whole volume from the files of its blocks.

    Args:
        grid: the blocks.
        directory: where ``EvaluateBlocks`` wrote.
        components: whether the truth was split into connected components.

    Raises:
        MissingInputError: the file of a block is missing.
    """
    table = merge_tables(BlockResult.load(result_path(directory, index)).table for index in range(len(grid)))
    if not components:
        return table
    # Six faces of 4 bytes a voxel; blocks are visited in order, so that what is needed again was used lately.
    face = largest_block(grid) ** (1 - 1 / grid.dims)
    kept = max(32, int(_CACHED_FACES / (24 * face)))

    @lru_cache(maxsize=kept)
    def faces(index: int) -> BlockFaces:
        path = result_path(directory, index)
        arrays = read_npz(path, "face_")
        if not arrays:
            raise MissingInputError(f"{path}: no components were kept; evaluate again")
        return BlockFaces.from_arrays(arrays)

    return table.map_ground_truth(*joined_components(grid, faces))

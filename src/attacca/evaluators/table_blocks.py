"""Blockwise comparison of id volumes: each block writes a small table, and the tables are summed."""

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from attacca.arrays import Array, LocalArrayIdentifier
from attacca.arrays.channel_axis import drop_channel_axis
from attacca.atomic import replace_file
from attacca.blockwise import Ledger
from attacca.blockwise.grid import Block, BlockGrid
from attacca.errors import MissingInputError
from attacca.evaluators.block_components import BlockFaces, join_components, label_block, make_global_ids
from attacca.evaluators.compared_arrays import open_array
from attacca.evaluators.contingency import ContingencyTable, Overlaps, contingency_table, merge_tables
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.stored_tables import StoredTable, merge_stored_tables, sum_tables
from attacca.progress import Progress

# Bytes of block faces that are cached while components are joined.
_CACHED_FACES = 1 << 28


@dataclass(frozen=True)
class BlockResult:
    """Contribution of one block to the comparison of two id volumes.

    Attributes:
        table: contingency table of the voxels that count. If the ground truth is split into components, its
            true ids are component numbers (``make_global_ids``).
        faces: components on the faces of the block; None without components.
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
        if self.faces is not None:
            arrays |= self.faces.to_arrays()
        with replace_file(path) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> "BlockResult":
        """Read a file that ``save`` wrote.

        Raises:
            MissingInputError: the file does not exist.
        """
        arrays = _read_arrays(path)
        faces = BlockFaces.from_arrays(arrays) if "face_values" in arrays else None
        return cls(ContingencyTable(arrays["segment"], arrays["ground_truth"], arrays["count"]), faces)


def _read_arrays(path: str | Path, prefix: str = "") -> dict[str, np.ndarray]:
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in stored.files if name.startswith(prefix)}
    except FileNotFoundError:
        raise MissingInputError(f"{path}: the result of this block is missing; evaluate it again") from None


def locate_block_file(directory: str | os.PathLike[str], index: int, suffix: str = ".npz") -> Path:
    """Return the file of a block's result. Each directory holds the files of a thousand blocks.

    Examples:
        >>> locate_block_file("tables", 1234).as_posix()
        'tables/000001/234.npz'
    """
    return Path(directory) / f"{index // 1000:06d}" / f"{index % 1000:03d}{suffix}"


@dataclass
class EvaluateBlocks:
    """Block function that compares predicted with true ids; it can be pickled.

    Attributes:
        segmentation: predicted ids, or their location.
        ground_truth: true ids, or their location.
        rules: preparation of the ground truth; the grid needs ``rules.context(voxel_size)`` as context.
        mask: voxels of value 0 do not count; all voxels count by default.
        directory: directory of the results, one file per block; without it they are returned.
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

    def open(self) -> tuple[Array, Array, Array | None]:
        """Return the segmentation, the ground truth and the mask, opened once per process."""
        if self._arrays is None:
            mask = None if self.mask is None else open_array(self.mask)
            self._arrays = (open_array(self.segmentation), open_array(self.ground_truth), mask)
        return self._arrays

    def __call__(self, block: Block) -> BlockResult | None:
        """Compare the voxels of ``block.write_roi``."""
        result = self.compare(block)
        if self.directory is None:
            return result
        result.save(locate_block_file(self.directory, block.index))
        return None

    def compare(self, block: Block) -> BlockResult:
        """Return the table of one block."""
        segmentation, ground_truth, mask = self.open()
        dims = ground_truth.dims
        segment_ids = drop_channel_axis(segmentation[block.write_roi], dims, segmentation)
        with_context = drop_channel_axis(ground_truth.read(block.read_roi, "edge"), dims, ground_truth)
        offset = (block.write_roi.begin - block.read_roi.begin) / ground_truth.voxel_size
        interior = tuple(slice(b, b + n) for b, n in zip(offset, segment_ids.shape))
        counted = self.rules.find_counted(with_context, ground_truth.voxel_size)
        counted = None if counted is None else counted[interior]
        if mask is not None:
            allowed = drop_channel_axis(mask.read(block.write_roi), dims, mask) != 0
            counted = allowed if counted is None else counted & allowed
        true_ids = with_context[interior]
        if not self.rules.components:
            return BlockResult(contingency_table(segment_ids, true_ids, counted))
        components, faces = label_block(true_ids)
        table = contingency_table(segment_ids, components, counted)
        return BlockResult(
            ContingencyTable(table.segment, make_global_ids(block.index, table.ground_truth), table.count),
            faces,
        )


def count_max_voxels(grid: BlockGrid) -> int:
    """Return the number of voxels of the largest block.

    Examples:
        >>> from funlib.geometry import Coordinate, Roi
        >>> grid = BlockGrid(Roi((0, 0), (8, 6)), Coordinate(4, 4), Coordinate(1, 1))
        >>> count_max_voxels(grid)
        16
    """
    sides = zip(grid.block_size, grid.roi.shape, grid.voxel_size)
    return math.prod(int(min(side, extent)) // int(size) for side, extent, size in sides)


def announce_blocks(
    progress: Progress | None, grid: BlockGrid, ledger: Ledger | None, blocks: range | None = None
) -> None:
    """Add the blocks of a grid, or some of them, to the expected units of ``progress``, recorded ones as done.

    Examples:
        >>> from funlib.geometry import Coordinate, Roi
        >>> grid = BlockGrid(Roi((0, 0), (8, 6)), Coordinate(4, 4), Coordinate(1, 1))
        >>> from types import SimpleNamespace
        >>> announce_blocks(SimpleNamespace(expect=print), grid, ledger=None)
        4 0
    """
    if progress is not None:
        own = range(len(grid)) if blocks is None else blocks
        progress.expect(len(own), 0 if ledger is None else len(own) - len(ledger.missing(own)))


@dataclass(frozen=True)
class BlockTables:
    """Tables of the blocks of a comparison, in the files that ``EvaluateBlocks`` wrote.

    Attributes:
        grid: the blocks.
        directory: directory of the files.
        components: True if the ground truth was split into connected components.
        key: digest of everything that the tables depend on; without it, sums of shards are not used.

    Examples:
        >>> from tempfile import mkdtemp
        >>> from funlib.geometry import Coordinate, Roi
        >>> grid, directory = BlockGrid(Roi((0, 0), (1, 4)), Coordinate(1, 2), Coordinate(1, 1)), mkdtemp()
        >>> ids = np.array([7], np.uint64)
        >>> for index in range(2):
        ...     BlockResult(ContingencyTable(ids, ids, np.array([4]))).save(locate_block_file(directory, index))
        >>> BlockTables(grid, Path(directory)).collect().count.tolist()
        [8]
    """

    grid: BlockGrid
    directory: Path
    components: bool = False
    key: str | None = None

    @cached_property
    def joined(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Components of blocks that are joined, see ``join_components``; None without components."""
        return join_block_components(self.grid, self.directory) if self.components else None

    def load(self, index: int) -> ContingencyTable:
        """Read the table of the block with a number, with the true ids of the volume.

        Raises:
            MissingInputError: the file of a block is missing.
        """
        return self._join(self._load(index))

    def collect(self) -> ContingencyTable:
        """Return the sum of the tables of all blocks, in memory.

        Raises:
            MissingInputError: the file of a block is missing.
        """
        total = merge_tables(map(self._load, range(len(self.grid))))
        return self._join(total) if self.components else total

    def sum_shard(self, shard: tuple[int, int]) -> None:
        """Add up the tables of the blocks of a shard in one file, for ``open_sum``.

        Args:
            shard: number of the shard and number of shards.
        """
        blocks = self.grid.shard(*shard)
        if self.key is None or not len(blocks):
            return
        directory = self._sums / self.key
        for other in self._sums.glob("*"):
            if other != directory:
                shutil.rmtree(other, ignore_errors=True)
        path = directory / f"{blocks.start}-{blocks.stop}.npz"
        total = sum_tables(map(self._load, blocks), path)
        if not isinstance(total, StoredTable):
            StoredTable.write(path, total.pieces())

    @contextmanager
    def open_sum(self) -> Iterator[Overlaps]:
        """Add up the tables of all blocks with bounded memory. A large sum is in a file, which is deleted at the end.

        Raises:
            MissingInputError: the file of a block is missing.
            VolumeError: the sum of a shard is damaged.
        """
        path = self.directory / "sum.npz"
        shards = self._open_shards()
        try:
            if not shards:
                yield sum_tables(map(self.load, range(len(self.grid))), path)
            elif self.components:
                yield sum_tables((self._join(piece) for table in shards for piece in table.pieces()), path)
            else:
                yield merge_stored_tables(shards, path)
        finally:
            path.unlink(missing_ok=True)

    @property
    def _sums(self) -> Path:
        return self.directory / "sums"

    def _open_shards(self) -> list[StoredTable]:
        """Return the sums of shards that cover all blocks; an empty list if some blocks are in none."""
        if self.key is None:
            return []
        stops: dict[int, int] = {}
        for path in (self._sums / self.key).glob("*-*.npz"):
            start, stop = map(int, path.stem.split("-"))
            stops[start] = max(stop, stops.get(start, 0))
        tables, position = [], 0
        while position in stops:
            tables.append(StoredTable.open(self._sums / self.key / f"{position}-{stops[position]}.npz"))
            position = stops[position]
        return tables if position == len(self.grid) else []

    def _load(self, index: int) -> ContingencyTable:
        return BlockResult.load(locate_block_file(self.directory, index)).table

    def _join(self, table: ContingencyTable) -> ContingencyTable:
        return table if self.joined is None else table.map_ground_truth(*self.joined)


def collect_tables(
    grid: BlockGrid, directory: str | os.PathLike[str], components: bool = False
) -> ContingencyTable:
    """Return the table of a whole volume in memory, summed over the files of its blocks.

    Args:
        grid: the blocks.
        directory: directory in which ``EvaluateBlocks`` wrote.
        components: True if the ground truth was split into connected components.

    Raises:
        MissingInputError: the file of a block is missing.

    Examples:
        >>> from tempfile import mkdtemp
        >>> from funlib.geometry import Coordinate, Roi
        >>> from attacca.arrays import NumpyArray
        >>> roi, voxel_size, directory = Roi((0, 0), (1, 4)), Coordinate(1, 1), mkdtemp()
        >>> array = NumpyArray.from_np_array(np.array([[1, 1, 2, 2]]), roi, voxel_size, ["y", "x"])
        >>> grid, evaluate = BlockGrid(roi, Coordinate(1, 2), voxel_size), EvaluateBlocks(array, array, directory=directory)
        >>> for block in grid:
        ...     evaluate(block)
        >>> collect_tables(grid, directory).count.tolist()
        [2, 2]
    """
    return BlockTables(grid, Path(directory), components).collect()


def join_block_components(
    grid: BlockGrid, directory: str | os.PathLike[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Join the components of neighboring blocks, see ``join_components``.

    Args:
        grid: the blocks.
        directory: directory with the faces of all blocks.

    Raises:
        MissingInputError: the file of a block is missing, or has no components.

    Examples:
        >>> from tempfile import mkdtemp
        >>> from funlib.geometry import Coordinate, Roi
        >>> grid, directory = BlockGrid(Roi((0, 0), (1, 4)), Coordinate(1, 2), Coordinate(1, 1)), mkdtemp()
        >>> for index, values in enumerate(([[0, 7]], [[7, 7]])):
        ...     faces = label_block(np.array(values))[1]
        ...     BlockResult(ContingencyTable.empty(), faces).save(locate_block_file(directory, index))
        >>> [ids.tolist() for ids in join_block_components(grid, directory)]
        [[4294967297, 8589934593], [4294967297, 4294967297]]
    """
    # Six faces of 4 bytes per voxel. Blocks are visited in order, so that the least recently used faces are
    # no longer needed.
    face = count_max_voxels(grid) ** (1 - 1 / grid.dims)
    cached = max(32, int(_CACHED_FACES / (24 * face)))

    @lru_cache(maxsize=cached)
    def load_faces(index: int) -> BlockFaces:
        path = locate_block_file(directory, index)
        arrays = _read_arrays(path, "face_")
        if not arrays:
            raise MissingInputError(f"{path}: no components are stored; evaluate again")
        return BlockFaces.from_arrays(arrays)

    return join_components(grid, load_faces)

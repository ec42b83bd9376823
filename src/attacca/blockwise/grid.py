"""Grid of blocks that covers a region; blocks are computed from their numbers."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.errors import ConfigurationError

# Number of blocks that are computed at once during iteration.
_WALK = 1 << 14


class Block:
    """One block of a grid with its write region and read region.

    The regions are created on access, so that iteration over a million blocks is cheap.

    Args:
        index: number of the block in its grid, in C order.
        begin: lower corner of the write region, world units.
        end: upper corner of the write region, world units.
        context: world units that are read beyond the write region, below and above.
    """

    __slots__ = ("_begin", "_context", "_end", "index")

    def __init__(
        self,
        index: int,
        begin: tuple[int, ...],
        end: tuple[int, ...],
        context: tuple[tuple[int, ...], tuple[int, ...]],
    ) -> None:
        self.index = index
        self._begin = begin
        self._end = end
        self._context = context

    @property
    def write_roi(self) -> Roi:
        """Write region: written by this block only, clipped to the region of the grid."""
        return Roi(self._begin, tuple(e - b for b, e in zip(self._begin, self._end)))

    @property
    def read_roi(self) -> Roi:
        """Read region: the write region with its context; it may extend beyond the volume."""
        lower, upper = self._context
        begin = tuple(b - c for b, c in zip(self._begin, lower))
        return Roi(begin, tuple(e + c - b for b, e, c in zip(begin, self._end, upper)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Block):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.index, self._begin, self._end))

    def __repr__(self) -> str:
        return f"Block({self.index}, {self.write_roi})"


@dataclass(frozen=True)
class _Axis:
    """Blocks along one axis, in world units: ``origin + k * size``, clipped to ``[begin, end)``."""

    begin: int
    end: int
    size: int
    origin: int

    @property
    def first(self) -> int:
        return (self.begin - self.origin) // self.size

    def __len__(self) -> int:
        return max(0, -((self.origin - self.end) // self.size) - self.first) if self.end > self.begin else 0

    def bounds(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low = self.origin + (self.first + position) * self.size
        return np.maximum(low, self.begin), np.minimum(low + self.size, self.end)


class BlockGrid:
    """Blocks that cover a region of any size exactly once.

    Block boundaries are at whole multiples of the block size from ``origin``. Blocks at the border of the region are
    clipped, so that every voxel of the region is written and no voxel outside it.

    Args:
        roi: region to cover, in world units; an empty region has no blocks.
        block_size: size of a block in world units, or one number for all axes.
        voxel_size: size of a voxel; all other sizes are multiples of it.
        context: world units read around each block: one number, one per axis, or a pair of coordinates (below, above).
        origin: position of a block boundary; by default the lower corner of the region. For a region inside an array,
            use the lower corner of the array, so that boundaries are between chunks.

    Raises:
        ConfigurationError: a size is not a positive multiple of the voxel size, or dimensions differ.

    >>> grid = BlockGrid(Roi((0, 0), (10, 4)), (4, 4), (1, 1), context=1)
    >>> len(grid), grid[2].write_roi, grid[2].read_roi
    (3, [8:10, 0:4] (2, 4), [7:11, -1:5] (4, 6))
    """

    def __init__(
        self,
        roi: Roi,
        block_size: Iterable[int] | int,
        voxel_size: Iterable[int],
        context: Any = 0,
        origin: Iterable[int] | None = None,
    ) -> None:
        self.voxel_size = Coordinate(voxel_size)
        self.dims = int(self.voxel_size.dims)
        self.block_size = self._per_axis(block_size, "block size")
        self.roi = roi
        if roi.dims != self.dims:
            raise ConfigurationError(f"the region {roi} has {roi.dims} axes, the voxel size {self.dims}")
        pair = isinstance(context, tuple | list) and any(isinstance(side, tuple | list) for side in context)
        lower, upper = context if pair else (context, context)
        self.context = (self._per_axis(lower, "context"), self._per_axis(upper, "context"))
        empty = roi.empty
        begin = Coordinate((0,) * self.dims) if empty else roi.begin
        self.origin = Coordinate(origin) if origin is not None else begin
        self._check(begin, Coordinate((0,) * self.dims) if empty else roi.shape)
        end = begin if empty else roi.end
        self._axes = tuple(
            _Axis(int(b), int(e), int(s), int(o))
            for b, e, s, o in zip(begin, end, self.block_size, self.origin)
        )
        self.shape = tuple(len(axis) for axis in self._axes)
        self._pair = (tuple(int(c) for c in self.context[0]), tuple(int(c) for c in self.context[1]))

    @classmethod
    def for_array(
        cls,
        array: Any,
        block_size: Iterable[int] | int | None = None,
        roi: Roi | None = None,
        context: Any = 0,
    ) -> "BlockGrid":
        """Return a grid over an array, or a part of it, whose block boundaries are between chunks.

        Args:
            array: array with ``roi``, ``voxel_size`` and ``chunk_size``.
            block_size: world units; by default one chunk.
            roi: the part to cover; by default the whole array.
            context: as for the class.

        Raises:
            ConfigurationError: two blocks would share a chunk.
        """
        size = array.chunk_size if block_size is None else block_size
        grid = cls(array.roi if roi is None else roi, size, array.voxel_size, context, origin=array.roi.begin)
        check_alignment(grid, array)
        return grid

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, index: int) -> Block:
        number = int(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"block {number} of a grid of {len(self)}")
        number %= len(self)
        begin, end = self.bounds(np.array([number]))
        return Block(number, tuple(begin[0].tolist()), tuple(end[0].tolist()), self._pair)

    def __iter__(self) -> Iterator[Block]:
        return self.blocks(range(len(self)))

    def blocks(self, indices: Iterable[int]) -> Iterator[Block]:
        """Yield the blocks of the given numbers, in their order."""
        numbers = indices if isinstance(indices, range | np.ndarray) else np.fromiter(indices, dtype=np.int64)
        for start in range(0, len(numbers), _WALK):
            part = numbers[start : start + _WALK]
            part = np.arange(part.start, part.stop, part.step) if isinstance(part, range) else part
            begins, ends = self.bounds(part)
            for index, begin, end in zip(part.tolist(), begins.tolist(), ends.tolist()):
                yield Block(index, tuple(begin), tuple(end), self._pair)

    def bounds(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper corners of write regions in world units, int64 (blocks, axes) each."""
        positions = np.unravel_index(np.asarray(indices, dtype=np.int64), self.shape)
        pairs = [axis.bounds(position) for axis, position in zip(self._axes, positions)]
        return np.stack([low for low, _ in pairs], axis=1), np.stack([high for _, high in pairs], axis=1)

    def position(self, index: int) -> tuple[int, ...]:
        """Return the position of a block in the grid, counted in blocks along each axis."""
        return tuple(int(p) for p in np.unravel_index(index, self.shape))

    def index(self, position: Iterable[int]) -> int:
        """Return the number of the block at a position."""
        return int(np.ravel_multi_index(tuple(position), self.shape))

    def upper_neighbors(self, index: int) -> list[tuple[int, int]]:
        """Return (axis, number) of each block that shares an upper face with a block.

        >>> BlockGrid(Roi((0, 0), (4, 4)), 2, (1, 1)).upper_neighbors(0)
        [(0, 2), (1, 1)]
        """
        position = self.position(index)
        return [
            (axis, self.index((*position[:axis], position[axis] + 1, *position[axis + 1 :])))
            for axis in range(self.dims)
            if position[axis] + 1 < self.shape[axis]
        ]

    def shard(self, index: int, count: int) -> range:
        """Return the numbers of the blocks of one shard.

        Args:
            index: number of the shard, from 0.
            count: number of shards: contiguous parts of nearly equal size.

        Raises:
            ConfigurationError: the shard does not exist.

        >>> BlockGrid(Roi((0,), (10,)), 1, (1,)).shard(1, 3)
        range(3, 6)
        """
        if count < 1 or not 0 <= index < count:
            raise ConfigurationError(
                f"found shard {index} of {count}, expected 0 to {max(count, 1) - 1} of at least 1"
            )
        return range(len(self) * index // count, len(self) * (index + 1) // count)

    def to_json(self) -> str:
        """Return the grid as text for ``from_json``."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the values that determine the grid; they are part of a ledger's key."""
        empty = self.roi.empty
        return {
            "offset": [0] * self.dims if empty else [int(v) for v in self.roi.begin],
            "shape": [0] * self.dims if empty else [int(v) for v in self.roi.shape],
            "block_size": [int(v) for v in self.block_size],
            "voxel_size": [int(v) for v in self.voxel_size],
            "context": [list(self._pair[0]), list(self._pair[1])],
            "origin": [int(v) for v in self.origin],
        }

    @classmethod
    def from_json(cls, text: str) -> "BlockGrid":
        """Return the grid of a text of ``to_json``."""
        values = json.loads(text)
        lower, upper = values["context"]
        return cls(
            Roi(values["offset"], values["shape"]),
            values["block_size"],
            values["voxel_size"],
            (Coordinate(lower), Coordinate(upper)),
            values["origin"],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlockGrid) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        blocks = " x ".join(str(n) for n in self.shape)
        return f"BlockGrid({self.roi}, {blocks} blocks of {tuple(self.block_size)})"

    def _per_axis(self, value: Iterable[int] | int, name: str) -> Coordinate:
        coordinate = Coordinate((int(value),) * self.dims if isinstance(value, int | np.integer) else value)
        if coordinate.dims != self.dims:
            raise ConfigurationError(
                f"the {name} {tuple(coordinate)} has {coordinate.dims} axes, expected {self.dims}"
            )
        return coordinate

    def _check(self, begin: Coordinate, shape: Coordinate) -> None:
        if any(v <= 0 for v in self.voxel_size):
            raise ConfigurationError(
                f"found the voxel size {tuple(self.voxel_size)}, expected positive numbers"
            )
        if any(s <= 0 or s % v for s, v in zip(self.block_size, self.voxel_size)):
            raise ConfigurationError(
                f"found the block size {tuple(self.block_size)}, expected positive multiples of the voxel "
                f"size {tuple(self.voxel_size)}"
            )
        for context in self.context:
            if any(c < 0 or c % v for c, v in zip(context, self.voxel_size)):
                raise ConfigurationError(
                    f"found the context {tuple(context)}, expected multiples of the voxel size "
                    f"{tuple(self.voxel_size)}, 0 or more"
                )
        if (
            self.origin.dims != self.dims
            or any((begin - self.origin) % self.voxel_size)
            or any(shape % self.voxel_size)
        ):
            raise ConfigurationError(
                f"the region {self.roi} is not on the voxel grid (voxel size "
                f"{tuple(self.voxel_size)}, origin {tuple(self.origin)})"
            )


def check_alignment(grid: BlockGrid, array: Any) -> None:
    """Check that no two blocks of a grid write to the same chunk of an array.

    Args:
        grid: the blocks.
        array: array with ``roi`` and ``chunk_size``, in world units.

    Raises:
        ConfigurationError: two blocks would share a chunk.
    """
    for axis, (blocks, size, chunk, origin, begin) in enumerate(
        zip(grid.shape, grid.block_size, array.chunk_size, grid.origin, array.roi.begin)
    ):
        if blocks > 1 and (size % chunk or (origin - begin) % chunk):
            raise ConfigurationError(
                f"blocks of {tuple(grid.block_size)} that start at {tuple(grid.origin)} would share chunks "
                f"of {tuple(array.chunk_size)} of {getattr(array, 'directory', array)} (which start at "
                f"{tuple(array.roi.begin)}) on axis {axis}, so that two blocks could overwrite each other; "
                "make the block size a multiple of the chunk size, and start blocks at the start of a chunk"
            )
